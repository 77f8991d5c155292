"""Peak bytes of the fullest device."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.record import Prediction, Run


@dataclass(frozen=True)
class Memory:
    """Peak bytes of the fullest device."""

    unit = "B"

    def predicted(self, prediction: Prediction) -> float:
        """Its value in a plan's estimate; smaller is better."""
        return float(max(prediction.memory_bytes.values()))

    def obtained(self, run: Run) -> float:
        """Its value in a run; smaller is better."""
        return float(max(device.peak_bytes or 0 for device in run.devices.values()))
