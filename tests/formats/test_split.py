"""Splits into exponent and mantissa chosen by row: never worse than whole numbers, exact steps at powers of two."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal import formats
from shoal.errors import InputError
from shoal.formats import Coded, quantise, restored
from shoal.formats._floats import float_rounded, float_values
from shoal.formats.split import Split

PAIRS = [(e, m) for e in range(1, 6) for m in range(7) if 2 <= e + m <= 7]


def drawn(law: str, seed: int, shape: tuple[int, int] = (6, 128)) -> NDArray[np.float32]:
    source = np.random.default_rng(seed)
    found = {
        "normal": source.standard_normal(shape),
        "even": source.uniform(-1, 1, shape),
        "far": source.standard_t(2, shape),
        "one side": np.abs(source.standard_normal(shape)),
    }[law]
    return (found * 10.0 ** source.uniform(-2, 2)).astype(np.float32)


def lost(name: str, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    form = formats.make(name)
    off = restored(form, quantise(form, weights)).astype(np.float64) - weights
    return (off**2).sum(axis=1)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["normal", "even", "far", "one side"]), st.integers(0, 2**31))
def test_no_row_loses_more_than_in_whole_numbers(law: str, seed: int) -> None:
    """Nor than in any single split whose scale is searched at the same places."""
    weights = drawn(law, seed)
    ours = lost("fp4", weights)
    for name in ("int4", "int4s", *(f"split:bits=4,splits=e{e}m{3 - e}" for e in (1, 2, 3))):
        assert (ours <= lost(name, weights) * (1 + 1e-5)).all(), name
    eight = lost("fp8", weights)
    assert (eight <= lost("split:splits=e4m3", weights) * (1 + 1e-5)).all()


def test_grids_of_four_bits() -> None:
    whole, middle, wide = (grid.array[7:] / grid.array[-1] for grid in Split(4).grids)
    np.testing.assert_allclose(whole, np.arange(8) / 7, rtol=1e-6)
    np.testing.assert_allclose(middle, np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6]) / 6, rtol=1e-6)
    np.testing.assert_allclose(wide, np.array([0, 0.25, 0.5, 1, 2, 4, 8, 16]) / 16, rtol=1e-6)


def test_the_tails_decide_the_split() -> None:
    form = Split(4)
    chosen = [form.chosen(form.fit(drawn(law, 0, (50, 512)))) for law in ("even", "far")]
    assert chosen[0]["e1m2"] == 50
    assert chosen[1]["e1m2"] < 5
    assert sum(chosen[1].values()) == 50


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"e{pair[0]}m{pair[1]}")
def test_rounding_without_a_logarithm_gives_the_nearest_value(pair: tuple[int, int]) -> None:
    """Powers of two and their neighbours among them."""
    half = float_values(*pair)
    every = np.concatenate([-half[:0:-1], half])
    powers = np.exp2(np.arange(-20, 20)).astype(np.float32)
    near = np.concatenate([powers, np.nextafter(powers, np.float32(0)), np.nextafter(powers, np.float32(np.inf))])
    source = np.random.default_rng(0)
    values = np.concatenate([every, near, -near, source.standard_normal(500).astype(np.float32) * half[-1] / 2])
    found = float_rounded(values, *pair)
    assert np.isin(found, every).all()
    least = np.abs(values[:, None].astype(np.float64) - every).min(axis=1)
    np.testing.assert_array_equal(np.abs(values.astype(np.float64) - found), least)
    np.testing.assert_array_equal(float_rounded(every, *pair), every)


@pytest.mark.parametrize(
    ("pair", "dtype"), [((4, 3), ml_dtypes.float8_e4m3fn), ((5, 2), ml_dtypes.float8_e5m2), ((2, 1), ml_dtypes.float4_e2m1fn)]
)  # fmt: skip
def test_rounding_is_that_of_ml_dtypes(pair: tuple[int, int], dtype: type) -> None:
    most = float_values(*pair)[-1]
    values = np.random.default_rng(1).uniform(-most, most, 5000).astype(np.float32)
    np.testing.assert_array_equal(float_rounded(values, *pair), values.astype(dtype).astype(np.float32))


@pytest.mark.parametrize("split", ["e1m2", "e2m1", "e3m0"])
def test_the_step_between_neighbours_is_that_of_the_exponent(split: str) -> None:
    """What learned rounding chooses between, also at powers of two."""
    form = Split(4, splits=split)
    (exponent, mantissa), (grid,) = form.pairs[0], form.grids
    inner = grid.array[:-1]
    params = {"scales": np.full((1, 1), 0.25, np.float32), "splits": np.zeros((1, 1), np.uint8)}
    weights = (inner * np.float32(0.25))[None]
    low, high = (form.decode(each, params) for each in form.bracket(weights, params))
    np.testing.assert_array_equal(low, weights)
    _, power = np.frexp(np.where(inner < 0, np.nextafter(inner, np.float32(0)), inner))
    power[inner == 0] = -99
    step = np.ldexp(1.0, np.maximum(power - 1, 2 - 2 ** (exponent - 1)) - mantissa)
    np.testing.assert_array_equal((high - low)[0], step * 0.25)


def test_each_row_keeps_its_own_split() -> None:
    weights = np.concatenate([drawn("even", 3), drawn("far", 4)])
    for name in ("fp8", "fp4", "fp4g32"):
        form = formats.make(name)
        coded = quantise(form, weights)
        assert len(np.unique(coded.params["splits"])) > 1
        streams = form.pack(coded)
        assert 8 * sum(each.size for each in streams.values()) == form.stored_bits((12, 128))
        again = form.unpack(streams, (12, 128))
        np.testing.assert_array_equal(restored(form, again), restored(form, coded))


def test_what_is_stored_and_means_nothing() -> None:
    form = Split(4)
    coded = quantise(form, drawn("normal", 0))
    streams = dict(form.pack(coded))
    with pytest.raises(InputError, match="'splits' are missing"):
        form.unpack({name: each for name, each in streams.items() if name != "splits"}, (6, 128))
    with pytest.raises(InputError, match="a split that the format does not have"):
        form.unpack(
            streams | {"splits": np.full_like(streams["splits"], 255) & np.array([255, 15], np.uint8)}, (6, 128)
        )
    with pytest.raises(InputError, match="a code that the format does not have"):
        form.pack(Coded(np.full_like(coded.codes, 15), coded.params))
