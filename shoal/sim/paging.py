"""A transformer's steps on devices with little memory of their own: tensors are paged in from a large remote memory.

The order of operations is known, so tensors are fetched by schedule, so many operations ahead. Some are pinned: those
of which most bytes are spared for each byte held, among equals spread evenly over the order, so that the channel is
never idle for long. Experts cannot be fetched before their router has spoken.
Source: "FengHuang: Next-Generation Memory Orchestration for AI Inferencing", arXiv 2511.10753, 2025.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from shoal.cost.pooled import Exchange, RingLinks
from shoal.errors import InputError, LimitError
from shoal.units import format_bytes

GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Tensor:
    """What an operation needs in local memory."""

    bytes: float  # if it is pinned
    read_bytes: float  # of it at each step: of experts those that tokens went to
    foreseen: bool = True  # can be fetched before the operation's turn
    pieces: int = 1  # experts, say: the operation works on those that are there while others come
    written_bytes: float = 0.0  # new at each step, paged out where it is not pinned

    def __post_init__(self) -> None:
        if not 0 <= self.read_bytes <= self.bytes or self.written_bytes < 0 or self.pieces < 1:
            raise InputError(
                "a tensor is read as far as it goes", had=f"{self.read_bytes:g} of {self.bytes:g} bytes"
            )


@dataclass(frozen=True)
class Op:
    """One operation of one device, its part of the tensors."""

    name: str
    flops: float
    tensors: tuple[Tensor, ...]
    moved_bytes: float = 0.0  # activations, through local memory
    reduced_bytes: float = 0.0  # that are added over all devices afterwards

    @property
    def read_bytes(self) -> float:
        """Of its tensors."""
        return sum(each.read_bytes for each in self.tensors)


@dataclass(frozen=True)
class Xpu:
    """An accelerator and its ways out. Defaults: NVIDIA H200."""

    flops_per_s: float = 989e12  # bfloat16, dense; data sheet
    flops_share: float = 0.6  # of that in large products; choice
    local_bytes_per_s: float = 4.8e12  # HBM3e; data sheet
    local_share: float = 0.9  # of that for long streams; choice
    remote_bytes_per_s: float = 4.8e12  # page-in; of the publication's 4.0 to 6.4 TB/s
    remote_s: float = 0.5e-6  # of every transfer; choice

    def __post_init__(self) -> None:
        rates = (self.flops_per_s, self.local_bytes_per_s, self.remote_bytes_per_s)
        if min(*rates, self.flops_share, self.local_share) <= 0 or max(self.flops_share, self.local_share) > 1:
            raise InputError("rates are above zero, shares at most 1", where="xPU", had=str(self))

    def seconds(self, op: Op) -> float:
        """Roofline of one operation whose tensors are in local memory."""
        local = (op.read_bytes + sum(each.written_bytes for each in op.tensors) + op.moved_bytes) / (
            self.local_bytes_per_s * self.local_share
        )
        return max(op.flops / (self.flops_per_s * self.flops_share), local)

    def fetch_s(self, size: float) -> float:
        """Of one transfer."""
        return self.remote_s + size / self.remote_bytes_per_s if size else 0.0


@dataclass(frozen=True)
class Paged:
    """A step in the steady state."""

    seconds: float
    working_s: float  # of operations and exchanges, without waiting for pages
    exchange_s: float
    fetched_bytes: float
    pinned_bytes: float
    peak_bytes: float  # of local memory: activations, what is pinned, and the most that is streamed at once


def least_bytes(ops: Sequence[Op], window: int = 1) -> float:
    """Local memory that holds so many operations' tensors beside those of the one at work, wherever that is.

    Raises:
        InputError: a window below zero.
    """
    if window < 0:
        raise InputError("a window is 0 or more operations", had=str(window))
    return working_bytes(ops) + max(_windows([needs_bytes(op.tensors) for op in ops], window))


def pins(ops: Sequence[Op], local_bytes: float, window: int = 1) -> frozenset[tuple[int, int]]:
    """Which tensors stay, as places of operation and tensor: those first that spare most bytes for each byte held.

    What is left of local memory holds activations, and the window over all others.
    """
    return _pins(tuple(ops), local_bytes, window)


@lru_cache(maxsize=64)  # rates and exchanges change nothing of it
def _pins(ops: tuple[Op, ...], local_bytes: float, window: int) -> frozenset[tuple[int, int]]:
    found = [(at, place) for at, op in enumerate(ops) for place, each in enumerate(op.tensors) if each.bytes]
    spread = {each: math.modf((1 + at) * GOLDEN)[0] for at, each in enumerate(found)}
    count, span = len(ops), min(1 + window, len(ops))
    windows = _windows([needs_bytes(op.tensors) for op in ops], window)
    kept, held_bytes = set[tuple[int, int]](), working_bytes(ops)
    for at, place in sorted(found, key=lambda each: (-_worth(_at(ops, each)), spread[each])):
        tensor = ops[at].tensors[place]
        others = windows.copy()
        for each in range(span):
            others[(at + each) % count] -= needs_bytes([tensor])
        if held_bytes + tensor.bytes + max(others) <= local_bytes * (1 + 1e-12):  # sums of unlike order
            kept.add((at, place))
            held_bytes += tensor.bytes
            windows = others
    return frozenset(kept)


def paged(
    ops: Sequence[Op],
    xpu: Xpu,
    local_bytes: float = math.inf,
    window: int = 1,
    exchange: Exchange | None = None,
    devices: int = 1,
    steps: int = 3,
    *,
    pinned: bool = True,
) -> Paged:
    """The last of several steps, one after another.

    Args:
        ops: of a step, of each device alike.
        xpu: the device.
        local_bytes: of it; infinite: all is resident.
        window: operations whose tensors may be on their way, or there, before their turn; 0: on demand.
        exchange: how sums over devices are formed.
        devices: so many.
        steps: the more, the less the beginning matters.
        pinned: what fits beside the window stays; else nothing does.

    Raises:
        LimitError: an operation does not fit; how many bytes it takes.
        InputError: a window below zero.
    """
    check_room(ops, local_bytes)
    held = pins(ops, local_bytes, window) if pinned else frozenset[tuple[int, int]]()
    exchanges = exchanges_s(ops, exchange or RingLinks(), devices)
    run = _Schedule(ops, xpu, held, local_bytes, window, exchanges)
    begun_s = 0.0
    for step in range(steps):
        begun_s = run.end_s
        run.step(step)
    held_bytes = sum(_at(ops, each).bytes for each in held)
    peak = working_bytes(ops) + held_bytes + run.peak_bytes
    return Paged(run.end_s - begun_s, sum(map(xpu.seconds, ops)) + sum(exchanges), sum(exchanges),
                 sum(map(sum, run.streamed)), held_bytes, peak)  # fmt: skip


def check_room(ops: Sequence[Op], local_bytes: float) -> None:
    """Refuse local memory in which not even the largest operation fits.

    Raises:
        LimitError: how many bytes it takes.
    """
    alone = least_bytes(ops, 0)
    if local_bytes < alone:
        raise LimitError("local memory does not hold the largest operation", needed=format_bytes(math.ceil(alone)),
                         had=format_bytes(math.floor(local_bytes)))  # fmt: skip


def exchanges_s(ops: Sequence[Op], exchange: Exchange, devices: int) -> list[float]:
    """Seconds of the sum over devices after each operation."""
    return [
        exchange.all_reduce_s(op.reduced_bytes, devices) if op.reduced_bytes and devices > 1 else 0.0 for op in ops
    ]


class _Schedule:
    """When operations and transfers begin and end; one channel, in the order of use."""

    def __init__(
        self,
        ops: Sequence[Op],
        xpu: Xpu,
        held: frozenset[tuple[int, int]],
        local_bytes: float,
        window: int,
        exchanges: Sequence[float],
    ) -> None:
        self._ops, self._xpu, self._window, self._exchanges = ops, xpu, window, exchanges
        self._room = local_bytes - working_bytes(ops) - sum(_at(ops, each).bytes for each in held)
        free = [
            [each for at, each in enumerate(op.tensors) if (place, at) not in held] for place, op in enumerate(ops)
        ]
        self.streamed = [  # foreseen, and on demand
            (sum(each.read_bytes for each in tensors if each.foreseen),
             sum(each.read_bytes for each in tensors if not each.foreseen)) for tensors in free
        ]  # fmt: skip
        self._outs = [sum(each.written_bytes for each in tensors) for tensors in free]
        self._sizes = [sum(pair) + out for pair, out in zip(self.streamed, self._outs, strict=True)]
        self._starts, self._ends = list[float](), list[float]()
        self._channel_s = 0.0
        self._oldest, self._here_bytes = 0, 0.0  # the first operation whose streamed tensors are counted as here
        self.peak_bytes = 0.0

    @property
    def end_s(self) -> float:
        """Of what has been done so far."""
        return self._ends[-1] if self._ends else 0.0

    def step(self, number: int) -> None:
        """All operations once more."""
        for place in range(len(self._ops)):
            self._do(number * len(self._ops) + place, place)

    def _do(self, at: int, place: int) -> None:
        early, late = self.streamed[place]
        free_s = self._free_s(at, self._sizes[place])
        turn_s = self.end_s
        if early:
            issued_s = (
                turn_s if not self._window else self._starts[at - self._window] if at >= self._window else 0.0
            )
            self._channel_s = max(self._channel_s, issued_s, free_s) + self._xpu.fetch_s(early)
            turn_s = max(turn_s, self._channel_s)
        end_s = 0.0
        work_s = self._xpu.seconds(self._ops[place])
        if late:
            pieces = max(each.pieces for each in self._ops[place].tensors if not each.foreseen)
            begun_s = max(self._channel_s, self.end_s, free_s)
            self._channel_s = begun_s + self._xpu.fetch_s(late)
            turn_s = max(turn_s, begun_s + self._xpu.fetch_s(late / pieces))
            end_s = self._channel_s + work_s / pieces
        self._starts.append(turn_s)
        self._ends.append(max(turn_s + work_s, end_s) + self._exchanges[place])

    def _free_s(self, at: int, size: float) -> float:
        """When enough has been let go; what an operation streams goes when it ends."""
        free_s = 0.0
        while self._oldest < at and self._here_bytes + size > self._room * (1 + 1e-12):
            self._here_bytes -= self._sizes[self._oldest % len(self._ops)]
            free_s = self._ends[self._oldest]
            self._oldest += 1
        while self._oldest < at and self._oldest + self._window < at:  # the schedule lets it go whatever the room
            self._here_bytes -= self._sizes[self._oldest % len(self._ops)]
            self._oldest += 1
        self._here_bytes += size
        self.peak_bytes = max(self.peak_bytes, self._here_bytes)
        return free_s


def needs_bytes(tensors: Sequence[Tensor]) -> float:
    """Local memory of tensors that are streamed."""
    return sum(each.read_bytes + each.written_bytes for each in tensors)


def _windows(sizes: Sequence[float], window: int) -> list[float]:
    """Of each operation with a window before it, round the circle."""
    span = min(1 + window, len(sizes))
    return [sum(sizes[at - each] for each in range(span)) for at in range(len(sizes))]


def working_bytes(ops: Sequence[Op]) -> float:
    """Activations of the operation that has most of them."""
    return max(op.moved_bytes for op in ops)


def _worth(tensor: Tensor) -> float:
    return needs_bytes([tensor]) / tensor.bytes


def _at(ops: Sequence[Op], place: tuple[int, int]) -> Tensor:
    return ops[place[0]].tensors[place[1]]
