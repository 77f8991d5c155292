"""One worker of `_zero_infinity_parts`: it reads records with the others, in parts and from their owner."""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shoal import catalog
from shoal.measure.joined import worked_together
from shoal.store import FileTier, Throttled, Tier
from shoal.store.partition import Owned, Partitioned, part_path, whole_records
from shoal.wire.collectives import FAMILY, Collective, Group


@dataclass(frozen=True)
class Reading:
    """What to read."""

    whole: str  # the file; `split` has left the parts beside it
    read_bytes_per_s: float  # that each worker's disk is held to


@dataclass(frozen=True)
class Took:
    """Seconds of all records; each record was checked against its checksum."""

    parts_s: float
    owner_s: float
    gather_s: float  # of so many bytes that were in memory: the way between workers alone


def main(job: Reading, group: Group) -> Took:
    """Both ways, one after the other."""
    whole, how = Path(job.whole), catalog.make(FAMILY, "direct")
    records = whole_records(whole.parent)
    mine = Throttled(FileTier(part_path(whole.parent, group.rank)), job.read_bytes_per_s)
    owned = Throttled(FileTier(whole), job.read_bytes_per_s) if group.rank == 0 else None
    ways: list[Tier] = [Partitioned(records, mine, group, how), Owned(records, owned, group, how)]
    held = memoryview(mmap.mmap(-1, max(each.bytes for each in records.values())))
    held[:] = bytes(len(held))  # so that its pages are there
    parts_s, owner_s = (_seconds(each, held, group, how) for each in ways)
    return Took(parts_s, owner_s, _gather_s(held, group, how))


def _seconds(tier: Tier, held: memoryview, group: Group, how: Collective) -> float:
    _meet(group, how)
    begun_s = time.perf_counter()
    for key, record in tier.records.items():
        tier.read(key, held[: record.bytes])
    _meet(group, how)
    return time.perf_counter() - begun_s


def _gather_s(held: memoryview, group: Group, how: Collective) -> float:
    array = np.frombuffer(held, np.uint8)
    _meet(group, how)
    begun_s = time.perf_counter()
    how.broadcast(group, array, 0)
    _meet(group, how)
    return time.perf_counter() - begun_s


def _meet(group: Group, how: Collective) -> None:
    """Wait for all."""
    how.all_gather(group, np.zeros(group.members, np.uint8), range(group.members + 1))


if __name__ == "__main__":
    worked_together(main, Reading)
