"""Codes of a few bits one after another, and trits in bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

Bytes = NDArray[np.uint8]


def packed(codes: Bytes, bits: int) -> Bytes:
    """The codes, each in so many bits, the lowest bit first; the last byte is filled up with zeros.

    Raises:
        InputError: a code needs more bits.
    """
    flat = np.ascontiguousarray(codes, np.uint8).reshape(-1)
    if flat.size and int(flat.max()) >> bits:
        raise InputError("a code is too large", needed=f"{bits} bits", had=str(int(flat.max())))
    if bits == 8:
        return flat.copy()
    spread = (flat[:, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(spread.reshape(-1), bitorder="little")


def unpacked(data: Bytes, bits: int, count: int) -> Bytes:
    """The `count` codes that were packed.

    Raises:
        InputError: not as many bytes as they take, or something in what fills up the last one.
    """
    needed = -(-count * bits // 8)
    if data.size != needed:
        raise InputError("codes are cut off", needed=f"{needed} bytes", had=str(data.size))
    if bits == 8:
        return data.copy()
    spread = np.unpackbits(data, bitorder="little")
    if spread[count * bits :].any():
        raise InputError("something follows the last code")
    weights = (1 << np.arange(bits)).astype(np.uint8)
    codes: Bytes = (spread[: count * bits].reshape(count, bits) * weights).sum(axis=1, dtype=np.uint8)
    return codes


def trits_packed(trits: Bytes) -> Bytes:
    """Five of 0, 1, 2 in each byte, the first one counting least; filled up with ones, which are zeros."""
    flat = np.ascontiguousarray(trits, np.uint8).reshape(-1)
    if flat.size and int(flat.max()) > 2:
        raise InputError("a code is no trit", needed="0, 1 or 2", had=str(int(flat.max())))
    full = np.ones(-(-flat.size // 5) * 5, np.uint8)
    full[: flat.size] = flat
    found: Bytes = (full.reshape(-1, 5) * np.array([1, 3, 9, 27, 81], np.uint8)).sum(axis=1, dtype=np.uint8)
    return found


def trits_unpacked(data: Bytes, count: int) -> Bytes:
    """The `count` trits that were packed.

    Raises:
        InputError: not as many bytes as they take, or a byte above 242.
    """
    if data.size != -(-count // 5):
        raise InputError("trits are cut off", needed=f"{-(-count // 5)} bytes", had=str(data.size))
    if data.size and int(data.max()) > 242:
        raise InputError("a byte that holds no five trits", needed="at most 242", had=str(int(data.max())))
    trits: Bytes = _FIVE[data].reshape(-1)[:count]
    return trits


def triples_packed(trits: Bytes) -> Bytes:
    """Three of 0, 1, 2 in five bits: the number of the triple, or of its mirror image with the highest bit set."""
    flat = np.ascontiguousarray(trits, np.uint8).reshape(-1)
    if flat.size and int(flat.max()) > 2:
        raise InputError("a code is no trit", needed="0, 1 or 2", had=str(int(flat.max())))
    full = np.ones(-(-flat.size // 3) * 3, np.uint8)
    full[: flat.size] = flat
    number = (full.reshape(-1, 3) * np.array([9, 3, 1], np.uint8)).sum(axis=1, dtype=np.uint8)
    mirrored = number < MIDDLE
    return packed(np.where(mirrored, MIDDLE - number + 16, number - MIDDLE).astype(np.uint8), 5)


def triples_unpacked(data: Bytes, count: int) -> Bytes:
    """The `count` trits that were packed.

    Raises:
        InputError: not as many bytes as they take, or an index that no triple has.
    """
    found = unpacked(data, 5, -(-count // 3))
    index, mirrored = found & 15, found >> 4
    if ((index > MIDDLE) | ((index == 0) & (mirrored == 1))).any():
        raise InputError("five bits that hold no three trits", needed="an index of at most 13")
    number = np.where(mirrored == 1, MIDDLE - index, MIDDLE + index)
    trits: Bytes = _THREE[number].reshape(-1)[:count]
    return trits


MIDDLE = 13  # the number of 1, 1, 1, which stand for zeros
_FIVE = ((np.arange(243)[:, None] // np.array([1, 3, 9, 27, 81])) % 3).astype(np.uint8)
_THREE = ((np.arange(27)[:, None] // np.array([9, 3, 1])) % 3).astype(np.uint8)
