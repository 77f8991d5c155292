"""Weights out of a safetensors file, read strictly with numpy alone.

Format: a little-endian uint64 header length, a JSON header (name → dtype, shape, data_offsets), raw data.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
}
LENGTH_BYTES = 8
HEADER_LIMIT_BYTES = 100_000_000  # the format's own limit


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Return name → array, read-only and mapped from the file: pages are read when they are used.

    Raises:
        ModelError: the file is cut short, or its header contradicts itself or the file's size.
    """
    try:
        header, data = _parts(path)
        arrays, used = {}, 0
        for name, entry in header.items():
            if name != "__metadata__":
                arrays[name] = _array(name, entry, data)
                used += arrays[name].nbytes
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = "the weight file cannot be read"
        raise ModelError(what, where=str(path), needed="safetensors", had=str(error)) from error
    if used != data.nbytes:
        needed, had = f"{data.nbytes} bytes of tensors", f"{used}"
        raise ModelError("the tensors do not fill the file", where=str(path), needed=needed, had=had)
    return arrays


def _parts(path: Path) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    mapped = np.memmap(path, np.uint8, "r")
    length = int.from_bytes(mapped[:LENGTH_BYTES].tobytes(), "little")
    if length > min(HEADER_LIMIT_BYTES, mapped.size - LENGTH_BYTES):
        raise ValueError(f"a header of {length} bytes in a file of {mapped.size}")
    header = json.loads(mapped[LENGTH_BYTES : LENGTH_BYTES + length].tobytes())
    return dict(header.items()), np.asarray(mapped)[LENGTH_BYTES + length :]


def _array(name: str, entry: dict[str, Any], data: NDArray[np.uint8]) -> NDArray[Any]:
    dtype, shape, (start, end) = DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, start, end)):
        raise ValueError(f"sizes of '{name}' are not whole numbers from 0 on")
    if end > data.size or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"'{name}' of shape {shape} cannot lie in bytes {start} to {end} of {data.size}")
    return data[start:end].view(dtype).reshape(shape)
