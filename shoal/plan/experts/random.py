"""Experts anywhere: what a technique has to be better than."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.plan.experts._room import in_turn, layer_room
from shoal.plan.experts.contract import ExpertProblem, Placed


@dataclass(frozen=True)
class Random:
    """As many on each host as with `contiguous`, but any, in each layer others."""

    seed: int = 0

    def place(self, problem: ExpertProblem) -> Placed:
        """See `Placer`."""
        source = np.random.default_rng(self.seed)
        layers, experts = problem.flow.loads.shape[1:]
        left, rows = np.array(problem.slots), []
        wanted = [at * len(left) // experts for at in range(experts)]
        for layer in range(layers):
            order = source.permutation(experts).tolist()
            rows.append(in_turn(order, wanted, layer_room(left, layers - layer)))
            left -= np.bincount(rows[-1], minlength=len(left))
        return problem.placed(np.stack(rows))
