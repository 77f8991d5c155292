"""How fast the devices are against what the plans took them to be, from what their workers say they spent."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FADES_S = 10.0  # of computing, after which what was seen before counts for 1/e
LEAST_S = 0.5  # of predicted computing before a device is judged
TOLD_LOG = math.log(1.15)  # a change by less than this is not told


@dataclass
class _Device:
    spent_s: float = 0.0
    predicted_s: float = 0.0
    told: float = 1.0  # the factor that plans were last made with

    @property
    def factor(self) -> float:
        return max(1e-3, self.spent_s / self.predicted_s) if self.predicted_s >= LEAST_S else self.told


@dataclass
class Drift:
    """Factors by device: seconds really spent over seconds predicted, the latest counting most."""

    _devices: dict[str, _Device] = field(default_factory=dict)
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
            device = self._devices.setdefault(unit.partition("/")[0], _Device())
            keep = math.exp(-predicted_s / FADES_S)
            device.spent_s = device.spent_s * keep + (busy_s - before_s)
            device.predicted_s = device.predicted_s * keep + predicted_s

    def news(self) -> bool:
        """Whether a device changed by so much that plans should be judged anew; asking takes note of it."""
        with self._lock:
            changed = [each for each in self._devices.values() if abs(math.log(each.factor / each.told)) > TOLD_LOG]
            for each in self._devices.values() if changed else ():
                each.told = each.factor
            return bool(changed)

    @property
    def factors(self) -> dict[str, float]:
        """By which the seconds of each device are to be multiplied, as of the latest news."""
        with self._lock:
            return {name: each.told for name, each in self._devices.items()}
