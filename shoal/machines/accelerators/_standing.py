"""Values that stand for data where only a price is asked."""

from __future__ import annotations

import numpy as np

from shoal.machines.accelerators.contract import Arrays, Call


def standing_in(call: Call, seed: int = 0) -> Arrays:
    """Bell-shaped values, or whole numbers from -8 to 7, for each input that is not constant; the same at each call."""
    source = np.random.default_rng(seed)
    found = {}
    for each in call.inputs:
        if each is not None and not each.constant:
            kind = np.dtype(each.dtype).kind
            drawn = source.standard_normal(each.shape) if kind == "f" else source.integers(0, 8, each.shape)
            found[each.name] = drawn.astype(each.dtype)
    return found
