"""How fast units and links are over time, and when work of a given size ends."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import inf, prod

from shoal.program import Media
from shoal.sim.scenario import Fault, LinkSlows, UnitSlows, of_link

Change = tuple[float, float, float]  # from, to, speed between them


class Speeds:
    """A speed that is 1 outside of all changes; changes that overlap multiply."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._times_s = sorted({time_s for change in changes for time_s in change[:2] if time_s < inf})
        self._speeds = [1.0] + [
            prod(speed for from_s, to_s, speed in changes if from_s <= time_s < to_s) for time_s in self._times_s
        ]  # the one before the first time, then from each time on

    def end_s(self, begin_s: float, seconds: float) -> float:
        """When work ends that takes `seconds` at speed 1; never (infinite) if the speed stays 0."""
        now_s, left_s = begin_s, seconds
        stretch = bisect_right(self._times_s, begin_s)
        for speed, until_s in zip(self._speeds[stretch:], [*self._times_s[stretch:], inf], strict=True):
            needed_s = left_s / speed if speed else inf
            if now_s + needed_s <= until_s:
                return now_s + needed_s
            left_s -= (until_s - now_s) * speed
            now_s = until_s
        return inf


class ChangingMedia(Media):
    """Media some of which are slow or down for a while."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        super().__init__()
        self._faults = [fault for fault in faults if isinstance(fault, LinkSlows)]
        self._speeds: dict[str, Speeds] = {}

    def _end_s(self, medium: str, begin_s: float, seconds: float) -> float:
        if medium not in self._speeds:
            own = (fault for fault in self._faults if of_link(medium, fault.link))
            self._speeds[medium] = Speeds([(fault.from_s, fault.to_s, fault.rate) for fault in own])
        return self._speeds[medium].end_s(begin_s, seconds)


def speeds_of_unit(unit: str, faults: Iterable[Fault]) -> Speeds | None:
    """The unit's, or None if nothing slows it."""
    slow = [fault for fault in faults if isinstance(fault, UnitSlows) and fault.unit == unit]
    return Speeds([(fault.from_s, fault.to_s, 1 / fault.factor) for fault in slow]) if slow else None
