"""How scales are stored: rounded so that the bytes hold exactly what is multiplied with.

Sources: E8M0 and the floor rule: OCP Microscaling Formats specification 1.0; E4M3 with 448 as its largest value and no
infinity: FP8 Formats for Deep Learning, arXiv 2209.05433.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats._floats import float_values

Kind = Literal["float32", "float16", "e8m0", "e4m3"]
BITS: dict[Kind, int] = {"float32": 32, "float16": 16, "e8m0": 8, "e4m3": 8}
E8M0_BIAS = 127
TINY = {"float32": float(np.finfo(np.float32).tiny), "float16": 2.0**-24, "e8m0": 2.0**-127, "e4m3": 2.0**-9}
Floats = NDArray[np.float32]


def rounded(kind: Kind, scales: Floats, rule: str = "ceil") -> Floats:
    """The nearest positive scales that `kind` can hold; a power of two is rounded up, so that nothing clips.

    Args:
        kind: how they are stored.
        scales: at least 0; zeros become the smallest positive one.
        rule: of powers of two: "ceil", or "floor" as the OCP specification has it.
    """
    positive = np.maximum(scales, np.float32(TINY[kind]))
    if kind == "float32":
        return positive.astype(np.float32)
    if kind == "float16":
        return np.minimum(positive, np.float32(65504)).astype(np.float16).astype(np.float32)
    if kind == "e8m0":
        fraction, exponent = np.frexp(positive)  # positive = fraction · 2^exponent, fraction in [0.5, 1)
        power = np.where((fraction == 0.5) | (rule == "floor"), exponent - 1, exponent)
        powers: Floats = np.ldexp(np.float32(1), np.clip(power, -E8M0_BIAS, E8M0_BIAS)).astype(np.float32)
        return powers
    values = float_values(4, 3)[1:]
    return values[_nearest(values, positive)]


def encoded(kind: Kind, scales: Floats) -> NDArray[np.uint8]:
    """Their bytes, little-endian, one after the other.

    Raises:
        InputError: one of them is none that `kind` can hold.
    """
    if kind in ("float32", "float16"):
        made = scales.astype("<f4" if kind == "float32" else "<f2")
        bytes_ = np.frombuffer(made.tobytes(), np.uint8)
    elif kind == "e8m0":
        with np.errstate(divide="ignore"):
            bytes_ = np.clip(np.rint(np.log2(scales)) + E8M0_BIAS, 0, 2 * E8M0_BIAS).astype(np.uint8).reshape(-1)
    else:
        bytes_ = _nearest(float_values(4, 3), scales).astype(np.uint8).reshape(-1)
    if not np.array_equal(decoded(kind, bytes_, scales.shape), scales):
        raise InputError(f"a scale that {kind} cannot hold")
    return bytes_


def decoded(kind: Kind, data: NDArray[np.uint8], shape: tuple[int, ...]) -> Floats:
    """The scales that `encoded` wrote.

    Raises:
        InputError: not as many bytes as `shape` takes, or one that stands for no scale.
    """
    count = int(np.prod(shape))
    if data.size * 8 != count * BITS[kind]:
        raise InputError("scales are cut off", needed=f"{count * BITS[kind] // 8} bytes", had=str(data.size))
    if kind in ("float32", "float16"):
        found = np.frombuffer(data.tobytes(), "<f4" if kind == "float32" else "<f2").astype(np.float32)
    elif kind == "e8m0":
        found = np.ldexp(np.float32(1), data.astype(np.int32) - E8M0_BIAS).astype(np.float32)
    elif data.size and int(data.max()) > 126:
        raise InputError("not the code of a positive E4M3 scale", had=str(int(data.max())))
    else:
        found = float_values(4, 3)[data]
    if not np.isfinite(found).all():
        raise InputError(f"a {kind} scale that is not finite")
    return found.reshape(shape)


def _nearest(values: Floats, wanted: Floats) -> NDArray[np.intp]:
    return np.searchsorted((values[1:] + values[:-1]) / 2, wanted)
