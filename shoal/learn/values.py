"""What training by a group is told, and what each member answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.learn.adam import Adam
from shoal.train.language import Decoder, Stretches, stretches

PLAN, TEXT = "plan.json", "text"
U8 = NDArray[np.uint8]


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


@dataclass(frozen=True)
class Share:
    """What a member did."""

    losses: tuple[float, ...]  # of its items, before each step
    file_bytes: int  # of its states
    peak_bytes: int  # of weights, gradients and states in memory at once
    sent_bytes: int


def items(text: U8, places: int, batch: int, order: int, steps: range) -> Iterator[tuple[int, Stretches]]:
    """The stretches of text of each of these steps, from 0: what every member knows without being told."""
    every = stretches(text, places)
    shuffled = np.random.default_rng(order).permutation(len(every.x))
    for step in steps:
        chosen = shuffled[(step * batch + np.arange(batch)) % len(shuffled)]
        yield step, Stretches(every.x[chosen], every.y[chosen])


def states_path(folder: Path, rank: int) -> Path:
    """A member's file."""
    return folder / f"states-{rank}.store"
