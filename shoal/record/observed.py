"""What a coordinator saw and its workers reported, before anyone draws conclusions: the raw form of a Run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shoal.record.values import Fact, Span


@dataclass(frozen=True, slots=True)
class Answer:
    """One item's way through: when it came, when all its outputs were there."""

    item: int
    arrived_s: float
    answered_s: float
    empty: bool = False  # a gate stopped it
    epoch: int = 0  # of the program it went through


@dataclass(frozen=True)
class UnitReport:
    """What one unit did."""

    busy_s: float
    sent_bytes: int
    received_bytes: int
    cpu_s: float | None = None
    resident_bytes: int | None = None
    peak_bytes: int | None = None
    behind_s: float | None = None  # throttled workers: by how much at most they were slower than they should be


@dataclass(frozen=True)
class Totals:
    """Exact sums over a whole run, of what was kept as spans and what was not."""

    segment_s: Mapping[str, float]  # segment → seconds it ran
    sent_bytes: Mapping[str, int]  # edge → payload bytes, those from the client too
    unreceived_bytes: Mapping[str, int]  # edge → of these, still on their way at the end or lost with a unit
    ended_s: float  # when the last run or transfer ended

    def scaled(self, factor: float) -> Totals:
        """The same with every time multiplied by `factor`."""
        segment_s = {name: seconds * factor for name, seconds in self.segment_s.items()}
        return replace(self, segment_s=segment_s, ended_s=self.ended_s * factor)


@dataclass(frozen=True)
class Observed:
    """The answers in the order they came, the units' reports, spans and facts."""

    answers: tuple[Answer, ...]
    units: Mapping[str, UnitReport]
    spans: tuple[Span, ...]
    spans_dropped: int
    facts: tuple[Fact, ...]
    late_share: float | None = None  # emulation: share of answers that really came after their due time
    missed: tuple[int, ...] = ()  # emulation: items of which a message came too late to be chosen in its turn
    totals: Totals | None = None  # where the observer knows them, as the simulator does

    def scaled(self, factor: float) -> Observed:
        """The same events with every time of the run multiplied by `factor`; CPU time and facts stay as they are."""
        return replace(
            self,
            answers=tuple(
                replace(each, arrived_s=each.arrived_s * factor, answered_s=each.answered_s * factor)
                for each in self.answers
            ),
            units={name: replace(unit, busy_s=unit.busy_s * factor) for name, unit in self.units.items()},
            totals=self.totals and self.totals.scaled(factor),
            spans=tuple(
                replace(span, start_s=span.start_s * factor, end_s=span.end_s * factor) for span in self.spans
            ),
        )
