"""A correction of low rank in float16 beside the codes: W ≈ Q(W) + A·B.

Source: LQER and LoftQ have A·B from the singular values of what rounding left; HGF, arXiv 2602.05269, trains it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import _scales
from shoal.formats.composers._wrapped import Wrapped, own
from shoal.formats.contract import Coded, Codes, Format, Matrix, Params, Streams


@dataclass(frozen=True)
class Lowrank:
    """W ≈ Q(W) + A·B, of which A·B is the best of its rank for the error (weighted by column where that is known)."""

    rank: int = 4

    def around(self, base: Format) -> Format:
        """The composed format."""
        if self.rank < 1:
            raise InputError("a correction needs a rank", where="lowrank", needed="at least 1", had=str(self.rank))
        return _Lowrank(base, self.rank)


@dataclass(frozen=True)
class _Lowrank(Wrapped):
    rank: int

    def fit(self, weights: Matrix, importance: NDArray[np.float32] | None = None) -> Params:
        """See `Format.fit`."""
        if self.rank > min(weights.shape):
            raise InputError("the rank is too high", where="lowrank", needed=f"at most {min(weights.shape)}",
                             had=str(self.rank))  # fmt: skip
        params = self.base.fit(weights, importance)
        left = weights - self.base.decode(self.base.assign(weights, params), params)
        root = np.ones(weights.shape[1], np.float32) if importance is None else np.sqrt(importance) + 1e-12
        u, s, v = np.linalg.svd(left * root, full_matrices=False)
        half = np.sqrt(s[: self.rank])
        sides = {"left": u[:, : self.rank] * half, "right": half[:, None] * v[: self.rank] / root}
        return {**params, **{name: side.astype(np.float16).astype(np.float32) for name, side in sides.items()}}

    def assign(self, weights: Matrix, params: Params) -> Codes:
        """See `Format.assign`."""
        return self.base.assign(weights, own(params, "left", "right"))

    def decode(self, codes: Codes, params: Params) -> Matrix:
        """See `Format.decode`."""
        made: Matrix = self.base.decode(codes, own(params, "left", "right")) + params["left"] @ params["right"]
        return made

    def pack(self, coded: Coded) -> Streams:
        """See `Format.pack`."""
        sides = {name: _scales.encoded("float16", coded.params[name]) for name in ("left", "right")}
        return {**self.base.pack(Coded(coded.codes, own(coded.params, *sides))), **sides}

    def unpack(self, streams: Streams, shape: tuple[int, int]) -> Coded:
        """See `Format.unpack`."""
        sizes = {"left": (shape[0], self.rank), "right": (self.rank, shape[1])}
        sides = {name: _scales.decoded("float16", streams[name], size) for name, size in sizes.items()}
        found = self.base.unpack(own(streams, *sides), shape)
        return Coded(found.codes, {**found.params, **sides})

    def stored_bits(self, shape: tuple[int, int]) -> int:
        """See `Format.stored_bits`."""
        return self.base.stored_bits(shape) + 16 * self.rank * sum(shape)
