"""The least time there is, by an integer programme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.errors import LimitError
from shoal.plan.balancers.contract import I64, Assignment, Chunk, Devices, in_order, plain
from shoal.search import Milp


@dataclass(frozen=True)
class Optimum:
    """Copies of each expert by device, and which weights move, so that the slowest device is done soonest. For small cases.

    Of plans that take as long it is one with few moves. Chunks of others' experts have a least length as in `least_loaded`.
    """

    least: int = 1  # copies worth a product of their own
    time_limit_s: float = 20.0  # of the programme

    def assign(self, loads: I64, devices: Devices, past: Sequence[I64] = ()) -> Assignment:
        """See `Balancer`.

        Raises:
            LimitError: no answer in time.
            MissingExtra: highspy is not installed.
        """
        stayed = plain(loads, devices)
        if not loads.sum():
            return stayed
        milp, worst_s = Milp(), float(stayed.seconds(devices).max())
        end = milp.column(0, worst_s, cost=1)
        shape = len(loads), devices.count
        copies = [[milp.column(0, float(load), integer=True) for _ in range(shape[1])] for load in loads]
        tie = 1e-6 * worst_s / (1 + sum(shape))
        moved = [[milp.binary(cost=tie) if at != home else -1 for at in range(shape[1])] for home in devices.native]
        for load, row in zip(loads, copies, strict=True):
            milp.row([(each, 1) for each in row], float(load), float(load))
        for device, speed in enumerate(devices.copies_per_s):
            foreign = [expert for expert in range(shape[0]) if moved[expert][device] >= 0]
            busy = [(copies[at][device], 1 / speed) for at in range(shape[0])]
            weights = [(moved[at][device], devices.transfer_s) for at in foreign]
            milp.row([*busy, *weights, (end, -1)], high=0)
            milp.row([(moved[at][device], 1) for at in foreign], high=float(devices.room[device]))
            for at in foreign:
                pair = copies[at][device], moved[at][device]
                milp.row([(pair[0], 1), (pair[1], -float(loads[at]))], high=0)
                milp.row([(pair[0], 1), (pair[1], -float(min(self.least, loads[at])))], low=0)
        solved = milp.solve(time_limit_s=self.time_limit_s)
        if not solved.found:
            raise LimitError("no assignment found in time", where="optimum", had=f"{self.time_limit_s:g} s")
        counts = np.rint(solved.values[np.array(copies)]).astype(np.int64)
        ends = np.cumsum(counts, axis=1)
        chunks = [
            Chunk(expert, device, int(ends[expert, device] - counts[expert, device]), int(ends[expert, device]))
            for expert in range(shape[0])
            for device in range(shape[1])
        ]
        return Assignment(in_order(chunks), devices.native)
