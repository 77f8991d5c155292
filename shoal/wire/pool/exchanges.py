"""Collective exchanges through the pool: each writes once and reads once, however many they are.

Arrays go in chunks, a round each: while one is read, the next is written and added.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.wire.pool.port import Port
from shoal.wire.pool.values import Layout, Shared

Array = NDArray[Any]
SUM, WHOLE = "sum", "whole"  # sorts of tensors: what is written is added, or put side by side


def exchange_layout(
    ports: int, chunk_bytes: int = 1 << 20, *, at_once: int = 2, banks: int = 2, ordered: bool = True
) -> Layout:
    """What `Exchanges` need, for arrays of any size.

    Args:
        ports: so many.
        chunk_bytes: of a port, in one round.
        at_once: rounds on their way; 1: what is written is read before anything else is written.
        banks: see `Layout`.
        ordered: see `Layout`.
    """
    # Who writes a round has read the one `at_once` before it, so all have written that one, and read the one as many
    # before that again: of so many tensors that take turns, none is written while somebody still reads it.
    turns = 2 * at_once
    sorts = ((SUM, chunk_bytes, True), (WHOLE, ports * chunk_bytes, False))
    tensors = tuple(Shared(f"{sort}/{turn}", size, adds) for sort, size, adds in sorts for turn in range(turns))
    return Layout(ports, tensors, at_once * chunk_bytes, banks, ordered)


class _Round(NamedTuple):
    """One port's view of a round; places are counted in numbers."""

    given: Array  # what it writes
    start: int  # where that begins in the round's tensor
    total: int  # numbers of the tensor
    taken: Sequence[tuple[Array, int]]  # what is filled when all have written, and from where


class Exchanges:
    """All ports call the same, in the same order; arrays are contiguous, of one axis, and changed in place.

    `cuts` says where parts begin and the last one ends: port r has array[cuts[r] : cuts[r + 1]].

    Args:
        port: of a pool with an `exchange_layout`.
    """

    def __init__(self, port: Port) -> None:
        layout = port.layout
        self._port, self._number = port, 0
        self._places = {each.name: at for at, each in enumerate(layout.tensors)}
        self._at_once = len(layout.tensors) // 4
        self._chunk_bytes = layout.port_bytes // self._at_once

    def all_reduce(self, array: Array) -> None:
        """Each has an array; afterwards all have the sum.

        Raises, as all here:
            Absent: a port has left, or does not write in time.
            WireError: a port exchanges something else.
            WorkerDied: the server has ended.
        """
        self._exchange(SUM, array.dtype, (_Round(part, 0, len(part), [(part, 0)]) for part in self._chunks(array)))

    def reduce_scatter(self, array: Array, cuts: Sequence[int]) -> None:
        """Each has an array; afterwards each has the sum in its own part."""
        first, end = cuts[self._port.number], cuts[self._port.number + 1]

        def rounds() -> Iterator[_Round]:
            at = 0
            for part in self._chunks(array):
                begin, stop = (min(max(edge - at, 0), len(part)) for edge in (first, end))
                yield _Round(part, 0, len(part), [(part[begin:stop], begin)])
                at += len(part)

        self._exchange(SUM, array.dtype, rounds())

    def all_gather(self, array: Array, cuts: Sequence[int]) -> None:
        """Each has its part; afterwards all have all."""
        parts = [array[first:end] for first, end in pairwise(cuts)]
        own, step = self._port.number, self._step(array)

        def rounds() -> Iterator[_Round]:
            for at in range(0, max(map(len, parts)), step):
                now = [part[at : at + step] for part in parts]
                starts = np.cumsum([0, *map(len, now)]).tolist()
                others = [(part, starts[port]) for port, part in enumerate(now) if port != own]
                yield _Round(now[own], starts[own], starts[-1], others)

        self._exchange(WHOLE, array.dtype, rounds())

    def all_to_all(self, array: Array) -> None:
        """Each has a part of the same length for every port; afterwards each has those that are for it, by port."""
        count, own = self._port.layout.ports, self._port.number
        parts = array.reshape(count, -1)
        step = max(1, self._step(array) // count)

        def rounds() -> Iterator[_Round]:
            for at in range(0, parts.shape[1], step):
                now = parts[:, at : at + step]
                width = now.shape[1]
                taken = [(part, (port * count + own) * width) for port, part in enumerate(now)]
                yield _Round(now.ravel(), own * count * width, count * count * width, taken)

        self._exchange(WHOLE, array.dtype, rounds())

    def broadcast(self, array: Array, root: int) -> None:
        """One has the array; afterwards all have it."""
        mine = root == self._port.number
        self._exchange(WHOLE, array.dtype,
                       (_Round(part, 0, len(part), []) if mine else _Round(part[:0], 0, len(part), [(part, 0)])
                        for part in self._chunks(array)))  # fmt: skip

    def _exchange(self, sort: str, like: np.dtype[Any], rounds: Iterable[_Round]) -> None:
        """Write ahead as far as memory goes, and take each round when all have written it."""
        under_way: deque[tuple[int, _Round]] = deque()
        for each in rounds:
            if len(under_way) == self._at_once:
                self._take(sort, like, *under_way.popleft())
            at = self._number % self._at_once * self._chunk_bytes
            start, total = each.start * like.itemsize, each.total * like.itemsize
            self._port.write(self._place(sort, self._number), self._number, each.given, start, total, at)
            under_way.append((self._number, each))
            self._number += 1
        while under_way:
            self._take(sort, like, *under_way.popleft())

    def _take(self, sort: str, like: np.dtype[Any], number: int, found: _Round) -> None:
        place = self._place(sort, number)
        self._port.wait(place, number, self._port.all)
        whole = self._port.view(place, like, 0, found.total * like.itemsize)
        for array, start in found.taken:
            array[:] = whole[start : start + len(array)]

    def _place(self, sort: str, number: int) -> int:
        return self._places[f"{sort}/{number % (2 * self._at_once)}"]

    def _chunks(self, array: Array) -> list[Array]:
        step = self._step(array)
        return [array[at : at + step] for at in range(0, len(array), step)]

    def _step(self, array: Array) -> int:
        return self._chunk_bytes // array.itemsize
