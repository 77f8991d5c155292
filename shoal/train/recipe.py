"""How a network is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from shoal.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """Everything but the network and the data; two equal recipes on one machine give equal weights.

    Raises:
        InputError: a figure out of range.
    """

    steps: int = 400
    batch: int = 64  # items a step
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    rate: float = 1e-3  # learning rate of the first step
    schedule: Literal["cosine", "constant"] = "cosine"  # to zero, or none
    momentum: float = 0.9  # of sgd
    decay: float = 0.0  # of weights, a share of the rate
    warmup: float = 0.0  # share of the steps in which the rate rises from nothing
    clip: float = 0.0  # longest gradient, all weights together; 0: as it is
    seed: int = 0  # of the order of items, and of noise in the network
    threads: int = 1  # of torch, while it trains

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"no training with {name} {getattr(self, name)}", needed="at least 1")
        if not 0 < self.rate < math.inf or not 0 <= self.decay < math.inf or not 0 <= self.momentum < 1:
            raise InputError("a rate above 0, a decay from 0 and a momentum from 0 up to 1 are needed",
                             had=f"{self.rate:g}, {self.decay:g}, {self.momentum:g}")  # fmt: skip
        if not 0 <= self.warmup < 1 or not 0 <= self.clip < math.inf:
            raise InputError("a warm-up from 0 up to 1 and a clip from 0 are needed",
                             had=f"{self.warmup:g}, {self.clip:g}")  # fmt: skip

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rising = self.warmup * self.steps
        if step < rising:
            return self.rate * (step + 1) / (rising + 1)
        if self.schedule == "constant":
            return self.rate
        return self.rate * 0.5 * (1 + math.cos(math.pi * step / self.steps))
