"""How many threads numpy's own OpenBLAS uses: it is loaded before a worker knows its share of the machine."""

from __future__ import annotations

import ctypes
from pathlib import Path

MAPS = Path("/proc/self/maps")


def limit_threads(threads: int) -> None:
    """Let numpy's matrix products use `threads` threads; nothing happens where numpy has another BLAS."""
    if not MAPS.exists():
        return
    loaded = {line.split()[-1] for line in MAPS.read_text().splitlines() if "openblas" in line and "numpy" in line}
    for path in loaded:
        setter = getattr(ctypes.CDLL(path), "scipy_openblas_set_num_threads64_", None)
        if setter is not None:
            setter(ctypes.c_int(threads))
