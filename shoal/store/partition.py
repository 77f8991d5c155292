"""A store among the members of a group: every record in parts, or whole with one of them.

Source: Rajbhandari et al., "ZeRO-Infinity: Breaking the GPU Memory Wall for Extreme Scale Deep Learning", SC 2021,
section 6.1.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from shoal import codec
from shoal.errors import ModelError
from shoal.store.contract import Tier
from shoal.store.file import Index, write_file
from shoal.store.values import PAGE, Arrays, Key, Record, TierFigures
from shoal.wire.collectives import Collective, Group, even

INDEX = "whole.json"


def part_path(folder: Path, rank: int) -> Path:
    """Where `split` leaves a member's file."""
    return folder / f"part-{rank}.store"


def split(whole: Tier, folder: Path, members: int) -> None:
    """Write a file for each member, which has its pages of every record, and what the records are.

    Raises:
        ModelError: what is read is damaged.
        WorkError: a file cannot be read or written.
    """
    for rank in range(members):
        write_file(_parts(whole, rank, members), part_path(folder, rank))
    codec.save(Index(tuple(whole.records.values())), folder / INDEX)


def whole_records(folder: Path) -> Mapping[Key, Record]:
    """The records that were split.

    Raises:
        InputError: nothing was split into this folder.
    """
    return {each.key: each for each in codec.load(Index, folder / INDEX).records}


def _parts(whole: Tier, rank: int, members: int) -> Iterator[tuple[Key, Arrays]]:
    for key, record in whole.records.items():
        held = mmap.mmap(-1, record.bytes)
        whole.read(key, memoryview(held))
        begin, end = even(record.bytes, members, PAGE)[rank : rank + 2]
        yield key, {"part": np.frombuffer(held, np.uint8)[begin:end]}


class Partitioned:
    """A tier that each member reads its part of, over its own line, whereupon all gather the parts.

    Every member reads the same keys in the same order; with a `TensorStore` above it that takes one reader and the same
    uses, none of them foreseen.

    Args:
        records: of the whole.
        mine: this member's part of each.
        group: the members.
        how: they gather.
    """

    def __init__(self, records: Mapping[Key, Record], mine: Tier, group: Group, how: Collective) -> None:
        self.records, self._mine, self._group, self._how = records, mine, group, how
        rate = mine.figures.read_bytes_per_s
        self.figures: TierFigures = replace(
            mine.figures,
            name=f"{group.members} × {mine.figures.name}",
            read_bytes_per_s=rate and rate * group.members,
            whole=True,
        )

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        """See `Tier`."""
        record, rank = self.records[key], self._group.rank
        cuts = even(record.bytes, self._group.members, PAGE)
        begin, end = cuts[rank : rank + 2]
        if begin < end:  # a record of few pages has none for some
            if self._mine.records[key].bytes != end - begin:
                raise ModelError("a part of a record is of another length", where=str(key), needed=f"{end - begin} bytes",
                                 had=str(self._mine.records[key].bytes))  # fmt: skip
            self._mine.read(key, into[begin:end])
        self._how.all_gather(self._group, np.frombuffer(into, np.uint8), cuts)
        _check(record, into)

    def close(self) -> None:
        """See `Tier`."""
        self._mine.close()


class Owned:
    """A tier that one member reads whole, over its line alone, and sends to all: what `Partitioned` is held against."""

    def __init__(
        self, records: Mapping[Key, Record], whole: Tier | None, group: Group, how: Collective, owner: int = 0
    ) -> None:
        self.records, self._whole, self._group, self._how, self._owner = records, whole, group, how, owner
        self.figures = replace(whole.figures if whole else TierFigures("elsewhere"), whole=True)

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        """See `Tier`."""
        if self._whole is not None:
            self._whole.read(key, into)
        self._how.broadcast(self._group, np.frombuffer(into, np.uint8), self._owner)
        _check(self.records[key], into)

    def close(self) -> None:
        """See `Tier`."""
        if self._whole is not None:
            self._whole.close()


def _check(record: Record, held: memoryview) -> None:
    if zlib.crc32(held) != record.crc32:
        raise ModelError("parts do not make up the record", where=str(record.key), hint="split the store again")
