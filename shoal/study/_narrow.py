"""Scales computed in few bits, and what then becomes of the largest values: bfloat16 and float16 with numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Kind = Literal["bfloat16", "float16", "float32"]
LARGEST = 127  # the code that a block's largest magnitude is meant to get


def narrow(values: Floats, kind: Kind) -> Floats:
    """The nearest values of the kind, ties to even; finite values that it can hold."""
    if kind == "float32":
        return values
    if kind == "float16":
        return values.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    kept = (bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)
    return kept.view(np.float32)


def overflowing(kind: Kind, count: int, seed: int = 0) -> float:
    """The share of normal values that, divided by their own 127th part, round to 128 (algorithm 1 of arXiv 2510.25602)."""
    values = narrow(np.random.default_rng(seed).standard_normal(count, np.float32), kind)
    scales = narrow(values / np.float32(LARGEST), kind)
    there = scales != 0  # in float16 the smallest have none
    codes = np.rint(narrow(values[there] / scales[there], kind))
    return float((codes > LARGEST).mean())


@dataclass(frozen=True)
class Bias:
    """Signed errors of eight-bit codes, in steps."""

    mean: float
    deviations: float  # the mean in its standard errors
    at_end: float  # share of the codes that are −128


def bias(values: Floats, kind: Kind, least: int, group: int = 32) -> Bias:
    """Of blocks of whole numbers from `least` to 127 with scales and quotients computed in `kind`.

    Args:
        values: flat, of whole blocks.
        kind: of the arithmetic.
        least: the lowest code: −128, or −127 as on the other side.
        group: values of a block.
    """
    blocks = narrow(values.reshape(-1, group), kind)
    scales = narrow(np.abs(blocks).max(axis=1, keepdims=True) / np.float32(LARGEST), kind)
    codes = np.clip(np.rint(narrow(blocks / scales, kind)), least, LARGEST)
    errors = (codes - blocks / scales).astype(np.float64)
    mean = float(errors.mean())
    return Bias(mean, mean / float(errors.std() / np.sqrt(errors.size)), float((codes < -LARGEST).mean()))
