"""Shares of a prefill's time by class of operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.llm.profile.subject import Subject, ready
from shoal.llm.profile.timing import Point
from shoal.measure.child import asked

CLASSES = ("gemm", "attention", "ssm_conv", "ssm_scan", "norm", "activation", "memory", "other")


@dataclass(frozen=True)
class Job:
    """What the process is asked."""

    subjects: tuple[Subject, ...]
    points: tuple[Point, ...]
    threads: int


@dataclass(frozen=True)
class Shares:
    """One prefill. An operation belongs to the nearest module, scan or convolution around it that has a class: products
    within a scan are the scan's. Outside of those its name decides, and what is between operations is "other".
    """

    subject: str
    point: Point
    seconds: dict[str, float]  # by class, those of `CLASSES`
    clocked_s: float  # by the clock around the whole

    @property
    def percent(self) -> dict[str, float]:
        """Of the time by the clock."""
        return {name: 100 * each / self.clocked_s for name, each in self.seconds.items()}

    @property
    def scan(self) -> float:
        """Per cent of what only state-space layers have."""
        return self.percent["ssm_scan"] + self.percent["ssm_conv"]


def breakdown(
    subjects: Sequence[Subject], points: Sequence[Point], threads: int = 1, patience_s: float = 1800.0
) -> tuple[Shares, ...]:
    """Where the time of prefills goes, in a process of its own.

    Raises:
        InputError: a sequence is longer than a model knows positions.
        MissingExtra: transformers is not installed.
        WorkError: the process measuring died, or took too long.
    """
    ready(subjects, max(each.context for each in points))
    job = Job(tuple(subjects), tuple(points), threads)
    return asked(
        "shoal.llm.profile.breakdown", job, tuple[Shares, ...], "operations of language models", patience_s
    )
