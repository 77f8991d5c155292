"""Weights changed so that coded inputs give what float inputs gave. Source: QuartDepth, arXiv 2503.16709."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from shoal.compress.contract import Seen, Work
from shoal.errors import InputError


@dataclass(frozen=True)
class Compensate:
    """W + ΔW with the least ‖W·x − (W + ΔW)·x̂‖² + λ‖ΔW‖², in closed form."""

    damp: float = 0.01  # λ, of the mean diagonal

    needs_samples = True

    def __post_init__(self) -> None:
        if not 0 <= self.damp < np.inf:
            raise InputError("no damping", where="compensate:damp", needed="at least 0", had=f"{self.damp:g}")

    def apply(self, work: Work, seen: Seen | None, group: int) -> Work:
        """See `Technique.apply`."""
        if seen is None:
            raise InputError("needs calibration samples", where="compensate", hint="--samples FILE")
        square, cross = seen.square[group], seen.cross[group]
        if not square.any():  # nothing ever came in: nothing to make good
            return work
        damped = square + self.damp * np.diagonal(square).mean() * np.eye(len(square))
        if np.linalg.cond(damped) > 1 / np.finfo(np.float64).eps:
            raise InputError("the second moments of the activations have no inverse", where="compensate",
                             hint="more samples, or a damp above 0")  # fmt: skip
        change = np.linalg.solve(damped, (cross - square).T).T
        weights = work.weights.astype(np.float64)
        return replace(work, weights=(weights + weights @ change).astype(np.float32))
