"""Joules an item of the hungriest device, idle power over the period included."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.record import Prediction, Run


@dataclass(frozen=True)
class Energy:
    """Joules an item of the hungriest device, idle power over the period included."""

    unit = "J/item"
    figure = "energy_j"

    def predicted(self, prediction: Prediction) -> float:
        """Its value in a plan's estimate; smaller is better."""
        return max(prediction.energy_j.values())

    def obtained(self, run: Run) -> float | None:
        """Its value in a run; None: the run cannot tell."""
        return max(device.energy_j for device in run.devices.values()) / run.items if run.devices else None
