"""Outliers of activations moved into the weights, for networks whose activations are coded too.

Source: SmoothQuant, arXiv 2211.10438.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.compress.contract import Reading, Scales
from shoal.compress.techniques._channels import energy, filled, largest_inputs, largest_weights, lost
from shoal.errors import InputError

STEPS = 127  # of eight bits, on each side of 0


@dataclass(frozen=True)
class Smoothquant:
    """s = max|x|^α / max|w|^(1−α) by channel: x/s and W·diag(s) then share what is hard to code.

    A tensor whose layers would lose more so stays as it is: behind a GELU, where few channels are loud and few places
    of those, the weights of all others would be in the way.
    """

    alpha: float = 0.5  # 1: all of it goes to the weights; 0: all of it to the activations
    always: bool = False  # also where it is expected to do harm

    needs_samples = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InputError("no share", where="smoothquant:alpha", needed="0 to 1", had=f"{self.alpha:g}")

    def scales(self, readings: Sequence[Reading]) -> Scales:
        """See `Equaliser.scales`."""
        inputs, weights = largest_inputs(readings), largest_weights(readings)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = inputs**self.alpha / weights ** (1 - self.alpha)
        found = filled(np.where((inputs > 0) & (weights > 0), found, 0))
        ones = np.ones_like(found)
        return found if self.always or expected(readings, found) < expected(readings, ones) else ones


def expected(readings: Sequence[Reading], scales: Scales) -> float:
    """What is lost with inputs in eight bits and weights in their formats: shares of the layers' outputs, summed.

    Rounding to steps of d makes errors of the mean square d²/12, alike in all channels, which the weights multiply.
    """
    noise = float((largest_inputs(readings) / scales).max() / STEPS) ** 2 / 12
    gains = (float(np.square(each.grouped * scales[each.channels][:, None]).sum()) for each in readings)
    return sum(
        (noise * gain + lost(each, scales)) / energy(each) for each, gain in zip(readings, gains, strict=True)
    )
