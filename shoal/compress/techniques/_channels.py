"""What equalisers look at: figures by channel of a tensor, over all layers that read it, and what rounding loses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shoal.compress.contract import Reading, Scales
from shoal.formats import quantise, restored


def largest_inputs(readings: Sequence[Reading]) -> Scales:
    """The largest magnitude that came in by each channel."""
    return _most([each.by_channel(each.seen.largest) for each in readings])


def largest_weights(readings: Sequence[Reading]) -> Scales:
    """The largest magnitude among the weights that each channel is multiplied with."""
    return _most([each.by_channel(np.abs(each.grouped).max(axis=1)) for each in readings])


def root_mean_squares(readings: Sequence[Reading]) -> Scales:
    """Of what came in by each channel."""
    squares = [each.by_channel(np.diagonal(each.seen.square, axis1=1, axis2=2)) for each in readings]
    return np.sqrt(_most(squares))


def _most(figures: Sequence[Scales]) -> Scales:
    found: Scales = np.max(figures, axis=0)
    return found


def filled(scales: Scales) -> Scales:
    """Where there is none, because nothing came in or goes out, the geometric mean of the others."""
    known = (scales > 0) & np.isfinite(scales)
    if not known.any():
        return np.ones_like(scales)
    return np.where(known, scales, np.exp(np.log(scales[known]).mean()))


def lost(reading: Reading, scales: Scales) -> float:
    """The energy of the error of the layer's outputs, once the weights are rounded with these scales."""
    off = 0.0
    for group, (own, each) in enumerate(zip(reading.grouped, scales[reading.channels], strict=True)):
        importance = (reading.seen.importance(group) / each**2).astype(np.float32)
        coded = quantise(reading.form, (own * each).astype(np.float32), importance)
        error = (restored(reading.form, coded) / each - own).astype(np.float32)
        square = reading.seen.square[group].astype(np.float32)  # twice as fast, and exact enough
        off += float(np.einsum("ri,ri->", error @ square, error))
    return off


def energy(reading: Reading) -> float:
    """Of the layer's outputs."""
    energies = (reading.seen.energy(own, group) for group, own in enumerate(reading.grouped))
    return max(sum(energies), 1e-30)
