"""How far two sets of pictures are apart: as sets, by the Fréchet distance of features, and one by one, in dB.

Source: FID, arXiv 1706.08500: ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2·(C₁C₂)^½), features taken as normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
RANGE = 2.0  # of pixels, from −1 to 1
MOST_DB = 99.0  # of pictures that are equal


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of features."""

    mean: F64  # (features,)
    covariance: F64  # (features, features)

    @classmethod
    def of(cls, features: F32) -> Moments:
        """Of (n, features).

        Raises:
            InputError: no more items than features, whose covariance would be singular; or something is not finite.
        """
        count, width = features.shape
        if count <= width:
            raise InputError(
                "too few pictures for a Fréchet distance",
                needed=f"more than {width}, one a feature",
                had=str(count),
            )
        if not np.isfinite(features).all():
            raise InputError("pictures that are not finite")
        return cls(features.mean(axis=0, dtype=np.float64), np.cov(features.astype(np.float64), rowvar=False))


def frechet(one: Moments, other: Moments) -> float:
    """The distance; at least 0."""
    root = _root(one.covariance)
    both = np.linalg.eigvalsh(root @ other.covariance @ root)
    apart = float(((one.mean - other.mean) ** 2).sum())
    spread = float(np.trace(one.covariance) + np.trace(other.covariance) - 2 * np.sqrt(np.maximum(both, 0)).sum())
    return max(0.0, apart + spread)


def psnr_db(pictures: F32, wanted: F32) -> F64:
    """Of each picture, (n,), against the one of the same noise."""
    lost = ((pictures.astype(np.float64) - wanted) ** 2).reshape(len(pictures), -1).mean(axis=1)
    found: F64 = np.minimum(MOST_DB, 10 * np.log10(RANGE**2 / np.maximum(lost, 1e-30)))
    return found


def _root(covariance: F64) -> F64:
    """The symmetric square root."""
    values, vectors = np.linalg.eigh(covariance)
    found: F64 = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return found
