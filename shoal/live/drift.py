"""How fast devices and links are against what the plans took them to be, from what the workers tell.

What is out of use tells nothing. After a while it counts as described again, so that a plan may try it once more;
that while doubles each time it proves as slow as before.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shoal.fleet import Fleet

FADES_S = 10.0  # of computing, after which what was seen before counts for 1/e
LEAST_S = 0.5  # of predicted computing before a device is judged
FADES_RATES, LEAST_RATES = 5.0, 3.0  # the same for links, in rates told
TOLD_LOG = math.log(1.15)  # a device that changes by less than this is not told
TOLD_RATE_LOG = math.log(1.5)  # nor a link by less than this: rates vary more
FORGET_S, LONGEST_FORGET_S = 60.0, 3600.0

Pair = frozenset[str]


@dataclass
class _Judged:
    """A device or a link."""

    least: float  # of what was predicted, before it is judged
    told_log: float
    seen_s: float  # monotonic
    spent: float = 0.0
    predicted: float = 0.0
    told: float = 1.0  # the factor that plans were last made with
    forget_s: float = FORGET_S

    def add(self, spent: float, predicted: float, keep: float, now_s: float) -> None:
        self.spent = self.spent * keep + spent
        self.predicted = self.predicted * keep + predicted
        self.seen_s = now_s

    @property
    def factor(self) -> float:
        return max(1e-3, self.spent / self.predicted) if self.predicted >= self.least else self.told

    @property
    def changed(self) -> bool:
        return abs(math.log(self.factor / self.told)) > self.told_log

    def tell(self) -> None:
        if self.predicted >= self.least and abs(math.log(self.factor)) <= self.told_log:
            self.forget_s = FORGET_S
        self.told = self.factor

    def forget(self, now_s: float) -> bool:
        """Count as described if nothing was seen for long; whether that is a change."""
        if self.told == 1.0 or now_s - self.seen_s < self.forget_s:
            return False
        self.spent = self.predicted = 0.0
        self.told, self.forget_s = 1.0, min(LONGEST_FORGET_S, 2 * self.forget_s)
        return True


@dataclass
class Drift:
    """Factors of devices and links: seconds really spent over seconds predicted, the latest counting most."""

    clock: Callable[[], float] = time.monotonic
    _devices: dict[str, _Judged] = field(default_factory=dict)
    _links: dict[Pair, _Judged] = field(default_factory=dict)
    _last: dict[tuple[int, str], tuple[float, dict[str, int]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, epoch: int, unit: str, vitals: Mapping[str, Any], segments_s: Mapping[str, float]) -> None:
        """Take in what a worker says of itself; `segments_s` are the seconds predicted for its segments."""
        busy_s, ran = float(vitals["busy_s"]), {name: int(count) for name, count in vitals["ran"].items()}
        with self._lock:
            before_s, before = self._last.get((epoch, unit), (0.0, {}))
            self._last[epoch, unit] = busy_s, ran
            if busy_s < before_s:  # another worker than last time
                before_s, before = 0.0, {}
            predicted_s = sum(
                segments_s[name] * (count - before.get(name, 0))
                for name, count in ran.items()
                if name in segments_s
            )  # of what else it says it ran, nothing was predicted
            if predicted_s <= 0:
                return
            now_s = self.clock()
            device = self._devices.setdefault(_device(unit), _Judged(LEAST_S, TOLD_LOG, now_s))
            device.add(busy_s - before_s, predicted_s, math.exp(-predicted_s / FADES_S), now_s)

    def learn_rates(self, unit: str, rates: Mapping[str, float], fleet: Fleet) -> None:
        """Take in the rates (bytes per second) at which a worker's links took what it sent, by peer.

        Only links that join just two devices are judged: on a shared one each pair has a part.
        """
        known = {device.name for device in fleet.devices}
        own_links = {frozenset(link.members): link for link in fleet.links if len(link.members) == 2}
        with self._lock:
            for peer, rate in rates.items():
                link = own_links.get(pair := frozenset((_device(unit), _device(peer))))
                if link is not None and pair <= known:
                    now_s = self.clock()
                    judged = self._links.setdefault(pair, _Judged(LEAST_RATES, TOLD_RATE_LOG, now_s))
                    judged.add(link.bandwidth_bytes_per_s / rate, 1.0, math.exp(-1 / FADES_RATES), now_s)

    def news(self) -> bool:
        """Whether something changed by so much that plans should be judged anew; asking takes note of it."""
        with self._lock:
            now_s = self.clock()
            judged = [*self._devices.values(), *self._links.values()]
            forgotten = [each.forget(now_s) for each in judged]
            changed = any(forgotten) or any(each.changed for each in judged)
            for each in judged if changed else ():
                each.tell()
            return changed

    @property
    def factors(self) -> dict[str, float]:
        """By which the seconds of each device are to be multiplied, as of the latest news."""
        with self._lock:
            return {name: each.told for name, each in self._devices.items()}

    def on(self, fleet: Fleet) -> Fleet:
        """`fleet` with its links at the rates they have, as of the latest news."""
        with self._lock:
            told = {pair: each.told for pair, each in self._links.items()}
        return replace(
            fleet,
            links=tuple(
                replace(
                    link, bandwidth_bytes_per_s=link.bandwidth_bytes_per_s / told.get(frozenset(link.members), 1.0)
                )
                for link in fleet.links
            ),
        )


def _device(unit: str) -> str:
    return unit.partition("/")[0]
