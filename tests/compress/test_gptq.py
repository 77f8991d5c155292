"""Rounding column by column: rows of few columns, and columns that the samples never reach."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.compress import Seen, Work
from shoal.compress.techniques.gptq import Gptq
from shoal.compress.techniques.rtn import Rtn
from shoal.formats import make, restored


def lost(technique: Gptq | Rtn, weights: np.ndarray, seen: Seen) -> float:
    coded = technique.apply(Work(weights), seen, 0).coded
    assert coded is not None
    return seen.energy(restored(make(technique.format), coded) - weights, 0)


@pytest.mark.parametrize("name", ["int8", "int4", "int4a"])
def test_scales_of_short_rows_are_tried(name: str) -> None:
    """Of inputs that are all positive, as after a Relu, where what rounding adds in the mean counts most."""
    source = np.random.default_rng(0)
    x = np.abs(source.standard_normal((1, 400, 9))).astype(np.float32) + 1
    seen = Seen(9)
    seen.add(x, x)
    weights = source.standard_normal((32, 9)).astype(np.float32)
    nearest, one, best = (lost(each, weights, seen) for each in (Rtn(name), Gptq(name, tries=1), Gptq(name)))
    assert best < 0.7 * one
    assert best < 0.4 * nearest


def test_columns_without_samples_are_rounded_by_themselves() -> None:
    source = np.random.default_rng(0)
    x = source.standard_normal((1, 400, 96)).astype(np.float32)
    x[..., 32:64] = 0
    seen = Seen(96)
    seen.add(x, x)
    weights = source.standard_normal((16, 96)).astype(np.float32)
    coded = Gptq("int8").apply(Work(weights), seen, 0).coded
    assert coded is not None
    error = restored(make("int8"), coded)[:, 32:64] - weights[:, 32:64]
    assert np.abs(error).max() <= 0.51 * np.abs(weights).max() / 127
