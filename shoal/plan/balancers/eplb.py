"""Busy experts held twice, by what was busy before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.errors import PlanError
from shoal.plan.balancers.contract import I64, Assignment, Chunk, Devices, in_order, plain


@dataclass(frozen=True)
class Eplb:
    """Each device has memory for some replicas more; the busiest experts of the past get them, and share their tokens evenly.

    Replicas lie there before the step, so no weights move in it; where loads have changed since, they help the wrong ones.
    [expert-parallelism load balancer of DeepSeek: a replica at a time to the expert with most copies a replica]
    """

    spare: int = 1  # replicas a device has memory for, beside its own experts

    def __post_init__(self) -> None:
        if self.spare < 0:
            raise PlanError("a number of replicas is zero or more", where="eplb", had=str(self.spare))

    def assign(self, loads: I64, devices: Devices, past: Sequence[I64] = ()) -> Assignment:
        """See `Balancer`; without a past all stays as it is."""
        stayed = plain(loads, devices)
        if not past:
            return stayed
        holders = self._holders(np.sum(past, axis=0), devices)
        chunks = []
        for expert, load in enumerate(loads.tolist()):
            edges = np.linspace(0, load, len(holders[expert]) + 1).astype(np.int64).tolist()
            chunks += [Chunk(expert, device, *edge) for device, *edge in zip(holders[expert], edges, edges[1:], strict=False)]  # fmt: skip
        resident = frozenset((expert, device) for expert, held in enumerate(holders) for device in held[1:])
        return Assignment(in_order(chunks), devices.native, resident)

    def _holders(self, past: I64, devices: Devices) -> list[list[int]]:
        """The devices that hold each expert, the native one first."""
        holders = [[int(device)] for device in devices.native]
        left = np.minimum(devices.room, self.spare)
        while left.sum():
            share = past / [len(each) for each in holders]
            open_ = [at for at in range(len(past)) if share[at] and any(left[to] and to not in holders[at] for to in range(devices.count))]  # fmt: skip
            if not open_:
                break
            expert = max(open_, key=lambda at: (share[at], -at))
            load = np.zeros(devices.count)
            for at, held in enumerate(holders):
                load[held] += share[at]
            to = min((at for at in range(devices.count) if left[at] and at not in holders[expert]), key=lambda at: (load[at], at))  # fmt: skip
            holders[expert].append(to)
            left[to] -= 1
        return holders
