"""What happened, what was expected, and how each figure was got."""

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
    "DeviceFigures",
    "Estimate",
    "Fact",
    "Outline",
    "Prediction",
    "Provenance",
    "Run",
    "Sample",
    "Span",
    "Trace",
]
