"""Plain arrays from .npy and .npz files of anyone: nothing is unpickled, and no size is believed before it is checked."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from shoal.errors import InputError

Array = NDArray[Any]

ZIP_PREFIX = b"PK"
# What numpy and zipfile raise for what is damaged, encrypted, or packed in a way they do not know.
DAMAGE = (
    *(ValueError, EOFError, RuntimeError, LookupError, TypeError, SyntaxError, OverflowError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)


def load_arrays(path: Path, name: str = "array") -> dict[str, Array]:
    """The arrays of a .npz file, or that of a .npy file under `name`.

    Raises:
        InputError: the file cannot be read, is damaged, or is neither.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(ZIP_PREFIX)) == ZIP_PREFIX:
                return dict(_members(file))
            file.seek(0)
            return {name: _array(file, path.stat().st_size)}
    except OSError as fault:
        raise InputError(f"cannot read: {fault.strerror or fault}", where=str(path)) from fault
    except DAMAGE as fault:
        raise InputError("not a .npy or .npz file of plain arrays, or a damaged one", where=str(path)) from fault


def _members(file: IO[bytes]) -> Iterator[tuple[str, Array]]:
    with zipfile.ZipFile(file) as whole:
        for member in whole.infolist():
            with whole.open(member) as packed:
                yield member.filename.removesuffix(".npy"), _array(packed, member.file_size)


def _array(file: IO[bytes], whole_bytes: int) -> Array:
    """The array in `file`, all of whose `whole_bytes` it must fill."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format")
    header = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
    shape, by_columns, dtype = header
    if dtype.hasobject or not dtype.itemsize or any(size < 0 for size in shape):
        raise ValueError("no plain array")
    needed = prod(shape) * dtype.itemsize
    if needed > whole_bytes:  # packed sizes may lie too: then reading ends early
        raise ValueError("the header promises more than there is")
    data = bytearray(file.read(needed + 1))
    if len(data) != needed:
        raise ValueError("not as long as its header says")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")
