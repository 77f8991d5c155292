"""What happened, what was expected, and how each figure was got."""

from shoal.record.observed import Answer, Observed, UnitReport
from shoal.record.values import (
    DeviceFigures,
    Estimate,
    Fact,
    Outline,
    Prediction,
    Provenance,
    Run,
    Sample,
    Span,
    Trace,
)

__all__ = [
    "Answer",
    "DeviceFigures",
    "Estimate",
    "Fact",
    "Observed",
    "Outline",
    "Prediction",
    "Provenance",
    "Run",
    "Sample",
    "Span",
    "Trace",
    "UnitReport",
]
