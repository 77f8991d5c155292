"""Latency and energy of prefill and decode over contexts and batches, in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.llm.profile.subject import Subject, ready
from shoal.measure import Spread
from shoal.measure.child import asked


@dataclass(frozen=True)
class Point:
    """A prompt of so many tokens, in so many sequences at once."""

    context: int
    batch: int = 1


@dataclass(frozen=True)
class Protocol:
    """How each point is timed. All models take turns in each round: what disturbs the machine meets all of them."""

    repeats: int = 5  # rounds after one that does not count
    steps: int = 8  # tokens of decode after each prefill
    most_s: float = 60.0  # of a point; then no further rounds,
    least: int = 2  # but so many
    threads: int = 1
    limit_bytes: int = 0  # of memory beside the models' weights; 0: none
    idle_w: float = 5.0  # stated, where the machine has no counter of energy
    core_w: float = 5.0  # of a core at work, above idle


USUAL = Protocol()


@dataclass(frozen=True)
class Job:
    """What the process is asked."""

    subjects: tuple[Subject, ...]
    points: tuple[Point, ...]
    protocol: Protocol


@dataclass(frozen=True)
class Timed:
    """One model at one point."""

    subject: str
    point: Point
    prefill: Spread | None = None  # time to the first token (TTFT); None: it does not fit
    decode: Spread | None = None  # time of each token after (TPOT), of all sequences together
    prefill_j: float = 0.0
    decode_j: float = 0.0  # of a step
    metered: bool = False  # by the machine's counters; else stated power times time
    fault: str = ""  # why there are no figures: "does not fit: …"


def sweep(
    subjects: Sequence[Subject],
    points: Sequence[Point],
    protocol: Protocol = USUAL,
    patience_s: float = 3600.0,
) -> tuple[Timed, ...]:
    """Time all models at all points.

    Raises:
        InputError: a sequence is longer than a model knows positions.
        MissingExtra: transformers is not installed.
        WorkError: the process measuring died, or took too long.
    """
    ready(subjects, max(each.context for each in points) + protocol.steps)
    job = Job(tuple(subjects), tuple(points), protocol)
    return asked("shoal.llm.profile.timed", job, tuple[Timed, ...], "timing language models", patience_s)
