"""What the threads of a store take beside reading: found in its record, so that a replay takes it too."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from statistics import fmean

from shoal.store import Read, Told, Use


@dataclass(frozen=True)
class Handovers:
    """Means of a record; 0 where it shows none."""

    begin_s: float = 0.0  # from asking until an idle reader reads
    read_s: float = 0.0  # of a read, beyond the tier's figures: checking it, and coming back among other threads
    next_s: float = 0.0  # from a read to the next that somebody waits for
    wake_s: float = 0.0  # from the last read until who waited goes on


def handovers(told: Told) -> Handovers:
    """What the record shows of one reader; none where nobody has said how fast its tier is."""
    reads = sorted(told.reads, key=lambda each: each.ended_s)
    if not reads or not isfinite(told.tier.read_bytes_per_s or inf):
        return Handovers()
    waits = [_Wait(use, found) for use in told.uses if (found := _within(use, reads))]
    return Handovers(
        _mean(each.begin_s for each in waits if each.begin_s is not None),
        _mean(each.ended_s - each.begun_s - told.tier.read_s(each.bytes) for each in reads),
        _mean(gap_s for each in waits for gap_s in each.gaps_s()),
        _mean(each.use.ready_s - each.reads[-1].ended_s for each in waits),
    )


@dataclass(frozen=True)
class _Wait:
    """Somebody waits: the reader has something to do all the time."""

    use: Use
    reads: Sequence[Read]  # that ended meanwhile, in order

    @property
    def begin_s(self) -> float | None:
        """None where the reader was not idle."""
        late_s = self.reads[0].begun_s - self.use.asked_s
        return late_s if late_s >= 0 else None

    def gaps_s(self) -> Iterator[float]:
        """Between reads."""
        for one, other in zip(self.reads, self.reads[1:], strict=False):
            yield other.begun_s - one.ended_s


def _within(use: Use, reads: Sequence[Read]) -> Sequence[Read]:
    first = bisect_right(reads, use.asked_s, key=lambda each: each.ended_s)
    last = bisect_right(reads, use.ready_s, key=lambda each: each.ended_s)
    return reads[first:last]


def _mean(values: Iterator[float]) -> float:
    found = tuple(values)
    return max(0.0, fmean(found)) if found else 0.0
