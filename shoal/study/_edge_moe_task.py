"""Two things to tell of a picture: which digit it shows, and how far it is turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.study._digits import Digits, digits
from shoal.train.library import torch_module

F32 = NDArray[np.float32]
SIDE, PATCH = 24, 4  # of a picture and of a patch, pixels
PATCHES = (SIDE // PATCH) ** 2
MOST_DEGREES = 45.0
CLASS, TURN = 0, 1  # the tasks
OUTPUTS = (10, 1)  # figures of each


@dataclass(frozen=True, eq=False)
class Turned:
    """Pictures in patches, (n, patches, pixels), and (class, turn over MOST_DEGREES) of each."""

    x: F32
    y: F32

    def first(self, count: int) -> Turned:
        """So many of them."""
        return Turned(self.x[:count], self.y[:count])


def turned(copies: int, seed: int) -> tuple[Turned, Turned]:
    """To train with, each digit turned in so many ways, and to test with, each in one.

    Raises:
        MissingExtra: scikit-learn or torch is not installed.
    """
    source = np.random.default_rng(seed)
    learned, tested = digits(seed)
    return _turned(learned, copies, source), _turned(tested, 1, source)


def right(outputs: NDArray[np.floating], y: F32, task: int) -> float:
    """How good answers are, in per cent: of classes those that are right, of turns the variance that is explained."""
    if task == CLASS:
        return 100 * float(np.mean(outputs.argmax(axis=1) == y[:, CLASS]))
    wanted = y[:, TURN]
    return 100 * float(1 - np.mean((outputs[:, 0] - wanted) ** 2) / wanted.var())


def _turned(data: Digits, copies: int, source: np.random.Generator) -> Turned:
    """By bilinear sampling of the 8 × 8 pixels."""
    torch = torch_module()
    images = np.tile(data.images[:, 0], (copies, 1, 1, 1))
    turns = source.uniform(-1, 1, len(images)).astype(np.float32)
    angle = np.deg2rad(MOST_DEGREES * turns)
    zero = np.zeros_like(angle)
    rows = np.stack([np.cos(angle), -np.sin(angle), zero, np.sin(angle), np.cos(angle), zero], axis=1)
    grid = torch.nn.functional.affine_grid(
        torch.from_numpy(rows.reshape(-1, 2, 3).astype(np.float32)),
        (len(images), 1, SIDE, SIDE),
        align_corners=False,
    )
    made = torch.nn.functional.grid_sample(torch.from_numpy(images + 1), grid, align_corners=False).numpy() - 1
    across = SIDE // PATCH
    patches = made.reshape(-1, across, PATCH, across, PATCH).swapaxes(2, 3).reshape(-1, PATCHES, PATCH * PATCH)
    classes = np.tile(data.labels, copies).astype(np.float32)
    return Turned(np.ascontiguousarray(patches), np.stack([classes, turns], axis=1))
