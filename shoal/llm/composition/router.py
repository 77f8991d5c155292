"""Which model a request goes to: a linear classifier of runs of bytes, and a default where it is not sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
SLOTS = 4096  # that runs of bytes are hashed to
RUNS = (1, 2, 3)  # bytes
STEPS, RATE, DECAY = 200, 8.0, 1e-4


@dataclass(frozen=True)
class Route:
    """Where a request goes."""

    expert: str
    confidence: float  # the router's probability of its likeliest expert
    likeliest: str
    default: bool  # it was not sure enough

    @property
    def said(self) -> str:
        """In words."""
        if not self.default:
            return f"{self.expert}, {self.confidence:.0%} sure"
        return f"{self.expert} as the default: only {self.confidence:.0%} sure of {self.likeliest}"


@dataclass(frozen=True, eq=False)
class Router:
    """Trained on labelled text."""

    experts: tuple[str, ...]
    weights: F32  # (slots + 1, experts), the last row added always
    default: str
    threshold: float = 0.6  # probability below which the default answers

    def __post_init__(self) -> None:
        if self.default not in self.experts:
            raise InputError("the default is no expert", had=self.default, needed=", ".join(self.experts))
        if not 0 <= self.threshold <= 1:
            raise InputError("a probability is from 0 to 1", where="threshold", had=f"{self.threshold:g}")

    def route(self, prompt: bytes) -> Route:
        """The expert for a prompt.

        Raises:
            InputError: there is nothing in it.
        """
        if not prompt:
            raise InputError("an empty prompt goes nowhere")
        chances = _softmax(_counted([np.frombuffer(prompt, np.uint8)]) @ self.weights)[0]
        at = int(chances.argmax())
        unsure = bool(chances[at] < self.threshold)
        return Route(self.default if unsure else self.experts[at], float(chances[at]), self.experts[at], unsure)


def learned(
    texts: Mapping[str, U8], default: str, places: int = 96, each: int = 200, threshold: float = 0.6, seed: int = 0
) -> Router:
    """A router that has learned stretches of each expert's text.

    Args:
        texts: what each expert learned from.
        default: who answers where the router is not sure.
        places: bytes of a stretch.
        each: stretches of every text, drawn by the seed.
        threshold: see `Router`.
        seed: of the draw.

    Raises:
        InputError: a text is shorter than a stretch, or the default is no expert.
    """
    rng, names = np.random.default_rng(seed), tuple(texts)
    short = [name for name in names if len(texts[name]) <= places]
    if short or len(names) < 2:
        raise InputError("a router needs two texts, each longer than a stretch", where=", ".join(short or names))
    rows = [
        texts[name][at : at + places] for name in names for at in rng.integers(0, len(texts[name]) - places, each)
    ]
    given = _counted(rows)
    wanted = np.repeat(np.eye(len(names), dtype=np.float32), each, axis=0)
    weights = np.zeros((SLOTS + 1, len(names)), np.float32)
    for _ in range(STEPS):  # softmax regression, all stretches in every step
        weights -= RATE * (given.T @ (_softmax(given @ weights) - wanted) / len(given) + DECAY * weights)
    return Router(names, weights, default, threshold)


def _counted(rows: Sequence[U8]) -> F32:
    """Runs of bytes by their hash, of length one; a last column of ones."""
    found = np.zeros((len(rows), SLOTS + 1), np.float32)
    for at, row in enumerate(rows):
        values = row.astype(np.uint32)
        for run in RUNS:
            code = np.full(max(0, len(row) - run + 1), run, np.uint32)
            for place in range(run):
                code = code * np.uint32(0x01000193) ^ values[place : place + len(code)]
            np.add.at(found[at], (code * np.uint32(2654435761)) >> np.uint32(20), 1.0)
        found[at] = np.sqrt(found[at])
        found[at] /= max(1.0, float(np.linalg.norm(found[at])))
    found[:, -1] = 1.0
    return found


def _softmax(scores: F32) -> F32:
    found: F32 = np.exp(scores - scores.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    return found
