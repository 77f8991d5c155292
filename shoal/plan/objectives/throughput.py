"""Seconds between answers once the pipe is full; one over the throughput."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.record import Prediction, Run


@dataclass(frozen=True)
class Throughput:
    """Seconds between answers once the pipe is full; one over the throughput."""

    unit = "s/item"
    figure = "period_s"

    def predicted(self, prediction: Prediction) -> float:
        """Its value in a plan's estimate; smaller is better."""
        return prediction.period_s

    def obtained(self, run: Run) -> float | None:
        """Its value in a run; None: the run cannot tell."""
        return run.period_s or None
