"""Experts in order, as many on each host: what is done where nobody asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.plan.experts._room import in_turn, layer_room
from shoal.plan.experts.contract import ExpertProblem, Placed


@dataclass(frozen=True)
class Contiguous:
    """Expert i of E on host i · hosts // E, in every layer; on the next one where there is no room."""

    def place(self, problem: ExpertProblem) -> Placed:
        """See `Placer`."""
        layers, experts = problem.flow.loads.shape[1:]
        left, rows = np.array(problem.slots), []
        wanted = [at * len(left) // experts for at in range(experts)]
        for layer in range(layers):
            rows.append(in_turn(range(experts), wanted, layer_room(left, layers - layer)))
            left -= np.bincount(rows[-1], minlength=len(left))
        return problem.placed(np.stack(rows))
