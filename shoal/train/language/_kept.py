"""Trained weights that come with shoal: float16 or packed in bytes, in a file of safetensors beside a module.

It is known by its SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import MissingExtra, ModelError


def kept(package: str, name: str, sha256: str) -> dict[str, NDArray[Any]]:
    """The weights in the file `name` of a package, in float32; bytes stay bytes.

    Raises:
        MissingExtra: safetensors is not installed.
        ModelError: the file is missing, or not the one that came with shoal.
    """
    try:
        from safetensors.numpy import load
    except ImportError as fault:
        raise MissingExtra("safetensors", "train") from fault
    try:
        content = (files(package) / name).read_bytes()
    except OSError as fault:
        raise ModelError(f"cannot read the weights: {fault.strerror}", where=name) from fault
    had = hashlib.sha256(content).hexdigest()
    if had != sha256:
        raise ModelError("the weights that came with shoal are damaged", where=name, needed=sha256, had=had,
                         hint="install shoal again")  # fmt: skip
    return {name: _as(np.float32, each) for name, each in load(content).items()}


def keep(weights: Mapping[str, NDArray[Any]], path: Path) -> str:
    """Write weights as `kept` reads them; the file's SHA-256."""
    from safetensors.numpy import save_file

    save_file({name: _as(np.float16, each) for name, each in weights.items()}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _as(kind: type[np.floating], values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype == np.uint8 else values.astype(kind)
