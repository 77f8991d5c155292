"""Bits that nest: top bits are codes, planes join to them whichever way, fits are least squares, feedback serves outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shoal.compress.nested import (
    FITTED,
    LEAST,
    MOST,
    PLAIN,
    PLANES,
    Nested,
    alone,
    grown,
    joined,
    line,
    plane,
    whole,
)
from shoal.compress.nested_fit import SERVED, TRUNCATED, Fitting, nested
from shoal.errors import InputError, ModelError

WIDTHS = range(LEAST, MOST + 1)
SHAPE = (6, 128)


def weights(seed: int, shape: tuple[int, int] = SHAPE) -> Any:
    return np.random.default_rng(seed).standard_t(4, shape).astype(np.float32) * 0.05


def inputs(seed: int, columns: int, count: int = 400) -> Any:
    """Columns that go together, some ten times as large as others."""
    source = np.random.default_rng(seed)
    mixed = source.normal(size=(count, columns)) @ source.normal(size=(columns, columns)) / columns**0.5
    return (mixed + source.normal(size=(count, 1))) * 10 ** source.uniform(-0.5, 0.5, columns)


def made_at_random(codes: Any, seed: int) -> Nested:
    source, groups = np.random.default_rng(seed), (len(codes), codes.shape[1] // min(64, codes.shape[1]))
    grid = [source.normal(0, 1, groups).astype(np.float16) for _ in range(2)]
    fits = {bits: source.integers(0, 256, groups).astype(np.uint8) for bits in FITTED}
    return Nested(codes, MOST, *grid, fits)


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.sampled_from([1, 8, 33, 64, 128]))),
    st.integers(0, 99),
    st.integers(LEAST, MOST),
    st.integers(LEAST, MOST),
)
def test_planes_join_to_the_top_bits_at_once_and_one_after_another(
    codes: Any, seed: int, one: int, other: int
) -> None:
    found = made_at_random(codes, seed)
    planes = [plane(found, number) for number in range(PLANES)]
    low, high = sorted((one, other))
    at_once = joined(planes[: high - 1], codes.shape)
    later = joined(planes[: low - 1], codes.shape)
    for each in planes[low - 1 : high - 1]:
        later = grown(later, each)
    for made in (at_once, later):
        assert np.array_equal(made.codes, codes >> (MOST - high))
        assert np.array_equal(made.matrix(), found.top(high).matrix())
    assert np.array_equal(at_once.top(low).matrix(), found.top(low).matrix())
    stored = alone(whole(found.top(low)), low, codes.shape)
    assert np.array_equal(stored.matrix(), found.top(low).matrix())


def test_bytes_of_planes_are_bits_and_scales() -> None:
    found = nested(weights(0), None, Fitting(feedback=False))
    size = [sum(each.nbytes for each in plane(found, number).values()) for number in range(PLANES)]
    groups, count = 6 * 2, 6 * 128
    assert size == [count // 4 + 5 * groups, *[count // 8 + groups] * 2, *[count // 8] * 4]


def test_without_fits_a_code_is_the_middle_of_its_cell() -> None:
    grid = np.array([[64.0]], np.float16), np.array([[0.0]], np.float16)
    found = Nested(
        np.arange(256, dtype=np.uint8).reshape(4, 64), MOST, *(np.repeat(each, 4, axis=0) for each in grid)
    )
    assert np.array_equal(found.matrix().ravel(), np.arange(256))
    for bits in WIDTHS:
        wide = 2 ** (MOST - bits)
        cells = found.matrix().reshape(-1, wide)
        assert np.allclose(found.top(bits).matrix().reshape(-1, wide), cells.mean(axis=1, keepdims=True))


@pytest.mark.parametrize("bits", FITTED)
def test_fits_are_the_least_squares_that_their_bytes_can_say(bits: int) -> None:
    values = weights(bits, (3, 64))
    found = nested(values, None, Fitting(searched=False, feedback=False))
    codes = found.top(bits).codes
    best = np.full(3, np.inf)
    for byte in range(256):
        slope, base = line(bits, found.cells, found.starts, np.full((3, 1), byte, np.uint8))
        best = np.minimum(best, ((slope * codes + base - values) ** 2).sum(axis=1))
    lost = ((found.top(bits).matrix() - values) ** 2).sum(axis=1)
    assert (lost <= 1.02 * best).all()  # the gain is rounded before the offset is


@pytest.mark.parametrize("seed", range(4))
def test_eight_bits_are_within_half_a_step_without_feedback(seed: int) -> None:
    values = weights(seed)
    found = nested(values, None, TRUNCATED)
    step = np.repeat(found.cells.astype(np.float64), 64, axis=1) / 64
    start = np.abs(found.starts.astype(np.float64)).max() * 2**-11
    assert (np.abs(found.matrix() - values) <= 0.6 * step + start).all()


@pytest.mark.parametrize("seed", range(3))
def test_feedback_serves_outputs_in_two_bits_and_each_width_serves_them_better_than_the_one_below(
    seed: int,
) -> None:
    values, x = weights(seed, (24, 128)), inputs(seed, 128)

    def lost(found: Nested, bits: int) -> float:
        return float((((found.top(bits).matrix() - values) @ x.T) ** 2).sum())

    fitted, apart = nested(values, x.T @ x), nested(values, x.T @ x, Fitting(feedback=False))
    assert lost(fitted, 2) < 0.8 * lost(apart, 2)
    served = [lost(fitted, bits) for bits in SERVED]
    assert served == sorted(served, reverse=True)
    held = nested(values, x.T @ x, Fitting(slack=0))
    assert np.array_equal(held.top(2).codes, apart.top(2).codes)  # nothing may leave its cell


@pytest.mark.parametrize("seed", range(3))
def test_gains_and_offsets_lose_less_of_the_weights(seed: int) -> None:
    values, x = weights(seed), inputs(seed, 128)
    counts = np.diagonal(x.T @ x)
    fitted, cut = (nested(values, x.T @ x, how) for how in (Fitting(searched=False, feedback=False), TRUNCATED))
    for bits in FITTED:
        first, second = (float((counts * (each.top(bits).matrix() - values) ** 2).sum()) for each in (fitted, cut))
        assert first < second


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.integers(LEAST, MOST))
def test_the_product_bit_by_bit_is_that_of_the_matrix(seed: int, bits: int) -> None:
    found = nested(weights(seed), None, Fitting(feedback=False)).top(bits)
    x = np.random.default_rng(seed).normal(size=(5, 128))
    assert np.allclose(found.product(x), x @ found.matrix().T.astype(np.float64), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bits", WIDTHS)
def test_the_product_of_whole_numbers_is_exact(bits: int) -> None:
    source = np.random.default_rng(bits)
    codes, x = source.integers(0, 2**bits, (7, 128)), source.integers(-128, 128, (5, 128))
    ones, wide = np.full((7, 2), 64.0, np.float16), 2 ** (MOST - bits)
    found = Nested(codes.astype(np.uint8), bits, ones, 0 * ones, {bits: np.full((7, 2), PLAIN, np.uint8)})
    assert np.array_equal(found.product(x.astype(np.float64)), x @ (wide * codes + (wide - 1) / 2).T)


def test_groups_without_spread_and_short_rows_are_kept() -> None:
    values = np.zeros((2, 32), np.float32)
    values[1] = 3.0
    found = nested(values)
    assert found.cells.shape == (2, 1)
    for bits in WIDTHS:
        assert np.allclose(found.top(bits).matrix(), values, atol=4e-3)


def test_what_cannot_be_is_refused() -> None:
    found = nested(weights(0), None, TRUNCATED)
    planes = [plane(found, number) for number in range(PLANES)]
    with pytest.raises(InputError, match="not held in so many bits"):
        found.top(4).top(6)
    with pytest.raises(InputError, match="no such plane"):
        plane(found, 7)
    with pytest.raises(InputError, match="no such plane"):
        plane(found.top(4), 0)
    with pytest.raises(ModelError, match="first plane is missing"):
        joined(planes[1:], SHAPE)
    with pytest.raises(ModelError, match="not the plane that comes next"):
        joined([*planes, planes[1]], SHAPE)
    with pytest.raises(ModelError, match="damaged: codes are cut off"):
        joined([planes[0], {"codes": planes[1]["codes"][:-1]}], SHAPE)
    with pytest.raises(ModelError, match="of another matrix"):
        joined(planes, (7, 128))
    with pytest.raises(InputError, match="in whole groups"):
        nested(weights(0, (2, 100)))
    with pytest.raises(InputError, match="finite"):
        nested(np.full((2, 64), np.nan, np.float32))
