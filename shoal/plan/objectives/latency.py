"""Seconds from an item's arrival to its answer, in an empty pipe."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.record import Prediction, Run


@dataclass(frozen=True)
class Latency:
    """Seconds from an item's arrival to its answer, in an empty pipe."""

    unit = "s"
    figure = "latencies_s"

    def predicted(self, prediction: Prediction) -> float:
        """Its value in a plan's estimate; smaller is better."""
        return prediction.alone_latency_s

    def obtained(self, run: Run) -> float | None:
        """Its value in a run; None: the run cannot tell."""
        return run.alone_latency_s
