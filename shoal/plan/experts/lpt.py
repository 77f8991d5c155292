"""Only the load of hosts is balanced: the longest work first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.plan.experts._room import layer_room
from shoal.plan.experts.contract import ExpertProblem, Placed


@dataclass(frozen=True)
class Lpt:
    """Layer by layer, the expert of most tokens first goes where it would be done first.

    [Graham, "Bounds on Multiprocessing Timing Anomalies", SIAM J. Appl. Math. 17(2), 1969]
    """

    def place(self, problem: ExpertProblem) -> Placed:
        """See `Placer`."""
        seconds = problem.mean.seconds[0]
        left, rows = np.array(problem.slots), []
        for layer, costs in enumerate(seconds):
            room, done = layer_room(left, len(seconds) - layer), np.zeros(len(left))
            row = np.empty(len(costs), np.int64)
            for expert in np.argsort(-costs.max(1), kind="stable"):
                host = int(np.where(room > 0, done + costs[expert], np.inf).argmin())
                row[expert] = host
                done[host] += costs[expert, host]
                room[host] -= 1
            left -= np.bincount(row, minlength=len(left))
            rows.append(row)
        return problem.placed(np.stack(rows))
