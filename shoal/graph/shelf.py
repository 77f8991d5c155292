"""Arrays that are kept in files: the system writes them out and reads them in as memory allows."""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_BYTES = 1 << 18  # smaller ones stay in memory


def shelved(array: NDArray[Any]) -> NDArray[Any]:
    """The same values, read-only, in a file that goes with the last reader; small arrays as they are."""
    if array.nbytes < LEAST_BYTES:
        return array
    with TemporaryFile(prefix="shoal-") as file:
        np.ascontiguousarray(array).tofile(file)
        file.flush()
        return np.asarray(np.memmap(file, array.dtype, "r", shape=array.shape))
