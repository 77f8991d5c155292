"""A few values beside the codes, as they are: the largest, or those that count most. Source: HALO, arXiv 2502.19662."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import _scales
from shoal.formats.composers._wrapped import Wrapped, own
from shoal.formats.contract import Coded, Codes, Format, Matrix, Params, Streams

_INDEX_BITS = 32


@dataclass(frozen=True)
class Outliers:
    """The share of values with the largest w² (times the column's importance) in float16; the codes hold zeros there."""

    share: float = 0.005

    def around(self, base: Format) -> Format:
        """The composed format."""
        if not 0 < self.share < 1:
            raise InputError("no share", where="outliers", needed="above 0, below 1", had=f"{self.share:g}")
        return _Outliers(base, self.share)


@dataclass(frozen=True)
class _Outliers(Wrapped):
    share: float

    def fit(self, weights: Matrix, importance: NDArray[np.float32] | None = None) -> Params:
        """See `Format.fit`."""
        counts = weights.astype(np.float64) ** 2 * (1.0 if importance is None else importance)
        count = self._count((weights.shape[0], weights.shape[1]))
        places = np.sort(np.argpartition(-counts.reshape(-1), count - 1)[:count]).astype(np.uint32)
        values = np.clip(weights.reshape(-1)[places], -65504, 65504).astype(np.float16).astype(np.float32)
        inner = self.base.fit(_without(weights, places), importance)
        return {**inner, "places": places, "values": values}

    def assign(self, weights: Matrix, params: Params) -> Codes:
        """See `Format.assign`."""
        return self.base.assign(_without(weights, params["places"]), own(params, "places", "values"))

    def decode(self, codes: Codes, params: Params) -> Matrix:
        """See `Format.decode`."""
        made = self.base.decode(codes, own(params, "places", "values")).copy()
        made.reshape(-1)[params["places"]] = params["values"]
        return made

    def pack(self, coded: Coded) -> Streams:
        """See `Format.pack`."""
        places = coded.params["places"].astype("<u4")
        return {
            **self.base.pack(Coded(coded.codes, own(coded.params, "places", "values"))),
            "places": np.frombuffer(places.tobytes(), np.uint8),
            "values": _scales.encoded("float16", coded.params["values"]),
        }

    def unpack(self, streams: Streams, shape: tuple[int, int]) -> Coded:
        """See `Format.unpack`."""
        count = self._count(shape)
        if streams["places"].size * 8 != count * _INDEX_BITS:
            raise InputError("places are cut off", needed=f"{count * _INDEX_BITS // 8} bytes")
        places = np.frombuffer(streams["places"].tobytes(), "<u4").astype(np.uint32)
        if int(places.max()) >= shape[0] * shape[1] or (np.diff(places.astype(np.int64)) <= 0).any():
            raise InputError("places that are not in order, or not in the matrix")
        values = _scales.decoded("float16", streams["values"], (count,))
        found = self.base.unpack(own(streams, "places", "values"), shape)
        return Coded(found.codes, {**found.params, "places": places, "values": values})

    def stored_bits(self, shape: tuple[int, int]) -> int:
        """See `Format.stored_bits`."""
        return self.base.stored_bits(shape) + self._count(shape) * (_INDEX_BITS + 16)

    def _count(self, shape: tuple[int, int]) -> int:
        return max(1, round(self.share * shape[0] * shape[1]))


def _without(weights: Matrix, places: NDArray[np.uint32]) -> Matrix:
    rest = weights.copy()
    rest.reshape(-1)[places] = 0
    return rest
