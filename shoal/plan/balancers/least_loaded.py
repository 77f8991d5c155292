"""Least-loaded assignment: what overloads a device spills to the least loaded ones, and the expert's weights with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shoal.errors import PlanError
from shoal.plan.balancers.contract import F64, I64, Assignment, Chunk, Devices, in_order, plain


@dataclass(frozen=True)
class LeastLoaded:
    """Experts in falling order of load stay where they are as far as capacity goes; the rest spills. [LLA: arXiv 2601.17111]

    A device's own experts that are still to come count as load, so that few weights move. Devices that are not alike have
    capacities by their speed and are filled by when they would be done; a foreign expert's weights take from a device's
    capacity what it could have computed meanwhile, and where all this gains nothing, nothing is moved.
    """

    gate: float = 1.3  # busiest over mean from which anything is moved
    of: Literal["devices", "experts"] = "devices"  # whose loads the gate compares
    slack: float = 1.0  # capacity over an even share
    least: int = 32  # copies worth a product of their own

    def __post_init__(self) -> None:
        if not (self.gate >= 1 and self.slack >= 1 and self.least >= 1):
            raise PlanError("options out of range", where="least_loaded", needed="gate, slack and least of 1 at least",
                            had=repr(self))  # fmt: skip

    def assign(self, loads: I64, devices: Devices, past: Sequence[I64] = ()) -> Assignment:
        """See `Balancer`."""
        stayed = plain(loads, devices)
        if not loads.sum() or self._even(loads, devices):
            return stayed
        spill = _Spill(loads, devices, self.slack, self.least)
        found = Assignment(in_order(tuple(spill.chunks())), devices.native, said=spill.said)
        worth = found.seconds(devices).max() < stayed.seconds(devices).max()
        return found if worth else plain(loads, devices, spill.said)

    def _even(self, loads: I64, devices: Devices) -> bool:
        if self.of == "experts":
            return bool(loads.max() < self.gate * loads.mean())
        busy_s = native_copies(loads, devices) / devices.copies_per_s
        return bool(busy_s.max() < self.gate * loads.sum() / devices.copies_per_s.sum())


class _Spill:
    """One assignment in the making."""

    def __init__(self, loads: I64, devices: Devices, slack: float, least: int) -> None:
        self._loads, self._devices, self._least = loads, devices, least
        speeds = devices.copies_per_s
        self._most: F64 = np.ceil(slack * loads.sum() * speeds / speeds.sum())
        self._load = native_copies(loads, devices).astype(np.float64)  # assigned, or own and still to come
        self._room = devices.room.copy()
        self.said = ""

    def chunks(self) -> Iterator[Chunk]:
        """Of all experts, the most loaded first."""
        for expert in np.argsort(-self._loads, kind="stable").tolist():
            load, home = int(self._loads[expert]), int(self._devices.native[expert])
            excess = min(load, max(0, int(self._load[home] - self._most[home])))
            if excess < self._least and self._load[home] - self._most[home] < self._least:
                excess = 0  # not worth a product elsewhere
            self._load[home] -= excess
            yield Chunk(expert, home, 0, load - excess)
            if excess:
                yield from self._spilled(expert, home, load - excess, load)

    def _spilled(self, expert: int, home: int, start: int, stop: int) -> Iterator[Chunk]:
        """Copies [start, stop) to other devices, as little loaded as can be."""
        holds = {home}
        while start < stop:
            device, size = self._next(holds, stop - start)
            if device != home and device not in holds:
                self._room[device] -= 1
                self._load[device] += self._weights(device)
                holds.add(device)
            self._load[device] += size
            yield Chunk(expert, device, start, start + size)
            start += size

    def _next(self, holds: set[int], left: int) -> tuple[int, int]:
        """The device that takes the next of `left` copies, and how many; one takes all of them where none has room."""
        others = [at for at in range(self._devices.count) if at in holds or self._room[at] > 0]
        if len(others) < self._devices.count:
            self.said = "a device without memory for one more expert of others takes none"
        would = self._load + [0.0 if at in holds else self._weights(at) for at in range(self._devices.count)]
        by_end = sorted(others, key=lambda at: (would[at] / self._devices.copies_per_s[at], at))
        for device in by_end:
            size = min(left, int(self._most[device] - would[device]))
            if size >= min(left, self._least) and size > 0:
                return device, size
        return min(others, key=lambda at: ((would[at] + left) / self._devices.copies_per_s[at], at)), left

    def _weights(self, device: int) -> float:
        """Copies that a device could compute while an expert's weights come."""
        return float(self._devices.transfer_s * self._devices.copies_per_s[device])


def native_copies(loads: I64, devices: Devices) -> I64:
    """How many copies each device has experts for."""
    return np.bincount(devices.native, loads, devices.count).astype(np.int64)
