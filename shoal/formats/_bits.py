"""Codes of a few bits one after another."""

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
    codes = np.zeros(count, np.uint8)
    for bit in range(bits):
        codes |= spread[bit : count * bits : bits] << np.uint8(bit)
    return codes
