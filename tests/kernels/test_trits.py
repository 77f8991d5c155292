"""Products with ternary weights as they are stored: every instruction set, to the last whole number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kernels.lowbit import lowbit_paths
from shoal.kernels.trits import Trits, fives, threes
from tests.kernels.rounding import rounded

PATHS = lowbit_paths()
PACKINGS = (fives, threes)
COLUMNS = (1, 4, 5, 6, 64, 192, 319, 320, 321, 384, 385, 640, 1000, 4096)
Packing = Callable[..., Trits]


def trits(rows: int, columns: int, seed: int = 0) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-1, 2, (rows, columns)).astype(np.int8)


def whole_inputs(tokens: int, columns: int, group: int) -> NDArray[np.float32]:
    """Whole numbers to ±127, which is there in each group: rounding leaves them as they are."""
    x = np.random.default_rng(1).integers(-127, 128, (tokens, columns)).astype(np.float32)
    x[:, ::group] = 127
    return x


def of(weights: NDArray[np.int8], packing: Packing, **options: bool) -> Trits:
    return packing((weights + 1).astype(np.uint8), np.ones(len(weights), np.float32), **options)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("columns", COLUMNS)
def test_products_of_whole_numbers_are_exact(path: str, packing: Packing, columns: int) -> None:
    for rows in (1, 2, 7):
        for tokens in (1, 3, 4, 6):
            weights = trits(rows, columns)
            for by_token in (False, True):
                matrix = of(weights, packing, by_token=by_token)
                x = whole_inputs(tokens, columns, matrix.taken_columns)
                np.testing.assert_array_equal(matrix.product(x, path), x @ weights.T.astype(np.float32))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_sums_do_not_overflow(path: str, packing: Packing, sign: int) -> None:
    weights = np.full((3, 15_999), sign, np.int8)
    x = np.full((1, 15_999), -127, np.float32)
    np.testing.assert_array_equal(of(weights, packing).product(x, path), np.full((1, 3), -127.0 * 15_999 * sign))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("packing", PACKINGS)
def test_every_byte_that_there_can_be(path: str, packing: Packing) -> None:
    width = 5 if packing is fives else 6
    weights = (np.arange(3**width)[:, None] // 3 ** np.arange(width) % 3 - 1).astype(np.int8)
    assert len({row.tobytes() for row in of(weights, packing).codes}) > 100
    np.testing.assert_array_equal(
        of(weights, packing).product(np.eye(width, dtype=np.float32) * 127, path) / 127, weights.T
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("by_token", [False, True])
def test_products_of_figures(path: str, packing: Packing, by_token: bool) -> None:
    source = np.random.default_rng(2)
    weights, scales = trits(33, 1000), source.uniform(0.1, 2, 33).astype(np.float32)
    matrix = packing((weights + 1).astype(np.uint8), scales, by_token=by_token)
    x = source.standard_normal((5, 1000)).astype(np.float32)
    expected = rounded(x, matrix.taken_columns).astype(np.float64) @ (weights * scales[:, None]).T
    for threads in (1, 2, 40):
        found = matrix.product(x, path, threads)
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("path", PATHS)
def test_zeros_give_zeros(path: str) -> None:
    assert not of(trits(4, 100), fives).product(np.zeros((2, 100), np.float32), path).any()


def test_what_stands_for_no_weights() -> None:
    five, three = of(trits(2, 12), fives), of(trits(2, 12), threes)
    none = np.zeros(0, np.uint8)
    for act, said in (
        (lambda: Trits((2, 12), np.full_like(five.codes, 243), none, five.scales), "no five trits"),
        (lambda: Trits((2, 12), three.codes | np.uint8(14), three.signs, three.scales), "no three trits"),
        (lambda: Trits((2, 12), three.codes & np.uint8(0), ~(three.signs & 0), three.scales), "no three trits"),
        (lambda: Trits((2, 20), five.codes, none, five.scales), "do not fit"),
        (lambda: Trits((2, 12), five.codes, none, five.scales[:1]), "do not fit"),
        (lambda: fives(np.full((2, 5), 3, np.uint8), five.scales), "no trit"),
        (lambda: five.product(np.zeros((1, 11), np.float32)), "do not fit the weights"),
        (lambda: five.product(np.zeros((1, 12), np.float32), "sse"), "no kernels 'sse'"),
    ):
        with pytest.raises(InputError, match=said):
            act()
