"""Records that several processes read in parts, each over a disk of its own that is held to a rate; and from one owner."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from shoal.cost.offload import owner_s, partitioned_s
from shoal.measure.joined import joined
from shoal.store import FileTier, Key, write_file
from shoal.store.partition import split
from shoal.study import Bench, Finding, Shown, Table
from shoal.study._zero_infinity_reader import Reading, Took

MODULE, WHERE = "shoal.study._zero_infinity_reader", "records read in parts"
WORKERS = (1, 2, 4)
RECORDS = 4
PATIENCE_S = 300.0
HELD = "each worker's disk is held to {:.0f} MB/s (emulated); workers are processes that share memory"


def read_in_parts(megabytes: float, megabytes_per_s: float, bench: Bench) -> Iterator[Shown]:
    """Both ways with one, two and four workers."""
    runs: dict[int, Took] = {}
    with tempfile.TemporaryDirectory(prefix="shoal-parts-") as folder:
        whole = Path(folder, "whole.store")
        source = np.random.default_rng(0)
        size = round(megabytes * 1e6 / RECORDS)
        write_file(((Key(at), {"w": source.integers(0, 256, size, np.uint8)}) for at in range(RECORDS)), whole)
        total = sum(each.bytes for each in FileTier(whole).records.values())
        for workers in WORKERS:
            bench.say(f"records in {workers} parts")
            split(FileTier(whole), whole.parent, workers)
            jobs = [Reading(str(whole), megabytes_per_s * 1e6)] * workers
            found = joined(MODULE, jobs, Took, WHERE, PATIENCE_S)
            runs[workers] = max((each.answer for each in found), key=lambda took: took.parts_s)
    for workers in WORKERS[1:]:
        took = runs[workers]
        yield Finding(f"parts{workers}", took.owner_s / took.parts_s, "emulated", RECORDS)
    yield _table(runs, total, megabytes_per_s)


def _table(runs: dict[int, Took], total: int, megabytes_per_s: float) -> Table:
    """Beside what the formulas say of the way between workers as it was measured alone."""
    rows = []
    for workers, took in runs.items():
        slow, fast = megabytes_per_s * 1e6, total / RECORDS / took.gather_s
        rows.append((workers, took.owner_s, owner_s(total, slow, fast) if workers > 1 else total / slow,
                     took.parts_s, partitioned_s(total, workers, slow, fast), took.owner_s / took.parts_s))  # fmt: skip
    columns = ("workers", "one owner, s", "by the formula, s", "in parts, s", "by the formula, s", "in parts ×")
    return Table(f"{total / 1e6:.0f} MB read for all workers", columns, rows, note=HELD.format(megabytes_per_s))
