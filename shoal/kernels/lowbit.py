"""Products with weights in few bits: x·Wᵀ from packed codes, and of signs with signs.

Activations become int8 with a scale for each group of columns, so products are of whole numbers and the error is below
a percent. The layout of the codes (see `native/lowbit/lowbit.hpp`) is the same on every machine; where nothing native
was built, numpy takes its place, slower. From three tokens on, codes are decoded once for all of them (`many.hpp`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kernels.blocks import BLOCK, LANES, Blocks, fits, groups_of, row_group, taken
from shoal.kernels.blocks import compiled as _lowbit

__all__ = [
    "Blocks", "LowBit", "Plane", "check", "fits", "joined", "lowbit_paths", "plane", "product", "row_group", "sign_product",
    "sign_words", "taken",
]  # fmt: skip

F32 = NDArray[np.float32]


def lowbit_paths() -> tuple[str, ...]:
    """The instruction sets that can be used here, the best first; "numpy" is always there."""
    return (*(_lowbit.paths() if _lowbit is not None else ()), "numpy")


@dataclass(frozen=True, eq=False)
class Plane:
    """Codes of so many bits in blocks, of weights scale · (code − zero)."""

    bits: int  # 1, 2, 4 or 8
    group: int  # columns that share a scale and an activation scale
    shape: tuple[int, int]  # rows and columns
    codes: NDArray[np.uint8]  # (rows, blocks, 64)
    scales: NDArray[np.float16]  # (rows, groups of whole blocks), or (rows, 1)
    zeros: NDArray[np.uint8]  # like scales, or empty
    zero: int = 0  # where there are no zeros

    @property
    def bytes(self) -> int:
        """What a product reads."""
        return self.codes.nbytes + self.scales.nbytes + self.zeros.nbytes


@dataclass(frozen=True, eq=False)
class LowBit:
    """A matrix ready for products: planes that are added up, and for each group what is added to every weight."""

    planes: tuple[Plane, ...]  # of as many bits and columns in a group
    offsets: F32 | None = None  # (rows, groups)

    @property
    def taken_columns(self) -> int:
        """Columns that share an activation scale."""
        return self.planes[0].group

    @property
    def bytes(self) -> int:
        """What a product reads of it."""
        return sum(plane.bytes for plane in self.planes) + (0 if self.offsets is None else self.offsets.nbytes // 2)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.planes[0].shape

    def product(self, x: F32, path: str = "", threads: int = 1) -> F32:
        """x·Wᵀ.

        Args:
            x: (tokens, columns).
            path: one of `lowbit_paths`; none: the best.
            threads: that share the rows.

        Returns:
            (tokens, rows).

        Raises:
            InputError: the columns do not fit, or the path is not there.
        """
        check(x, self.shape, path)
        first = self.planes[0]
        return product(self, taken(x, first.bits, first.group, path), path, threads)


def product(matrix: LowBit, x: Blocks, path: str = "", threads: int = 1) -> F32:
    """x·Wᵀ of activations that are ready, as `LowBit.product` gives it; many tokens share what decoding costs.

    Raises:
        InputError: they were made ready for other bits or groups, or the path is not there.
    """
    first = matrix.planes[0]
    needed = (first.codes.shape[1], 8 // first.bits, -(-matrix.shape[1] // first.group))
    if needed != (had := (x.count, x.codes.shape[2], x.totals.shape[1])):
        raise InputError("activations in another order than the weights", needed=f"{needed} blocks, codes and groups",
                         had=str(had))  # fmt: skip
    _check_path(path)
    y = np.zeros((len(x.codes), matrix.shape[0]), np.float32)
    for plane in matrix.planes:
        if _lowbit is None or path == "numpy":
            y += _product(plane, x)
        else:
            _lowbit.product(
                path, plane.codes, plane.scales.view(np.uint16), plane.zeros, plane.zero, plane.bits,
                groups_of(plane.bits, plane.group), x.count, x.codes, x.scales, x.sums, y, threads,
            )  # fmt: skip
    if matrix.offsets is not None:
        y += x.totals @ matrix.offsets.T
    return y


def plane(
    codes: NDArray[np.uint8], bits: int, group: int, scales: F32, zeros: NDArray[Any] | None = None, zero: int = 0
) -> Plane:
    """Lay codes out for products.

    Args:
        codes: (rows, columns), each below 2 ** bits.
        bits: 1, 2, 4 or 8.
        group: columns that share a scale; 0: a row has one.
        scales: (rows, columns / group), or (rows, 1); in float16 they must be finite.
        zeros: like `scales`, whole numbers below 256; none: `zero` for all.
        zero: the code that stands for zero.

    Raises:
        InputError: a group that blocks of 64 bytes cannot be made of, or shapes that do not fit.
    """
    rows, columns = codes.shape
    own = group or row_group(bits)
    groups, width = groups_of(bits, own), 8 // bits
    if (group and columns % group) or scales.shape != (rows, columns // group if group else 1):
        raise InputError("scales do not fit the codes", needed=f"one for {group or columns} columns",
                         had=str(scales.shape))  # fmt: skip
    if codes.size and int(codes.max()) >> bits:
        raise InputError("a code is too large", needed=f"{bits} bits", had=str(int(codes.max())))
    blocks = -(-columns // (groups * own))
    full = np.zeros((rows, blocks * groups * own), np.uint8)
    full[:, :columns] = codes
    parts = (
        full.reshape(rows, blocks, groups, width, BLOCK // groups)
        .swapaxes(2, 3)
        .reshape(rows, blocks, width, BLOCK)
    )
    packed = np.zeros((rows, blocks, BLOCK), np.uint8)
    for place in range(width):
        packed |= parts[:, :, place] << np.uint8(bits * place)
    return Plane(
        bits, own, (rows, columns), packed, _filled(scales, blocks * groups, np.float16),
        np.zeros(0, np.uint8) if zeros is None else _filled(zeros, blocks * groups, np.uint8), zero,
    )  # fmt: skip


def sign_words(signs: NDArray[Any]) -> NDArray[np.uint64]:
    """Rows of −1 and 1 as bits, (rows, words of 64); a 1 is a set bit.

    Raises:
        InputError: another value.
    """
    if not np.isin(signs, (-1, 1)).all():
        raise InputError("not binary", needed="-1 or 1")
    words = -(-signs.shape[1] // 64)
    bits = np.zeros((signs.shape[0], words * 64), np.uint8)
    bits[:, : signs.shape[1]] = signs > 0
    return np.packbits(bits, axis=1, bitorder="little").view("<u8")


def sign_product(
    weights: NDArray[np.uint64], inputs: NDArray[np.uint64], columns: int, path: str = ""
) -> NDArray[np.int32]:
    """x·Wᵀ of rows of signs, exactly: (tokens, rows) from what `sign_words` made.

    Raises:
        InputError: rows of different lengths, or the path is not there.
    """
    if weights.shape[1] != inputs.shape[1] or weights.shape[1] != -(-columns // 64):
        raise InputError("rows of signs differ in length", had=f"{weights.shape[1]} and {inputs.shape[1]} words")
    _check_path(path)
    if _lowbit is None or path == "numpy":
        differing = np.bitwise_count(inputs[:, None] ^ weights[None]).sum(axis=2, dtype=np.int32)
        found: NDArray[np.int32] = columns - 2 * differing
        return found
    y = np.empty((inputs.shape[0], weights.shape[0]), np.int32)
    _lowbit.signs(path, weights, inputs, columns, y)
    return y


def _product(plane: Plane, x: Blocks) -> F32:
    """The same in numpy."""
    width, mask = 8 // plane.bits, (1 << plane.bits) - 1
    groups = groups_of(plane.bits, plane.group)
    shape = (plane.shape[0], x.count, groups)
    scales, zeros = (
        np.broadcast_to(each.reshape(len(each), -1, 1 if each.shape[1] == 1 else groups), shape)
        for each in (
            plane.scales.astype(np.float32),
            plane.zeros if plane.zeros.size else np.full((1, 1), plane.zero),
        )
    )
    y = np.zeros((len(x.codes), shape[0]), np.float32)
    for block in range(x.count):
        codes = np.stack([(plane.codes[:, block] >> (plane.bits * place)) & mask for place in range(width)], axis=1)
        parts = codes.reshape(shape[0], width, groups, -1).astype(np.int32)
        acts = x.codes[:, block].reshape(len(x.codes), width, groups, -1).astype(np.int32)
        sums = np.einsum("rwgj,twgj->trg", parts, acts)
        at = np.arange(groups) * (LANES // groups)
        own = x.sums[:, block].reshape(len(x.codes), groups, -1).sum(axis=2)
        y += (
            (sums - zeros[None, :, block] * own[:, None]) * scales[None, :, block] * x.scales[:, None, block, at]
        ).sum(axis=2)
    return y


def _filled(each: NDArray[Any], count: int, kind: Any) -> NDArray[Any]:
    """As `kind`; zeros for the groups that fill up the last block, unless a row has one figure."""
    if each.shape[1] == 1 and count > 1:
        return np.ascontiguousarray(each.astype(kind))
    found = np.zeros((each.shape[0], count), kind)
    found[:, : each.shape[1]] = each
    return found


def check(x: F32, shape: tuple[int, int], path: str) -> None:
    """Refuse activations that are not (n, columns of the weights' shape), and kernels that are not there."""
    if x.ndim != 2 or x.shape[1] != shape[1]:
        raise InputError("the activations do not fit the weights", needed=f"(n, {shape[1]})", had=str(x.shape))
    _check_path(path)


def _check_path(path: str) -> None:
    if path and path not in lowbit_paths():
        raise InputError(f"this machine has no kernels '{path}'", had=", ".join(lowbit_paths()))


def joined(planes: Sequence[Plane], offsets: F32 | None = None) -> LowBit:
    """Planes of one matrix that are added up."""
    if not planes or len({(each.shape, each.group, each.bits) for each in planes}) != 1:
        raise InputError("planes of different matrices, bits or groups cannot be added up")
    return LowBit(tuple(planes), offsets)
