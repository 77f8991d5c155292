"""What equalisers look at: figures by channel of a tensor, over all layers that read it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shoal.compress.contract import Reading, Scales


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
