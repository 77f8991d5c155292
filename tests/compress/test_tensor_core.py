"""Sums as tensor cores make them: exact with enough bits, cut as stated by hand, better promoted than not."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.compress.tensor_core import Adder, accumulated, tiled_product
from shoal.errors import InputError
from shoal.formats import quantise, restored
from shoal.formats._floats import float_rounded
from shoal.formats.tiles import Tiles

ACTS, WEIGHTS = Tiles(rows=1), Tiles()


def numbers(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return float_rounded(np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 30, 4, 3)


def test_with_enough_bits_sums_are_exact() -> None:
    left, right = numbers((3, 300)), numbers((5, 300), 1)
    found = accumulated(left, right, Adder(bits=48, promoted=0))
    np.testing.assert_allclose(found, left.astype(np.float64) @ right.T, rtol=1e-6)


def test_by_hand() -> None:
    """Three fraction bits of 8 are units of 1: 8 + 0.75 + 0.75 − 1.5 is 8 + 0 + 0 − 1 = 7; 7 + 0.75 keeps units of 0.5."""
    left = np.array([[8, 0.75, 0.75, -1.5, 0.75, 0, 0, 0]], np.float32)
    ones = np.ones((1, 8), np.float32)
    assert accumulated(left[:, :4], ones[:, :4], Adder(3, 4, 0)) == 7
    assert accumulated(left, ones, Adder(3, 4, 0)) == 7.5
    assert accumulated(left, ones, Adder(3, 4, 4)) == 7.75


def test_promotion_makes_long_sums_better() -> None:
    left, right = np.abs(numbers((16, 4096))), np.abs(numbers((16, 4096), 1))
    wanted = left.astype(np.float64) @ right.T
    often, never = (np.abs(accumulated(left, right, Adder(promoted=each)) - wanted).mean() for each in (128, 0))
    assert often < never / 3


@pytest.mark.parametrize("columns", [256, 200, 7])
def test_tiles_are_scaled_where_they_are_promoted(columns: int) -> None:
    """Columns that are no multiple of 128 are filled up."""
    source = np.random.default_rng(2)
    x, weights = (source.standard_normal((rows, columns)).astype(np.float32) for rows in (6, 130))
    x[:, 0] *= 1000
    coded = quantise(ACTS, x), quantise(WEIGHTS, weights)
    found = tiled_product(*coded, Adder(bits=48), acts=ACTS, form=WEIGHTS)
    wanted = restored(ACTS, coded[0]).astype(np.float64) @ restored(WEIGHTS, coded[1]).T
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="no product"):
        accumulated(np.ones((2, 3), np.float32), np.ones((2, 4), np.float32), Adder())
    with pytest.raises(InputError, match="no such adder"):
        Adder(promoted=100)
    coded = quantise(WEIGHTS, np.ones((2, 4), np.float32))
    with pytest.raises(InputError, match="tiles that do not fit"):
        tiled_product(coded, coded, Adder(), acts=WEIGHTS, form=WEIGHTS)
