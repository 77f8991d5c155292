"""Peak bytes of the fullest device."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.record import Prediction, Run


@dataclass(frozen=True)
class Memory:
    """Peak bytes of the fullest device."""

    unit = "B"
    figure = "peak_bytes"

    def predicted(self, prediction: Prediction) -> float:
        """Its value in a plan's estimate; smaller is better."""
        return float(max(prediction.memory_bytes.values()))

    def obtained(self, run: Run) -> float | None:
        """Its value in a run; None: the run cannot tell."""
        peaks = [device.peak_bytes for device in run.devices.values() if device.peak_bytes is not None]
        return float(max(peaks)) if peaks and len(peaks) == len(run.devices) else None
