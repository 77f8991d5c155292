"""Collective exchanges through the pool: each writes once, waits once and reads once, however many they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.wire.pool.port import Port

CHUNK_BYTES = 1 << 22  # of what is written: the server adds one while the next is copied
Array = NDArray[Any]


class Exchanges:
    """All ports call the same, in the same order; arrays are contiguous, of one axis, and changed in place.

    `cuts` says where parts begin and the last one ends: port r has array[cuts[r] : cuts[r + 1]].
    """

    def __init__(self, port: Port) -> None:
        self._port, self._round = port, 0
        self._places = {each.name: at for at, each in enumerate(port.layout.tensors)}

    def all_reduce(self, array: Array) -> None:
        """Each has an array; afterwards all have the sum.

        Raises, as all here:
            WireError: a port is missing, or exchanges something else.
            WorkerDied: the server has ended.
        """
        array[:] = self._exchanged("sum", [(0, array)], len(array), array.dtype)

    def reduce_scatter(self, array: Array, cuts: Sequence[int]) -> None:
        """Each has an array; afterwards each has the sum in its own part."""
        found = self._exchanged("sum", [(0, array)], len(array), array.dtype)
        own = slice(cuts[self._port.number], cuts[self._port.number + 1])
        array[own] = found[own]

    def all_gather(self, array: Array, cuts: Sequence[int]) -> None:
        """Each has its part; afterwards all have all."""
        first, end = cuts[self._port.number], cuts[self._port.number + 1]
        array[:] = self._exchanged("whole", [(first, array[first:end])], len(array), array.dtype)

    def all_to_all(self, array: Array) -> None:
        """Each has a part of the same length for every port; afterwards each has those that are for it, by port."""
        count = self._port.layout.ports
        own, length = self._port.number, len(array) // count
        found = self._exchanged("whole", [(own * len(array), array)], count * len(array), array.dtype)
        array[:] = found.reshape(count, count, length)[:, own].ravel()

    def broadcast(self, array: Array, root: int) -> None:
        """One has the array; afterwards all have it."""
        given = [(0, array if root == self._port.number else array[:0])]
        array[:] = self._exchanged("whole", given, len(array), array.dtype)

    def _exchanged(self, sort: str, given: Sequence[tuple[int, Array]], count: int, like: np.dtype[Any]) -> Array:
        """What lies in the tensor when all have written."""
        tensor, step = self._places[f"{sort}/{self._round % 2}"], CHUNK_BYTES // like.itemsize
        total, at = count * like.itemsize, 0
        for first, array in given:
            for chunk in range(0, max(1, len(array)), step):
                part = array[chunk : chunk + step]
                self._port.write(tensor, self._round, part, (first + chunk) * like.itemsize, total, at)
                at += part.nbytes
        self._port.wait(tensor, self._round, self._port.all)
        self._round += 1
        return self._port.view(tensor, like, 0, total)
