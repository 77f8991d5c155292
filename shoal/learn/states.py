"""What a member has of a model in training: weights, gradients and Adam's states of its part, in one file."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import IntEnum
from pathlib import Path

import numpy as np

from shoal.errors import InputError
from shoal.learn.adam import F32
from shoal.store import FileTier, Key, write_file
from shoal.store.values import Arrays

NUMBERS = "numbers"  # the one array of each record
CHUNKS = 3  # in memory at once: one that comes, one that is changed, one that goes


class Kind(IntEnum):
    """The planes of a key: layer is the unit, part the chunk of it."""

    WEIGHT, GRADIENT, MEAN, SQUARE = range(4)


def write_states(parts: Sequence[F32], chunk: int, path: Path) -> None:
    """A member's file before the first step.

    Args:
        parts: its weights of each unit.
        chunk: numbers of a chunk at most.
        path: of the file.

    Raises:
        InputError: chunks without a number.
        WorkError: the file cannot be written, as when the disk is full.
    """
    if chunk < 1:
        raise InputError("a chunk has a number at least", where="states", had=str(chunk))
    write_file(_records(parts, chunk), path)


def _records(parts: Sequence[F32], chunk: int) -> Iterator[tuple[Key, Arrays]]:
    for unit, part in enumerate(parts):
        for at, begin in enumerate(range(0, len(part), chunk)):
            here = part[begin : begin + chunk]
            for kind in Kind:
                yield Key(unit, at, kind), {NUMBERS: here if kind is Kind.WEIGHT else np.zeros_like(here)}
    yield Key(len(parts)), {NUMBERS: np.zeros(1, np.int64)}  # steps done


class States:
    """The file of one member, read and written in place with a fixed amount of memory.

    Raises:
        ModelError: no such file, or one that is damaged or cut short.
    """

    def __init__(self, path: Path) -> None:
        self._tier = FileTier(path, writable=True)
        self._steps_key = max(self._tier.records)
        most = max(record.bytes for record in self._tier.records.values())
        self._slots = [[mmap.mmap(-1, most) for _ in Kind] for _ in range(CHUNKS)]
        self.buffer_bytes = CHUNKS * len(Kind) * most
        self.file_bytes = path.stat().st_size

    @property
    def steps(self) -> int:
        """That were done.

        Raises:
            ModelError: the file is damaged.
        """
        return int(self._read(self._steps_key, self._slots[0][0])[0])

    def load(self, unit: int, kind: Kind, into: F32) -> None:
        """All of one kind of a unit.

        Raises:
            ModelError: the file is damaged, or has another number of them.
        """
        for key, place in self._chunks(unit, kind, len(into)):
            into[place] = self._read(key, self._slots[0][0])

    def keep(self, unit: int, kind: Kind, given: F32) -> None:
        """Write all of one kind of a unit.

        Raises:
            InputError: the file has another number of them.
            WorkError: they cannot be written.
        """
        for key, place in self._chunks(unit, kind, len(given)):
            self._views(key, self._slots[0][0])[:] = given[place]
            self._write(key, self._slots[0][0])

    def sweep(self, change: Callable[[F32, F32, F32, F32], None]) -> None:
        """Change every chunk in place, by kind in their order: the next is read meanwhile, and the last one written.

        Raises:
            ModelError: the file is damaged.
            WorkError: it cannot be written.
        """
        order = [key for key in self._tier.records if key.plane == Kind.WEIGHT and key != self._steps_key]
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            coming: Future[list[F32]] = reader.submit(self._read_chunk, order[0], 0)
            going: Future[None] | None = None
            for at, key in enumerate(order):
                here = coming.result()
                if at + 1 < len(order):  # into the slot of the last but one, which has been written
                    coming = reader.submit(self._read_chunk, order[at + 1], (at + 1) % CHUNKS)
                change(*here)
                if going:
                    going.result()
                going = writer.submit(self._write_chunk, key, at % CHUNKS)
            if going:
                going.result()

    def settle(self, steps: int) -> None:
        """So many steps are done: what was written stands. Work that ends before is found by checksums.

        Raises:
            WorkError: it cannot be written.
        """
        held = self._slots[0][0]
        self._views(self._steps_key, held)[:] = steps
        self._write(self._steps_key, held)
        self._tier.settle()

    def close(self) -> None:
        """Close the file."""
        self._tier.close()

    def _chunks(self, unit: int, kind: Kind, size: int) -> Iterator[tuple[Key, slice]]:
        begin, chunk = 0, 0
        while begin < size and (record := self._tier.records.get(Key(unit, chunk, kind))):
            end = begin + record.parts[0].shape[0]
            yield Key(unit, chunk, kind), slice(begin, end)
            begin, chunk = end, chunk + 1
        if begin != size:
            raise InputError(
                "the file has another number of states", where=f"unit {unit}", needed=str(size), had=str(begin)
            )

    def _read_chunk(self, key: Key, slot: int) -> list[F32]:
        return [self._read(key._replace(plane=kind), self._slots[slot][kind]) for kind in Kind]

    def _write_chunk(self, key: Key, slot: int) -> None:
        for kind in (Kind.WEIGHT, Kind.MEAN, Kind.SQUARE):
            self._write(key._replace(plane=kind), self._slots[slot][kind])

    def _read(self, key: Key, held: mmap.mmap) -> F32:
        self._tier.read(key, memoryview(held)[: self._tier.records[key].bytes])
        return self._views(key, held)

    def _views(self, key: Key, held: mmap.mmap) -> F32:
        found: F32 = self._tier.records[key].views(memoryview(held))[NUMBERS]
        return found

    def _write(self, key: Key, held: mmap.mmap) -> None:
        self._tier.write(key, memoryview(held)[: self._tier.records[key].bytes])
