"""The gradients of the eight algorithms' signs against their closed forms, written anew."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog

F64 = NDArray[np.float64]


def furthest_off(algorithm: str) -> float:
    """The largest difference over weights and inputs, on a grid that holds the edges, at the start of training."""
    import torch

    from shoal.train.binary._layers import BinaryLinear

    points = np.concatenate([np.linspace(-2, 2, 401), [-1.0, 0.0, 1.0]])
    layer = BinaryLinear(catalog.make("train/binary", algorithm), len(points), 1).eval()
    found = []
    for method, slope in zip((layer.algorithm.weights, layer.algorithm.inputs), SLOPES[algorithm], strict=True):
        x = torch.tensor(points, dtype=torch.float64)[None].requires_grad_()
        torch.autograd.backward(method(layer, x).sum())
        found.append(float(np.abs(_grad(x) - slope(points)).max()))
    return max(found)


def _grad(x: Any) -> F64:
    return np.asarray(x.grad.numpy()[0])


def _clip(x: F64) -> F64:
    return np.where(np.abs(x) <= 1, 1.0, 0.0)


def _poly(x: F64) -> F64:
    return np.where((x >= -1) & (x < 0), 2 + 2 * x, np.where((x >= 0) & (x < 1), 2 - 2 * x, 0.0))


def _sines(x: F64) -> F64:
    angles = 0.1 * x[:, None] * (2 * np.arange(10) + 1)
    return np.where(np.abs(x) <= 1, 4 * 0.1 / np.pi * np.cos(angles).sum(axis=1), 0.0)


def _revived(x: F64) -> F64:
    """Identity inside ±Q, seen through the standardisation of all weights x: the transposed Jacobian times the mask."""
    centred = x - x.mean()
    deviation = np.sqrt((centred**2).mean())
    factor = 2 * math.sqrt(2) / deviation
    standard = centred * factor
    most = -np.abs(standard).mean() * math.log(2 - 2 * 0.85)
    mask = (np.abs(standard) <= most).astype(np.float64)
    along = (mask * centred).mean() / deviation**2
    found: F64 = factor * (mask - mask.mean() - centred * along)
    return found


SLOPES = {
    "bnn": (_clip, _clip),
    "xnor": (_clip, _clip),
    "dorefa": (_clip, _clip),
    "bireal": (_clip, _poly),
    "xnorpp": (_clip, _clip),
    "reactnet": (_clip, _poly),
    "recu": (_revived, _poly),
    "fda": (_sines, _sines),
}
