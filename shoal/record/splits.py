"""Networks cut in two: what each cut should do by formula, what it did, and which cuts are worth having."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from statistics import median

from shoal.record.values import Provenance


@dataclass(frozen=True)
class Twin:
    """A pipeline of two stages by formula, from the seconds of its parts and its link."""

    first_s: float
    second_s: float
    link_busy_s: float  # bytes over bandwidth
    link_latency_s: float

    @property
    def latency_s(self) -> float:
        """Of one item alone; also the period where items go one at a time."""
        return self.first_s + self.link_busy_s + self.link_latency_s + self.second_s

    @property
    def period_s(self) -> float:
        """With enough items in flight: what is busiest sets the pace, and a link's latency does not."""
        return max(self.first_s, self.link_busy_s, self.second_s)

    @property
    def window(self) -> int:
        """How many items in flight are enough, one of them waiting; at least two."""
        under_way = self.latency_s / self.period_s if self.period_s > 0 else 1.0
        return max(2, ceil(under_way - 1e-9) + 1)


@dataclass(frozen=True)
class SplitRepeat:
    """One time over: items one at a time, then several in flight."""

    latency_s: float  # median from an item's start to its answer, one at a time
    sequential_period_s: float  # one at a time
    period_s: float  # several in flight
    first_s: float  # the first part's work on an item
    second_s: float
    network_s: float  # from the first byte's sending to the start of the second part; queueing is not in it


@dataclass(frozen=True)
class SplitFigures:
    """One cut between two units: what was expected, what was measured, or why it was not."""

    number: int  # of the cut among the legal ones, from 0
    after: str  # the op before the cut
    units: tuple[str, str]  # that run the first and the second part
    bytes: int  # that cross, for one item
    tensors: tuple[str, ...]
    twin: Twin
    window: int = 0  # items in flight in the pipelined runs
    items: int = 0  # in each of them
    repeats: tuple[SplitRepeat, ...] = ()
    provenance: Provenance = "measured"  # of the repeats
    outputs_match: bool | None = None  # None: not compared
    max_abs_difference: float | None = None
    reference_magnitude: float | None = None
    skipped: str = ""  # why it was not run
    failure: str = ""  # why it ended early; the repeats before that are kept

    @property
    def done(self) -> bool:
        """Whether it ran to its end."""
        return bool(self.repeats) and not self.failure

    def median_s(self, figure: str) -> float:
        """The median over repeats of one of their figures."""
        return float(median(getattr(each, figure) for each in self.repeats))

    @property
    def latency_s(self) -> float:
        """Of one item alone."""
        return self.median_s("latency_s")

    @property
    def period_s(self) -> float:
        """Mean interval between answers, with several items in flight."""
        return self.median_s("period_s")

    @property
    def throughput_items_per_s(self) -> float:
        """With several items in flight."""
        return 1 / self.period_s

    @property
    def gain(self) -> float:
        """Throughput with several items in flight over that of one at a time."""
        return self.median_s("sequential_period_s") / self.period_s

    @property
    def overlap(self) -> float:
        """The part of the gain that comes from both computing at once: at most 2. The rest is waiting removed."""
        return (self.median_s("first_s") + self.median_s("second_s")) / self.period_s


@dataclass(frozen=True)
class SplitFront:
    """All cuts of a model, and those that no other beats in both latency and throughput."""

    model: str
    splits: tuple[SplitFigures, ...]
    front: tuple[int, ...]  # places in `splits`, by latency
    knee: int | None  # the place of the best compromise
    hypervolume: float  # s², in latency and period, up to `reference`
    reference: tuple[float, float]  # 1.1 times the worst latency (s) and period (s)
    notes: tuple[str, ...] = ()  # what a reader must know of how it was made

    @property
    def best(self) -> tuple[SplitFigures, ...]:
        """The cuts on the front, by latency."""
        return tuple(self.splits[place] for place in self.front)
