"""Arrays in numpy's file formats from strangers: headers are checked before a byte of data is unpacked.

numpy's own reader allocates what a header asks for, and evaluates more kinds of header than a plain array has.
Nothing here is ever unpickled.
"""

from __future__ import annotations

import ast
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.live import Signature, TensorForm
from shoal.serve.faults import Malformed
from shoal.serve.forms import check, form_bytes, form_of, from_bytes, only_input

Array = NDArray[Any]

MAGIC = b"\x93NUMPY"
MOST_HEADER_BYTES = 10_000  # as numpy itself has it
_PLAIN = re.compile(r"[<>|=]?[biuf]\d{1,2}")


def read_npy(data: bytes, signature: Signature) -> dict[str, Array]:
    """The model's one input from a .npy file.

    Raises:
        Malformed: not such a file, or the model has several inputs.
        InputError: another type or shape than the model's.
    """
    name = only_input(signature)
    return {name: _array(data, name, signature.inputs[name])}


def read_npz(data: bytes, signature: Signature) -> dict[str, Array]:
    """The model's inputs by name from a .npz file.

    Raises:
        Malformed: not such a file.
        InputError: an input that the model does not have, or another type or shape.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = {}
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                form = form_of(signature, name)
                found[name] = _array(_unpacked(archive, member, form), name, form)
            return found
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
            OverflowError, struct.error, OSError, LookupError) as fault:  # fmt: skip  # all that zipfile raises
        raise Malformed("not a .npz file of plain arrays, or a damaged one") from fault


def write_npy(array: Array) -> bytes:
    """`array` as a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def write_npz(arrays: Mapping[str, Array]) -> bytes:
    """`arrays` as a .npz file, not compressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", write_npy(array))
    return file.getvalue()


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, form: TensorForm) -> bytes:
    """The member's bytes, no more than the input can have, whatever the archive says of itself."""
    most = form_bytes(form) + MOST_HEADER_BYTES + 16
    with archive.open(member) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise Malformed(
            "more data than the input holds", where=member.filename[:60], needed=f"at most {most} bytes"
        )
    return found


def _array(data: bytes, name: str, form: TensorForm) -> Array:
    """The array of a whole .npy file, checked against `form` first."""
    descr, fortran, shape, start = _header(data)
    dtype = np.dtype(descr)
    check(name, dtype.newbyteorder("=").name, shape, form)
    body = memoryview(data)[start:]
    if dtype.byteorder == ">":
        body = memoryview(np.frombuffer(body, np.uint8)[: len(body) // dtype.itemsize * dtype.itemsize].tobytes())
        body = memoryview(np.frombuffer(body, dtype).astype(dtype.newbyteorder("<")).tobytes())
    if not fortran:
        return from_bytes(name, body, shape, form.dtype)
    turned = from_bytes(name, body, shape[::-1], form.dtype).transpose()
    return np.asarray(turned, order="C")


def _header(data: bytes) -> tuple[str, bool, tuple[int, ...], int]:
    """Type, order of the axes, shape, and where the data starts.

    Raises:
        Malformed: not a .npy file of a plain array.
    """
    wide = data[6:7] in (b"\x02", b"\x03")
    start = 12 if wide else 10
    if not data.startswith(MAGIC) or len(data) < start:
        raise Malformed("not a .npy file, or a damaged one")
    size = int.from_bytes(data[8:start], "little")
    if size > MOST_HEADER_BYTES:
        raise Malformed("the .npy file's header is too large", needed=f"at most {MOST_HEADER_BYTES} bytes")
    try:
        found = ast.literal_eval(data[start : start + size].decode("latin1").strip())
        descr, fortran, shape = found["descr"], found["fortran_order"], found["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError) as fault:
        raise Malformed("the .npy file's header cannot be read") from fault
    if not isinstance(descr, str) or not (_PLAIN.fullmatch(descr) and _exists(descr)):
        raise Malformed("the .npy file is of no plain type", had=repr(descr)[:60], hint="no objects, no records")
    if not isinstance(shape, tuple) or not all(type(each) is int and each >= 0 for each in shape):
        raise Malformed("the .npy file's header has no shape")
    return descr, fortran is True, shape, start + size


def _exists(descr: str) -> bool:
    try:
        np.dtype(descr)
    except TypeError:
        return False
    return True
