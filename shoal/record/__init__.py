"""What happened, what was expected, and how each figure was got."""

from shoal.record.observed import Answer, Observed, UnitReport
from shoal.record.values import (
    DeviceFigures,
    Estimate,
    Fact,
    FrontPoint,
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
    "FrontPoint",
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
