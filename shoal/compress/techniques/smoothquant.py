"""Outliers of activations moved into the weights, for networks whose activations are coded too.

Source: SmoothQuant, arXiv 2211.10438.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.compress.contract import Reading, Scales
from shoal.compress.techniques._channels import filled, largest_inputs, largest_weights
from shoal.errors import InputError


@dataclass(frozen=True)
class Smoothquant:
    """s = max|x|^α / max|w|^(1−α) by channel: x/s and W·diag(s) then share what is hard to code."""

    alpha: float = 0.5  # 1: all of it goes to the weights; 0: all of it to the activations

    needs_samples = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InputError("no share", where="smoothquant:alpha", needed="0 to 1", had=f"{self.alpha:g}")

    def scales(self, readings: Sequence[Reading]) -> Scales:
        """See `Equaliser.scales`."""
        inputs, weights = largest_inputs(readings), largest_weights(readings)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = inputs**self.alpha / weights ** (1 - self.alpha)
        return filled(np.where((inputs > 0) & (weights > 0), found, 0))
