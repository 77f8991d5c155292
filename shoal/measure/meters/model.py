"""Stated power times measured time, where no meter is."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """idle_w × seconds + core_w × CPU seconds of this process."""

    idle_w: float = 5.0  # W, the machine doing nothing
    core_w: float = 5.0  # W more for each busy core

    @property
    def available(self) -> bool:
        """Always."""
        return True

    def start(self) -> ModelReading:
        """See `Meter.start`."""
        return ModelReading(self, time.monotonic(), time.process_time())


@dataclass(frozen=True)
class ModelReading:
    """Clock and CPU seconds at the start."""

    model: Model
    began_s: float
    began_cpu_s: float

    def stop(self) -> float | None:
        """See `Reading.stop`."""
        idle_j = self.model.idle_w * (time.monotonic() - self.began_s)
        return idle_j + self.model.core_w * (time.process_time() - self.began_cpu_s)
