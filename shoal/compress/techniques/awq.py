"""Weights that much goes through made larger before they are rounded, and what they read smaller.

Source: AWQ, arXiv 2306.00978. There the mean magnitude of activations is what is raised to a power; here it is their root
mean square, and the loss is the energy of the outputs' error, both from second moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.compress.contract import Reading, Scales
from shoal.compress.techniques._channels import energy, filled, lost, root_mean_squares
from shoal.errors import InputError


@dataclass(frozen=True)
class Awq:
    """s = rms(x)^a by channel, with the a between 0 and 1 for which rounding in the layers' formats loses least.

    Of layers that read one tensor it is the sum of losses, each over the energy of the layer's outputs. a = 0 leaves all
    as it is and is tried first, so that they never lose more together.
    """

    steps: int = 20  # between 0 and 1

    needs_samples = True

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError("nothing to try", where="awq:steps", needed="at least 1", had=str(self.steps))

    def scales(self, readings: Sequence[Reading]) -> Scales:
        """See `Equaliser.scales`."""
        strengths, whole = root_mean_squares(readings), [energy(each) for each in readings]
        tried = (_levelled(filled(strengths) ** power) for power in np.linspace(0, 1, self.steps + 1))
        return min(
            tried,
            key=lambda scales: sum(lost(each, scales) / own for each, own in zip(readings, whole, strict=True)),
        )


def _levelled(scales: Scales) -> Scales:
    """The largest and the smallest as far from 1."""
    found: Scales = scales / np.sqrt(scales.max() * scales.min())
    return found
