"""A task of a few random items, and nets for it, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from shoal import catalog
from shoal.train import Data, Recipe, built, fit

ALGORITHMS = catalog.names("train/binary")
NETS = {
    "residual_cnn": "residual_cnn:width=12,fine=1,coarse=1",
    "tiny_transformer": "tiny_transformer:width=16,depth=1",
    "mlp_mixer": "mlp_mixer:width=16,depth=1",
}


def pictures(items: int = 48, classes: int = 3, seed: int = 0) -> Data:
    """Noise with a bright corner that tells the class."""
    source = np.random.default_rng(seed)
    x = source.standard_normal((items, 1, 8, 8)).astype(np.float32) * 0.5
    y = source.integers(0, classes, items)
    for item, kind in enumerate(y):
        x[item, 0, 2 * kind : 2 * kind + 3, 2 * kind : 2 * kind + 3] += 2
    return Data(x, y, x[: items // 2], y[: items // 2], classes)


def trained(net: str, algorithm: str | None, data: Data, steps: int = 6, seed: int = 0) -> Any:
    """A net after a few steps."""
    made = catalog.make("train/nets", NETS[net])
    how = catalog.make("train/binary", algorithm) if algorithm else None
    model = built(made, data.shape, how, seed)
    fit(model, data, Recipe(steps=steps, batch=16, rate=3e-3, seed=seed), arm=f"{net}, {algorithm}")
    return model
