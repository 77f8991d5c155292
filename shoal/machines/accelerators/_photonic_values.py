"""Sums as light makes them: whole operands, noise, a converter of few bits, and multipliers for what it cannot hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.machines.accelerators.contract import Array


@dataclass(frozen=True)
class Conversion:
    """How a sum over one shot becomes a number.

    A converter of `high_bits` over the full scale sets the step. One of `low_bits` has the same step and holds the
    sums near zero only; two comparators tell which these are, and the others are multiplied out exactly. With
    `low_bits` equal to `high_bits` there are no comparators, and what is beyond full scale is cut.
    """

    operand_bits: int
    low_bits: int
    high_bits: int
    wavelengths: int
    encoding_noise: float
    additive_noise: float
    scale_of: str  # "row", or "tile" for all rows of a tile together

    @property
    def split(self) -> bool:
        """Whether large results go elsewhere."""
        return self.low_bits < self.high_bits

    @property
    def largest(self) -> int:
        """The largest operand."""
        return int(2 ** (self.operand_bits - 1)) - 1

    @property
    def full_scale(self) -> int:
        """The largest sum over one shot."""
        return self.wavelengths * self.largest**2

    @property
    def step(self) -> float:
        """Between two codes, in products of whole operands."""
        return self.full_scale / float(2 ** (self.high_bits - 1))


@dataclass(frozen=True, eq=False)
class Sums:
    """Products of matrices, and how many results of each shot the multipliers made."""

    values: Array  # float64 (batch, rows, columns)
    highs: Array  # (batch × tiles of rows × tiles of columns, shots of a tile)


def sums(left: Array, right: Array, tile: tuple[int, int], conversion: Conversion, seed: tuple[int, ...]) -> Sums:
    """`left` (batch, rows, inner) times `right` (batch, inner, columns) in tiles of results.

    Each row of `left` and each column of `right` has modulators of its own, so it can have a scale of its own, from its
    largest value. What is summed over shots stays whole: codes in one register, exact sums in another.
    """
    source = np.random.default_rng(seed)
    (batch, rows, _), columns, (high, wide) = left.shape, right.shape[2], tile
    across = -(-columns // wide)
    values, counts = np.empty((batch, rows, columns)), []
    for each in range(batch):
        beside, beside_scales = _shots(right[each].T, wide, conversion)
        above, above_scales = _shots(left[each], high, conversion)
        for row in range(0, above.shape[1], high):
            made, large = _strip(above[:, row : row + high], beside.swapaxes(1, 2), conversion, source)
            kept = slice(row, min(row + high, rows))
            values[each, kept] = (made * above_scales[row : row + high] * beside_scales.T)[: rows - row, :columns]
            counts.append(large.reshape(len(above), high, across, wide).sum((1, 3)).T)
    return Sums(values, np.concatenate(counts))


def _strip(above: Array, beside: Array, conversion: Conversion, source: np.random.Generator) -> tuple[Array, Array]:
    """Tiles beside one another: sums over all shots, in products of whole operands, and which sums are large."""
    exact = above @ beside  # (shots, rows, columns): sums below 2**53, so float64 holds them exactly
    sensed = exact
    if conversion.encoding_noise:
        sensed = sensed * (1 + conversion.encoding_noise * source.standard_normal(exact.shape))
    if conversion.additive_noise:
        sensed = sensed + conversion.additive_noise * conversion.full_scale * source.standard_normal(exact.shape)
    codes = np.rint(sensed / conversion.step)
    limit = 2 ** (conversion.low_bits - 1)
    beyond = (codes < -limit) | (codes >= limit)
    if not conversion.split:
        return np.clip(codes, -limit, limit - 1).sum(0) * conversion.step, np.zeros_like(beyond)
    return np.where(beyond, 0, codes).sum(0) * conversion.step + np.where(beyond, exact, 0).sum(0), beyond


def _shots(matrix: Array, high: int, conversion: Conversion) -> tuple[Array, Array]:
    """Rows as whole operands, shape (shots, rows, wavelengths), and their scales, shape (rows, 1): whole tiles."""
    (rows, inner), wavelengths = matrix.shape, conversion.wavelengths
    shots = -(-inner // wavelengths)
    padded = np.pad(matrix.astype(np.float64), ((0, -rows % high), (0, shots * wavelengths - inner)))
    most = np.abs(padded).max(1, keepdims=True)
    if conversion.scale_of == "tile":
        most = np.repeat(most.reshape(-1, high).max(1), high)[:, None]
    scales = np.where(most > 0, most, 1.0) / conversion.largest
    return np.rint(padded / scales).reshape(len(padded), shots, wavelengths).swapaxes(0, 1), scales
