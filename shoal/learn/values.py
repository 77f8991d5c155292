"""What training by a group is told, and what each member answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.learn.adam import Adam
from shoal.train.language import Decoder, corpus, stretches


@dataclass(frozen=True)
class Plan:
    """What lies in a folder, beside the members' files."""

    decoder: Decoder
    members: int

    def __post_init__(self) -> None:
        if self.members < 1:
            raise InputError("a group has members", had=str(self.members))


@dataclass(frozen=True)
class Task:
    """Steps of training."""

    folder: str
    steps: int
    batch: int = 8  # stretches of text a step, of all members together
    adam: Adam = field(default_factory=Adam)
    order: int = 0  # seed of the order of stretches
    how: str = "direct"  # of `wire/collectives`

    def items(self, places: int, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The stretches of a step, from 0, and what follows each symbol: both (batch, places)."""
        text = stretches(corpus()[0], places)
        order = np.random.default_rng(self.order).permutation(len(text.x))
        chosen = order[(step * self.batch + np.arange(self.batch)) % len(order)]
        return text.x[chosen], text.y[chosen]


@dataclass(frozen=True)
class Share:
    """What a member did."""

    losses: tuple[float, ...]  # of its items, before each step
    file_bytes: int  # of its states
    peak_bytes: int  # of weights, gradients and states in memory at once
    sent_bytes: int


def states_path(folder: Path, rank: int) -> Path:
    """A member's file."""
    return folder / f"states-{rank}.store"
