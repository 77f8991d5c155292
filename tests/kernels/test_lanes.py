"""Packed products and shifts against whole numbers of 64 bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.compress.quantisers.log2 import Log2
from shoal.errors import InputError
from shoal.kernels.lanes import SPILL, eight_by_four, four_by_four, lane_sums
from shoal.kernels.shifts import halved_product, two_part_product


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 700), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_products_in_lanes_are_exact(tokens: int, rows: int, columns: int, seed: int) -> None:
    source = np.random.default_rng(seed)
    weights = source.integers(-8, 8, (rows, columns)).astype(np.int8)
    for multiply, half in ((four_by_four, 8), (eight_by_four, 128)):
        x = source.integers(-half, half, (tokens, columns)).astype(np.int8)
        np.testing.assert_array_equal(multiply(x, weights), x.astype(np.int64) @ weights.T.astype(np.int64))


@pytest.mark.parametrize("columns", [1, SPILL, SPILL + 1, 16384])
@pytest.mark.parametrize("code", [0, 15])
def test_the_largest_sums_do_not_overflow(columns: int, code: int) -> None:
    full, other = np.full((1, columns), 15, np.uint8), np.full((1, columns), code, np.uint8)
    low, high = lane_sums(full, other, full)
    assert low[0, 0] == 225 * columns
    assert high[0, 0] == 15 * code * columns


@pytest.mark.parametrize("sign", [-1, 1])
def test_ends_of_the_range(sign: int) -> None:
    weights = np.full((1, 16384), -8, np.int8)
    narrow, wide = (
        np.full((1, 16384), min(8 * sign, 7), np.int8),
        np.full((1, 16384), min(128 * sign, 127), np.int8),
    )
    assert four_by_four(narrow, weights)[0, 0] == int(narrow[0, 0]) * -8 * 16384
    assert eight_by_four(wide, weights)[0, 0] == int(wide[0, 0]) * -8 * 16384


def test_a_spill_later_would_overflow() -> None:
    assert (SPILL + 1) * 225 > 65535 >= SPILL * 225


def test_codes_beyond_a_lane_are_refused() -> None:
    with pytest.raises(InputError):
        four_by_four(np.full((1, 4), 8, np.int8), np.ones((1, 4), np.int8))
    with pytest.raises(InputError):
        lane_sums(*(np.full((1, 4), 16, np.uint8),) * 3)


def test_shifts_give_what_shares_give() -> None:
    source = np.random.default_rng(0)
    shares = source.dirichlet(np.full(50, 0.2), 20)
    values = source.integers(-128, 128, (50, 7))
    halvings = Log2().fitted()
    wanted = halvings.rounded(shares).astype(np.float64) @ values
    np.testing.assert_array_equal(halved_product(halvings.coded(shares), values), wanted * 2**15)
    with pytest.raises(InputError):
        halved_product(np.full((1, 1), 16, np.uint8), np.ones((1, 1), np.int8))


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_two_products_and_a_shift(share: float) -> None:
    source = np.random.default_rng(1)
    x, weights = (source.integers(-7, 8, (rows, 300)).astype(np.int8) for rows in (4, 6))
    shifts = 2 * (source.random(300) < share)
    np.testing.assert_array_equal(two_part_product(x, shifts, weights), (x * 4.0 ** (shifts > 0)) @ weights.T)
    with pytest.raises(InputError):
        two_part_product(x, np.arange(300), weights)
