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


def correlated(columns: int, seed: int = 0) -> Seen:
    """Inputs whose channels say much of each other, some loud."""
    source = np.random.default_rng(seed)
    mixed = source.standard_normal((columns // 4, columns)) * np.exp(source.standard_normal(columns) / 2)
    x = source.standard_normal((1, 4 * columns, columns // 4)) @ mixed
    x = (x + 0.3 * source.standard_normal(x.shape)).astype(np.float32)
    seen = Seen(columns)
    seen.add(x, x)
    return seen


@pytest.mark.parametrize("bits", [2, 3])
def test_free_scales_lose_less_than_uniform_ones(bits: int) -> None:
    """Of two groups: nearest values, second order on whole numbers, second order on bit planes."""
    weights = np.random.default_rng(1).standard_normal((48, 128)).astype(np.float32)
    seen = correlated(128)
    nearest = lost(Rtn(f"int{bits}ag64"), weights, seen)
    uniform = lost(Gptq(f"int{bits}ag64"), weights, seen)
    planes = lost(Gptq(f"hlq{bits}g64"), weights, seen)
    assert planes < uniform < nearest
    assert planes < lost(Rtn(f"hlq{bits}g64"), weights, seen)


def test_groups_are_fitted_as_their_turn_comes() -> None:
    """What the first group loses moves the second one's scales; every code is of the level nearest to what was left."""
    weights = np.random.default_rng(1).standard_normal((8, 128)).astype(np.float32)
    seen = correlated(128)
    form = make("hlq2g64")
    coded = Gptq("hlq2g64").apply(Work(weights), seen, 0).coded
    assert coded is not None
    before = form.fit(weights, seen.importance(0))
    assert coded.params["scales"].shape == before["scales"].shape
    assert not np.allclose(coded.params["scales"][:, 1], before["scales"][:, 1], rtol=1e-3)
