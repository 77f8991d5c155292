"""Memory that a language model takes at its most, in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.llm.profile.subject import Subject, ready
from shoal.llm.profile.timing import Point
from shoal.measure.child import asked


@dataclass(frozen=True)
class Trial:
    """What is tried: a prefill, and a token after it."""

    subject: Subject
    point: Point
    limit_bytes: int = 0  # that the model may take, weights included, kept by the system; 0: none


@dataclass(frozen=True)
class Job:
    """What the process is asked."""

    trials: tuple[Trial, ...]
    threads: int


@dataclass(frozen=True)
class Peak:
    """Of a trial."""

    subject: str
    point: Point
    peak_bytes: int = (
        0  # resident at most beyond what there was without the model: weights, what is kept, activations
    )
    cache_bytes: int = 0  # of the tensors kept of the sequence
    fault: str = ""  # "does not fit: …"


def peaks(trials: Sequence[Trial], threads: int = 1, patience_s: float = 1800.0) -> tuple[Peak, ...]:
    """Memory of models, one trial after another: each takes what the one before gave back.

    Raises:
        InputError: a sequence is longer than the model knows positions.
        MissingExtra: transformers is not installed.
        WorkError: the process measuring died, or took too long.
    """
    for each in trials:
        ready([each.subject], each.point.context + 1)
    job = Job(tuple(trials), threads)
    return asked("shoal.llm.profile.alone", job, tuple[Peak, ...], "memory of language models", patience_s)
