"""Diffusion of small pictures: a network learns what noise is in them; a sampler takes it out step by step.

Sources: DDPM, arXiv 2006.11239; the schedule of cosines, arXiv 2102.09672; DDIM, arXiv 2010.02502.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.study._unet import PICTURE, TIME, Unet
from shoal.train import Recipe, fit
from shoal.train.library import torch_module

F32 = NDArray[np.float32]
Run = Callable[[Mapping[str, F32]], F32]  # a network: its inputs → the noise
OFFSET = 0.008  # of the schedule, so that the first steps are not too small
FASTEST = 1e-4  # of the features of time, in radians a step of a thousand
MEMORY = 0.995  # of the weights' running mean


@dataclass(frozen=True)
class Schedule:
    """How much of a picture is left after each of so many steps of noising."""

    steps: int = 200

    @cached_property
    def kept(self) -> NDArray[np.float64]:
        """The share of the energy that is the picture's, (steps,), falling."""
        at = (np.arange(1, self.steps + 1) / self.steps + OFFSET) / (1 + OFFSET)
        found: NDArray[np.float64] = np.maximum(
            np.cos(at * np.pi / 2) ** 2 / np.cos(OFFSET / (1 + OFFSET) * np.pi / 2) ** 2, 1e-4
        )
        return found

    def features(self, steps: NDArray[Any], count: int) -> F32:
        """Sines and cosines of these steps, (n, count, 1, 1)."""
        rates = FASTEST ** (np.arange(count // 2) / (count // 2))
        angles = np.asarray(steps)[:, None] * (1000 / self.steps) * rates
        both = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
        return both[:, :, None, None].astype(np.float32)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Items to learn from, without anything to be told of them."""

    x: F32  # (n, 1, 8, 8)
    y: NDArray[np.int64]  # (n,), zeros


@dataclass(frozen=True)
class Sampler:
    """Pictures from noise in so many steps, without further noise: equal noise gives equal pictures."""

    schedule: Schedule
    steps: int = 50
    features: int = 64  # of time

    def pictures(self, run: Run, noise: F32) -> F32:
        """From −1 to 1, of the noise's shape."""
        times = np.linspace(self.schedule.steps - 1, 0, self.steps).round().astype(int)
        shares = [*self.schedule.kept[times].tolist(), 1.0]
        x = noise
        for time, (now, then) in zip(times, pairwise(shares), strict=True):
            told = self.schedule.features(np.full(len(x), time), self.features)
            found = run({PICTURE: x, TIME: told})
            clean = np.clip((x - (1 - now) ** 0.5 * found) / now**0.5, -1, 1)
            x = (then**0.5 * clean + (1 - then) ** 0.5 * found).astype(np.float32)
        return x


def train(file: Path, images: F32, unet: Unet, schedule: Schedule, recipe: Recipe) -> tuple[float, ...]:
    """Write the trained network to `file`: the running mean of its weights. The loss of each step is given back.

    Args:
        file: .onnx.
        images: (n, 1, 8, 8), from −1 to 1.
        unet: the network.
        schedule: of the noise.
        recipe: how.

    Raises:
        MissingExtra: torch is not installed.
    """
    import onnx

    parts = torch_module("shoal.study._denoiser")
    from shoal.compress.gradients import Differentiable
    from shoal.graph import load

    weights = unet.drawn(recipe.seed)
    onnx.save(unet.model(weights), file)
    network = Differentiable(load(file, sizes={"batch": 1}))
    denoiser = parts.Denoiser(network, list(weights), schedule, unet.times)
    means = parts.RunningMean(denoiser)
    items = Pictures(images, np.zeros(len(images), np.int64))
    fitted = fit(denoiser, items, recipe, loss=parts.lost, penalty=means, arm="diffusion")
    onnx.save(unet.model(means.arrays), file)
    return fitted.losses
