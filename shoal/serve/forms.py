"""Tensors as the Open Inference Protocol names them, and the check of each before anything is allocated for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.catalog import nearest
from shoal.errors import InputError
from shoal.live import Signature, TensorForm
from shoal.serve.faults import Malformed, TooLarge

Array = NDArray[Any]

# https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol, "Tensor Data Types".
DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}
MOST_AXES = 32


def form_of(signature: Signature, name: str) -> TensorForm:
    """The form of the input `name`.

    Raises:
        InputError: the model has no such input; the hint names the nearest one.
    """
    if name not in signature.inputs:
        raise InputError(f"no input is called '{name[:60]}'", hint=nearest(name[:60], tuple(signature.inputs)))
    return signature.inputs[name]


def datatype_of(form: TensorForm) -> str:
    """What the protocol calls the form's type."""
    return DATATYPES.get(form.dtype, form.dtype.upper())


def protocol_shape(form: TensorForm) -> list[int]:
    """The form's shape; -1 where a size may be smaller than its bound."""
    return [-1 if axis in form.open else size for axis, size in enumerate(form.shape)]


def form_bytes(form: TensorForm) -> int:
    """Bytes of the largest tensor of this form."""
    return math.prod(form.shape) * np.dtype(form.dtype).itemsize


def check(name: str, dtype: str, shape: Sequence[int], form: TensorForm) -> None:
    """Refuse a tensor of another type or shape.

    Raises:
        InputError: saying what was needed and what there was.
    """
    if dtype != form.dtype:
        raise InputError(f"input '{name}' has the wrong type", needed=form.dtype, had=dtype[:60])
    fits = len(shape) == len(form.shape) and all(
        0 <= size <= limit if axis in form.open else size == limit
        for axis, (size, limit) in enumerate(zip(shape, form.shape, strict=True))
    )
    if not fits:
        had = str(list(shape[:MOST_AXES]))[:120]
        raise InputError(f"input '{name}' has the wrong shape", needed=str(list(form.shape)), had=had)


def from_numbers(name: str, data: object, shape: Sequence[int], dtype: str) -> Array:
    """The array of `shape` whose elements stand in `data`, flat or nested, as JSON has them.

    Raises:
        InputError: not numbers of that type, or not as many as the shape asks for.
    """
    try:
        found = np.asarray(data)
    except (ValueError, TypeError, OverflowError, RecursionError) as fault:
        raise InputError(f"the data of '{name}' is no array of numbers", hint="flat, or nested evenly") from fault
    wanted = np.dtype(dtype)
    if found.size != math.prod(shape):
        raise InputError(f"the data of '{name}' does not fill its shape", needed=f"{math.prod(shape)} elements",
                         had=f"{found.size}")  # fmt: skip
    if found.size and not _of_kind(found, wanted):
        raise InputError(f"the data of '{name}' is of another type", needed=DATATYPES[dtype], had=str(found.dtype))
    with np.errstate(over="ignore", invalid="ignore"):
        cast = found.astype(wanted)
    if not _kept(found, cast):
        raise InputError(f"a figure of '{name}' is out of range", needed=DATATYPES[dtype])
    return cast.reshape(tuple(shape))


def from_bytes(name: str, data: bytes | memoryview, shape: Sequence[int], dtype: str) -> Array:
    """The array of `shape` written in `data`: little endian, row after row.

    Raises:
        InputError: not as many bytes as the shape asks for.
    """
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if len(data) != needed:
        raise InputError(f"the data of '{name}' does not fill its shape", needed=f"{needed} bytes",
                         had=f"{len(data)} bytes")  # fmt: skip
    if dtype == "bool":
        found = np.frombuffer(data, np.uint8)
        if found.size and found.max() > 1:
            raise InputError(f"the data of '{name}' is no truth values", needed="bytes of 0 and 1")
        return found.astype(bool).reshape(tuple(shape))
    little = np.dtype(dtype).newbyteorder("<")
    return np.frombuffer(data, little).astype(dtype).reshape(tuple(shape))


def limited(size_bytes: int, limit_bytes: int) -> None:
    """Refuse more bytes than the model can take.

    Raises:
        TooLarge: naming the limit.
    """
    if size_bytes > limit_bytes:
        raise TooLarge("the body is too large", needed=f"at most {limit_bytes} bytes", had=f"{size_bytes} bytes")


def only_input(signature: Signature) -> str:
    """The name of the model's one input.

    Raises:
        Malformed: it has several, so that a lone array does not say which one it is.
    """
    if len(signature.inputs) != 1:
        names = ", ".join(signature.inputs)
        raise Malformed("the model has several inputs", had=names, hint="send them by name, as .npz or JSON")
    return next(iter(signature.inputs))


def _of_kind(found: Array, wanted: np.dtype[Any]) -> bool:
    """Whether JSON's figures may stand for that type: whole numbers for floats too, truth values for nothing else."""
    if wanted.kind == "b":
        return found.dtype.kind == "b"
    return found.dtype.kind in ("iuf" if wanted.kind == "f" else "iu")


def _kept(found: Array, cast: Array) -> bool:
    """Whether no figure was too large for its type."""
    if cast.dtype.kind == "f":
        return (
            bool((np.isinf(cast) == np.isinf(found)).all()) if found.dtype.kind == "f" else not np.isinf(cast).any()
        )
    return bool((cast == found).all())
