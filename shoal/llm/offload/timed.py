"""How long steps of a model take whose weights come from a store, and what memory that needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.measure.watched import Watched, watched
from shoal.store import Told

MODULE, WHERE = "shoal.llm.offload.alone", "steps of a model from a store"


@dataclass(frozen=True)
class Job:
    """Steps in a process of its own."""

    folder: str  # of the kept store
    budget_bytes: int
    ahead: int
    tokens: tuple[int, ...]  # read in the first step
    new: int = 0  # tokens then given one by one, the likeliest each time
    repeats: int = 1  # of reading, where nothing is given
    every: bool = False  # logits of every place, as scoring a text asks for them, not of the last alone
    policy: str = "cyclic"
    read_bytes_per_s: float = 0.0  # that the store is held to; 0: what the disk gives
    latency_s: float = 0.0
    slower: float = 0.0  # held to a rate at which all weights take so many of the first job's steps; 0: as above


@dataclass(frozen=True)
class Steps:
    """What the process answers."""

    given: tuple[int, ...]
    logits: tuple[float, ...]  # of the last place of the first step
    seconds: tuple[float, ...]  # of each step
    ended_s: tuple[float, ...]  # when each ended, by the store's clock
    told: Told


def run(job: Job, patience_s: float = 900.0) -> Watched[Steps]:
    """Do it in a process of its own, whose memory is looked at.

    Raises:
        WorkError: the process died or took too long; its message is the last of what it said.
    """
    found = watched(MODULE, (job,), tuple[Steps, ...], WHERE, patience_s)
    return Watched(found.answer[0], found.before_bytes, found.peak_bytes)


def run_all(jobs: Sequence[Job], patience_s: float = 1800.0) -> tuple[Steps, ...]:
    """Do them one after another in one process.

    Raises:
        WorkError: see `run`.
    """
    return watched(MODULE, tuple(jobs), tuple[Steps, ...], WHERE, patience_s).answer
