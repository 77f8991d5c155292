"""Frozen values to files and back: one JSON form for everything shoal writes for itself.

Values are frozen dataclasses. What people write by hand (fleets, mappings) is read elsewhere, at the door, with
all its faults reported at once; here a file that does not fit is refused with the path of the first fault.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shoal.errors import InputError, ShoalError

Value = TypeVar("Value")

LARGEST = 2**63 - 1
_READING = threading.Lock()
_read: dict[Any, msgspec.json.Decoder[Any]] = {}
_LONG = re.compile(rb"\d{19}")  # an integer beyond it has at least as many digits


def encode(value: Any) -> bytes:
    """`value` as compact JSON.

    Raises:
        InputError: a name in it is no text, as those of files may be.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError as fault:
        raise InputError("a name that is no text cannot be written", had=ascii(fault.object)[:60]) from fault


def decode(kind: type[Value], data: bytes, where: str) -> Value:
    """The value of type `kind` written in `data`; `where` names its origin in the error.

    Raises:
        InputError: the JSON is broken, does not fit `kind`, or holds what a value refuses of itself.
    """
    try:
        if _LONG.search(data):
            _check_integers(msgspec.json.decode(data))
        found: Value = _decoder(kind).decode(data)
        return found
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise InputError(f"not a {_called(kind)}: {fault}", where=where) from fault
    except ShoalError as fault:
        raise InputError(f"not a {_called(kind)}: {fault.message}", where=where, hint=fault.hint) from fault


def convert(value: Any, kind: type[Value], *, strict: bool = True) -> Value:
    """`value`, made of dicts, lists and texts, as a `kind`; without `strict` texts become numbers where those are due.

    Raises:
        msgspec.ValidationError: it does not fit.
    """
    _decoder(kind)
    return msgspec.convert(value, kind, strict=strict)


def _decoder(kind: type[Value]) -> msgspec.json.Decoder[Value]:
    """What decodes a `kind`, made by one thread at a time.

    msgspec looks a type up when it first meets it; a second thread that meets it meanwhile finds it half known, which
    ends the process (seen with 0.22). Once a type is known, all of it is safe.
    """
    found = _read.get(kind)
    if found is None:
        with _READING:
            found = _read.setdefault(kind, msgspec.json.Decoder(kind))
    return found


def _called(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def _check_integers(value: Any) -> None:
    """Refuse integers that no other program would read, nor `encode` write."""
    match value:
        case dict():
            for each in value.values():
                _check_integers(each)
        case list():
            for each in value:
                _check_integers(each)
        case int() if not -LARGEST <= value <= LARGEST:
            raise InputError("an integer is too large", needed="at most 63 bits", had=f"{value.bit_length()} bits")


def save(value: Any, path: Path) -> None:
    """Write `value` to `path` as indented JSON, whole or not at all."""
    write_bytes(msgspec.json.format(encode(value), indent=1), path)


def load(kind: type[Value], path: Path) -> Value:
    """The value of type `kind` kept in the file `path`.

    Raises:
        InputError: the file cannot be read or does not hold a `kind`.
    """
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise InputError(f"cannot read: {fault.strerror}", where=str(path)) from fault
    return decode(kind, data, str(path))


def save_arrays(arrays: Mapping[str, Any], path: Path) -> None:
    """Write numpy arrays by name to `path`, an .npz file, whole or not at all; `numpy.load` reads them.

    Raises:
        InputError: the folder cannot be made or the file cannot be written.
    """
    import numpy as np

    held = io.BytesIO()
    np.savez(held, **dict(arrays))
    write_bytes(held.getvalue(), path)


def write_bytes(data: bytes, path: Path) -> None:
    """Write `data` to `path` by way of a temporary file beside it, so a reader never sees half.

    Raises:
        InputError: the folder cannot be made or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with beside.open("xb") as file:
                file.write(data)
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
    except OSError as fault:
        raise InputError(f"cannot write: {fault.strerror or fault}", where=str(path)) from fault


def check_writable(path: Path) -> None:
    """Find out before the work, not after it, that `path` could not be written; its folder is made.

    Raises:
        InputError: it is a folder, or its own folder cannot be made or written.
    """
    if os.path.isdir(path):  # unlike a Path it has an answer for names that are too long
        raise InputError("cannot write: it is a folder", where=str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as fault:
        raise InputError(f"cannot write: {fault.strerror or fault}", where=str(path)) from fault
