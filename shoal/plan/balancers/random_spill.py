"""What overloads a device to any other that has room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shoal.plan.balancers.contract import I64, Assignment, Chunk, Devices, in_order, plain
from shoal.plan.balancers.least_loaded import native_copies


@dataclass(frozen=True)
class RandomSpill:
    """Experts in an order that is drawn; what goes beyond a device's even share goes to others in an order that is drawn.

    A rival of `least_loaded`: as even, but it does not choose what moves where. All devices draw alike.
    """

    seed: int = 0  # of what is drawn

    def assign(self, loads: I64, devices: Devices, past: Sequence[I64] = ()) -> Assignment:
        """See `Balancer`."""
        plain(loads, devices)  # checks them
        return Assignment(in_order(tuple(self._chunks(loads, devices))), devices.native)

    def _chunks(self, loads: I64, devices: Devices) -> Iterator[Chunk]:
        source = np.random.default_rng(self.seed)
        most = np.ceil(loads.sum() * devices.copies_per_s / devices.copies_per_s.sum()).astype(np.int64)
        load = native_copies(loads, devices)
        for expert in source.permutation(len(loads)).tolist():
            home, end = int(devices.native[expert]), int(loads[expert])
            excess = min(end, max(0, int(load[home] - most[home])))
            load[home] -= excess
            start = end - excess
            yield Chunk(expert, home, 0, start)
            for device in source.permutation(devices.count).tolist():
                size = min(end - start, max(0, int(most[device] - load[device])))
                load[device] += size
                yield Chunk(expert, device, start, start + size)
                start += size
