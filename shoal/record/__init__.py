"""What happened, what was expected, and how each figure was got."""

from shoal.record.kernels import KINDS, MIXING, KernelKind, KernelSample, KernelWork
from shoal.record.observed import Answer, Observed, Totals, UnitReport
from shoal.record.splits import SplitFigures, SplitFront, SplitRepeat, Twin
from shoal.record.values import (
    Band,
    CarbonRates,
    DeviceFigures,
    Estimate,
    Fact,
    FrontPoint,
    Goal,
    Outline,
    Prediction,
    Provenance,
    Run,
    Sample,
    Span,
    Trace,
)

__all__ = [
    "KINDS",
    "MIXING",
    "Answer",
    "Band",
    "CarbonRates",
    "DeviceFigures",
    "Estimate",
    "Fact",
    "FrontPoint",
    "Goal",
    "KernelKind",
    "KernelSample",
    "KernelWork",
    "Observed",
    "Outline",
    "Prediction",
    "Provenance",
    "Run",
    "Sample",
    "Span",
    "SplitFigures",
    "SplitFront",
    "SplitRepeat",
    "Totals",
    "Trace",
    "Twin",
    "UnitReport",
]
