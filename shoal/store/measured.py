"""How fast a tier reads here and now."""

from __future__ import annotations

import mmap
import time
from dataclasses import replace

from shoal.store.contract import Tier
from shoal.store.values import Record, TierFigures


def measured(tier: Tier, readings: int = 3) -> TierFigures:
    """The tier's figures with the rate and the latency that its smallest and its largest record show.

    The quickest of so many readings counts: other work on the machine only ever adds. Where all records are of one size,
    all of the time is the rate's.

    Raises:
        ModelError: a record is damaged.
        WorkError: the tier cannot be read.
    """
    ordered = sorted(tier.records.values(), key=lambda record: record.bytes)
    small, large = ordered[0], ordered[-1]
    small_s, large_s = (min(_read_s(tier, each) for _ in range(readings)) for each in (small, large))
    if large.bytes > small.bytes and large_s > small_s:
        rate = (large.bytes - small.bytes) / (large_s - small_s)
        return replace(tier.figures, read_bytes_per_s=rate, latency_s=max(0.0, small_s - small.bytes / rate))
    return replace(tier.figures, read_bytes_per_s=large.bytes / large_s, latency_s=0.0)


def _read_s(tier: Tier, record: Record) -> float:
    held = mmap.mmap(-1, record.bytes)
    begun_s = time.perf_counter()
    tier.read(record.key, memoryview(held))
    return time.perf_counter() - begun_s
