"""Numbers with a fixed point: rounding, saturation, exact products."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.machines import Fixed

FEATURES = Fixed(32, 10)
RAW = st.integers(-(2**31), 2**31 - 1)


def test_values_round_half_up_and_down_and_saturate() -> None:
    form = Fixed(6, 4)  # steps of a quarter, from -8 to 7.75
    values = np.array([0.124, 0.125, -0.125, -0.126, 7.9, 100.0, -8.2])
    np.testing.assert_array_equal(form.rounded(values), [0, 0.25, 0, -0.25, 7.75, 7.75, -8])
    down = Fixed(6, 4, rounding="down").rounded(np.array([0.24, -0.01]))
    np.testing.assert_array_equal(down, [0, -0.25])


def test_saturating_stays_at_the_end_where_wrapping_comes_round() -> None:
    large = np.array([511.0, 512.0, 600.0, -600.0])
    np.testing.assert_allclose(FEATURES.rounded(large), [511, 512, 512, -512], atol=FEATURES.step)
    assert FEATURES.rounded(large).max() < 512
    wrapped = Fixed(32, 10, overflow="wrap").rounded(large)
    np.testing.assert_array_equal(wrapped, [511, -512, 600 - 1024, 1024 - 600])


@given(st.lists(st.tuples(RAW, RAW), min_size=1, max_size=6), st.integers(10, 30))
def test_products_are_exact_before_they_are_rounded_once(pairs: list[tuple[int, int]], drop: int) -> None:
    left, right = (np.array(each, np.int64) for each in zip(*pairs, strict=True))
    found = FEATURES.product(left[None], right[:, None], drop)[0, 0]
    nearest = floor(Fraction(sum(a * b for a, b in pairs), 2**drop) + Fraction(1, 2))
    assert found == min(max(nearest, -(2**31)), 2**31 - 1)


def test_sums_that_may_leave_64_bits_are_refused() -> None:
    rows = np.full((1, 2), 2**31 - 1, np.int64)
    with pytest.raises(InputError, match="sums that 64 bits may not hold"):
        FEATURES.product(rows, rows.T, 0)


def test_the_full_range_of_features_is_multiplied_exactly() -> None:
    rows = np.full((1, 64), -(2**31), np.int64)
    assert FEATURES.product(rows, rows.T, FEATURES.fraction)[0, 0] == FEATURES.most
    rows[0, ::2] = 2**31 - 1
    assert FEATURES.product(rows, -rows.T, FEATURES.fraction)[0, 0] == -FEATURES.most - 1


@pytest.mark.parametrize(("most", "whole"), [(0.3, 2), (1.99, 2), (2.0, 3), (-4.1, 4), (3e4, 16)])
def test_the_point_moves_for_what_is_larger(most: float, whole: int) -> None:
    form = Fixed(16, 2).holding(np.array([most, 0.1]))
    assert form.whole == whole
    assert abs(form.rounded(np.array([most]))[0] - most) <= form.step


def test_formats_that_are_none() -> None:
    for bits, whole in ((33, 10), (1, 1), (8, 9), (8, 0)):
        with pytest.raises(InputError, match=f"<{bits}, {whole}>"):
            Fixed(bits, whole)
