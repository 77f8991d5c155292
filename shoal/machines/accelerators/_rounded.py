"""Values as whole numbers of eight bits with one scale, as machines of int8 multipliers take them."""

from __future__ import annotations

import numpy as np

from shoal.machines.accelerators.contract import Array

MOST = 127


def rounded(values: Array) -> tuple[Array, float]:
    """The nearest whole numbers from -127 to 127, in int64, and the scale that makes them values again."""
    most = float(np.abs(values).max(initial=0.0))
    scale = most / MOST if most else 1.0
    return np.rint(values / scale).astype(np.int64), scale
