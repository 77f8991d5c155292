"""Two products in one multiplication of 16 bits, as a processor without dot products of bytes can do them; in numpy.

(a₁·2⁸ + a₀)·w = a₁·w·2⁸ + a₀·w: with a and w of four bits without a sign each product is at most 15·15 = 225 and stays
within its byte. Both bytes are summed in 16 bits, which hold 65535 / 225 = 291 of them, and then spilt to 32.
Signs: a = a' − z and w = w' − 8, so Σa·w = Σa'·w' − 8·Σa' − z·Σw' + 8·z·n. Source: Agile-Quant, arXiv 2312.05693.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

I32 = NDArray[np.int32]
LARGEST = 15
SPILL = 65535 // LARGEST**2  # sums that 16 bits hold
MIDDLE = 8  # the code without a sign that stands for 0


def lane_sums(
    first: NDArray[np.uint8], second: NDArray[np.uint8], weights: NDArray[np.uint8]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """`first`·Wᵀ and `second`·Wᵀ by one multiplication for both.

    Args:
        first: (tokens, columns) of 0 to 15; it has the lower byte.
        second: of the same shape.
        weights: (rows, columns) of 0 to 15.

    Returns:
        Two of (tokens, rows).

    Raises:
        InputError: a code above 15.
    """
    if max(int(each.max(initial=0)) for each in (first, second, weights)) > LARGEST:
        raise InputError("a lane holds two codes of four bits", needed="0 to 15")
    lanes, by_column = (second.astype(np.uint16) << 8) | first, np.ascontiguousarray(weights.T, np.uint16)
    sums = np.zeros((2, len(first), len(weights)), np.uint32)
    for begin in range(0, lanes.shape[1], SPILL):
        low, high = np.zeros((2, len(first), len(weights)), np.uint16)
        for column in range(begin, min(begin + SPILL, lanes.shape[1])):
            products = lanes[:, column, None] * by_column[column]  # 16 bits, and no more
            low += products & np.uint16(255)
            high += products >> np.uint16(8)
        sums[0] += low
        sums[1] += high
    return sums[0], sums[1]


def four_by_four(x: NDArray[np.int8], weights: NDArray[np.int8]) -> I32:
    """x·Wᵀ of codes of −8 to 7, two tokens in a lane: (tokens, columns) and (rows, columns) → (tokens, rows)."""
    whole = _lifted(x, MIDDLE)
    even = np.concatenate([whole, whole[:1]]) if len(whole) % 2 else whole
    first, second = lane_sums(even[::2], even[1::2], _lifted(weights, MIDDLE))
    sums = np.stack([first, second], axis=1).reshape(len(even), -1)[: len(x)]
    return _signed(sums.astype(np.int64), x, weights, MIDDLE)


def eight_by_four(x: NDArray[np.int8], weights: NDArray[np.int8]) -> I32:
    """The same with x of −128 to 127, whose two halves share a lane."""
    whole = _lifted(x, 128)
    low, high = lane_sums(whole & np.uint8(LARGEST), whole >> np.uint8(4), _lifted(weights, MIDDLE))
    return _signed(low.astype(np.int64) + 16 * high.astype(np.int64), x, weights, 128)


def _lifted(codes: NDArray[Any], by: int) -> NDArray[np.uint8]:
    lifted = codes.astype(np.int16) + by
    if lifted.size and not 0 <= lifted.min() <= lifted.max() < 2 * by:
        raise InputError("a code is too large for its lane", needed=f"{-by} to {by - 1}")
    return lifted.astype(np.uint8)


def _signed(sums: NDArray[np.int64], x: NDArray[np.int8], weights: NDArray[np.int8], zero: int) -> I32:
    """Σa·w from Σa'·w'."""
    of_x, of_weights = (
        _lifted(x, zero).sum(axis=1, dtype=np.int64),
        _lifted(weights, MIDDLE).sum(axis=1, dtype=np.int64),
    )
    found = sums - MIDDLE * of_x[:, None] - zero * of_weights[None] + MIDDLE * zero * x.shape[1]
    narrow: I32 = found.astype(np.int32)
    return narrow
