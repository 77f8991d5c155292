"""Activations as the products see them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def rounded(x: F32, group: int) -> F32:
    """x, (tokens, columns), in whole numbers to 127 with a scale for each group of columns."""
    columns = x.shape[1]
    padded = np.zeros((len(x), -(-columns // group) * group), np.float32)
    padded[:, :columns] = x
    grouped = padded.reshape(len(x), -1, group)
    most = np.abs(grouped).max(axis=2, keepdims=True)
    inverse = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > 0)
    found: F32 = (np.rint(grouped * inverse) * (most / np.float32(127))).reshape(len(x), -1)[:, :columns]
    return found
