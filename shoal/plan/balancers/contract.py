"""What a balancer is: how many tokens each expert has and where experts are in, which device computes which of them out.

An expert's tokens stand in one order that all devices know (those of the first device first); a chunk is a stretch of it.
A copy is a token on its way to one of its experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.errors import PlanError

FAMILY = "plan/balancers"
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


class Chunk(NamedTuple):
    """Copies [start, stop) of an expert, computed by one device."""

    expert: int
    device: int
    start: int
    stop: int

    @property
    def copies(self) -> int:
        """How many."""
        return self.stop - self.start


class Move(NamedTuple):
    """An expert's weights, sent where they are not."""

    expert: int
    source: int
    target: int


@dataclass(frozen=True, eq=False)
class Devices:
    """Who holds which experts, how fast each computes, and what others' experts cost it.

    Attributes:
        native: (experts,), the device that holds each.
        copies_per_s: (devices,), as fast as one another if only their ratio matters.
        transfer_s: of one expert's weights to another device, which does not compute meanwhile.
        room: (devices,), how many experts of others each has memory for.
    """

    native: I64
    copies_per_s: F64
    transfer_s: float = 0.0
    room: I64 = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        count = len(self.copies_per_s)
        if not len(self.room):
            object.__setattr__(self, "room", np.full(count, len(self.native), np.int64))
        if not count or len(self.room) != count or not (self.copies_per_s > 0).all() or self.transfer_s < 0:
            raise PlanError("devices need a speed and room each", had=f"{self.copies_per_s}, {self.room}")
        if self.native.ndim != 1 or not ((self.native >= 0) & (self.native < count)).all():
            raise PlanError("an expert is on a device that is not there", needed=f"0 to {count - 1}",
                            had=str(self.native))  # fmt: skip

    @property
    def count(self) -> int:
        """Of devices."""
        return len(self.copies_per_s)

    @classmethod
    def alike(cls, native: I64, count: int, room: int | None = None) -> Devices:
        """So many devices as fast as one another, to which weights come at no cost."""
        return cls(native, np.ones(count), room=np.full(count, len(native) if room is None else room, np.int64))


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which device computes which copies.

    Attributes:
        chunks: by expert and start; those of an expert follow one another without a gap.
        native: (experts,), as told.
        resident: (expert, device) that need no move though the device is not the native one.
        said: what a limit has kept the balancer from, in words.
    """

    chunks: tuple[Chunk, ...]
    native: I64
    resident: frozenset[tuple[int, int]] = frozenset()
    said: str = ""

    @property
    def moves(self) -> tuple[Move, ...]:
        """Weights to be sent, each once to a device."""
        pairs = dict.fromkeys((each.expert, each.device) for each in self.chunks)
        return tuple(
            Move(expert, int(self.native[expert]), device)
            for expert, device in pairs
            if device != self.native[expert] and (expert, device) not in self.resident
        )

    def copies(self, devices: int) -> I64:
        """How many each device computes."""
        found = np.zeros(devices, np.int64)
        for each in self.chunks:
            found[each.device] += each.copies
        return found

    def seconds(self, devices: Devices) -> F64:
        """Until each device is done: weights that come, then copies."""
        found: F64 = self.copies(devices.count) / devices.copies_per_s
        for move in self.moves:
            found[move.target] += devices.transfer_s
        return found

    def device_of(self, experts: I64, positions: I64) -> I64:
        """The device of each copy, by its expert and its place in the expert's order."""
        if not self.chunks:
            return np.zeros(len(experts), np.int64)
        table = np.array(self.chunks, np.int64)
        longest = int(table[:, 3].max()) + 1
        at = np.searchsorted(table[:, 0] * longest + table[:, 3], experts * longest + positions, side="right")
        found: I64 = table[at, 1]
        return found


class Balancer(Protocol):
    """A member of `plan/balancers`: a pure function, so that every device makes the same plan by itself."""

    def assign(self, loads: I64, devices: Devices, past: Sequence[I64] = ()) -> Assignment:
        """Share out `loads` copies of each expert.

        Args:
            loads: (experts,).
            devices: which compute.
            past: loads of steps before, for those who place by them.

        Raises:
            PlanError: loads that are not one for each expert.
        """


def plain(loads: I64, devices: Devices, said: str = "") -> Assignment:
    """Every copy at its expert's native device.

    Raises:
        PlanError: loads that are not one for each expert.
    """
    if loads.shape != devices.native.shape or (loads < 0).any():
        raise PlanError("a load for each expert is needed", needed=str(len(devices.native)), had=str(loads.shape))
    chunks = (Chunk(at, int(devices.native[at]), 0, int(load)) for at, load in enumerate(loads) if load)
    return Assignment(tuple(chunks), devices.native, said=said)


def in_order(chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """Chunks as an assignment has them, neighbours of one device as one."""
    found: list[Chunk] = []
    for each in sorted(chunks, key=lambda chunk: (chunk.expert, chunk.start)):
        if not each.copies:
            continue
        if found and found[-1][:2] == each[:2] and found[-1].stop == each.start:
            found[-1] = found[-1]._replace(stop=each.stop)
        else:
            found.append(each)
    return tuple(found)
