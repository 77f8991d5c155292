"""Memory for messages on their way: fixed, page-aligned slots, each as large as its edge's bound.

An edge has one slot more than its buffer holds: the reader may still hold what it has just answered when the
next item's message comes. Every message, also an empty one, takes a slot, so what a peer can make us keep is
bounded. Low slots are taken first: memory that is never needed is never touched.
"""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import LimitError
from shoal.program import Program
from shoal.units import format_bytes

MOST_BYTES = 1 << 46  # half of what a process can address

_FREE, _TAKEN = 0, 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where the slots of one edge lie in a memory: offsets and sizes in bytes."""

    flags: int  # one byte per slot
    start: int
    stride_bytes: int
    count: int


def lay_out(program: Program, edges: Iterable[int]) -> tuple[dict[int, Place], int]:
    """The place of each edge's slots in one memory, and that memory's size in bytes.

    Raises:
        LimitError: no machine has that much, because buffers or tensors of the program are absurdly large.
    """
    counts = {index: program.edges[index].buffer_items + 1 for index in edges}
    places: dict[int, Place] = {}
    flags, start = 0, _pages(max(1, sum(counts.values())))
    for index, count in counts.items():
        stride = _pages(max(1, program.edges[index].spec.bytes(program.sizes)))
        places[index] = Place(flags, start, stride, count)
        flags, start = flags + count, start + stride * count
    if start > MOST_BYTES:
        raise _too_much(program, start)
    return places, start


class Slots:
    """The slots of one edge. One party takes, one gives back; taking never waits.

    The flags are single bytes in the memory itself, so the two may be threads or processes.
    """

    def __init__(self, memory: mmap.mmap, place: Place) -> None:
        self._memory = memory
        self._place = place
        self._base = _address(np.frombuffer(memory, np.uint8, 1, place.start))
        self._lent: set[int] = set()

    def take(self) -> int:
        """A free slot, now taken; -1 if there is none."""
        flags = self._place.flags
        found = self._memory.find(b"\0", flags, flags + self._place.count)
        if found < 0:
            return -1
        self._memory[found] = _TAKEN
        return found - flags

    def give(self, slot: int) -> None:
        """Make `slot` free."""
        self._memory[self._place.flags + slot] = _FREE

    def taken(self, slot: int) -> bool:
        """Whether `slot` is one of ours and holds a message."""
        return 0 <= slot < self._place.count and self._memory[self._place.flags + slot] == _TAKEN

    def view(self, slot: int, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """The memory of `slot` as an array."""
        place = self._place
        return np.ndarray(shape, dtype, self._memory, place.start + slot * place.stride_bytes)

    def lend(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
        """A free slot to write into, or None if there is none or the shape is above the bound."""
        slot = -1
        if prod(shape) * np.dtype(dtype).itemsize <= self._place.stride_bytes:
            slot = self.take()
        if slot < 0:
            return None
        self._lent.add(slot)
        return self.view(slot, dtype, shape)

    def claim(self, array: NDArray[Any] | None) -> int:
        """The slot that was lent as `array`, no longer lent; -1 if it is no such array."""
        if array is None or not self._lent:
            return -1
        slot, rest = divmod(_address(array) - self._base, self._place.stride_bytes)
        if rest or slot not in self._lent:
            return -1
        self._lent.remove(slot)
        return slot


class ThreadSlots(Slots):
    """Slots between two threads of one process: who finds none can wait for one."""

    def __init__(self, memory: mmap.mmap, place: Place) -> None:
        super().__init__(memory, place)
        self._changed = threading.Condition()
        self._closed = False

    def give(self, slot: int) -> None:
        """Make `slot` free and wake who waits for it."""
        super().give(slot)
        with self._changed:
            self._changed.notify()

    def wait(self, timeout_s: float | None = None) -> int:
        """A free slot, now taken, as soon as there is one; -1 when time is up or the slots were closed."""
        slot = self.take()
        if slot >= 0:
            return slot
        until = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while (slot := self.take()) < 0 and not self._closed:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return -1
                self._changed.wait(left)
        return slot

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def private_slots(program: Program, edges: Iterable[int]) -> dict[int, Slots]:
    """Slots for each of `edges` in new memory of this process; only what is used becomes resident."""
    places, memory = _private(program, edges)
    return {index: Slots(memory, place) for index, place in places.items()}


def thread_slots(program: Program, edges: Iterable[int]) -> dict[int, ThreadSlots]:
    """The same for use by two threads."""
    places, memory = _private(program, edges)
    return {index: ThreadSlots(memory, place) for index, place in places.items()}


def _private(program: Program, edges: Iterable[int]) -> tuple[dict[int, Place], mmap.mmap]:
    places, size = lay_out(program, edges)
    try:
        return places, mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as fault:
        raise _too_much(program, size) from fault


def _too_much(program: Program, needed: int) -> LimitError:
    return LimitError(
        "no room for the messages under way", where=f"program '{program.name}'", needed=format_bytes(needed),
        hint="a smaller window keeps fewer items in flight",
    )  # fmt: skip


def _pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
