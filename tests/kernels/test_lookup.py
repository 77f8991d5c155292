"""Products with bit planes by tables: every instruction set, to the last whole number."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kernels.lookup import Lookup, lookup
from shoal.kernels.lowbit import lowbit_paths
from tests.kernels.rounding import rounded

PATHS = lowbit_paths()
F32 = NDArray[np.float32]


def halves(source: np.random.Generator, *shape: int) -> F32:
    return source.uniform(-1, 1, shape).astype(np.float16).astype(np.float32)


def made(planes: int, rows: int, columns: int, group: int, seed: int = 0) -> tuple[Lookup, F32]:
    """A matrix, and what its planes stand for."""
    source = np.random.default_rng(seed)
    bits = source.integers(0, 2, (planes, rows, columns)).astype(np.uint8)
    groups = columns // group if group else 1
    scales, zeros = halves(source, rows, groups, planes), halves(source, rows, groups)
    each = columns // groups
    spread = np.repeat(scales, each, axis=1).transpose(2, 0, 1)
    return lookup(bits, group, scales, zeros), (bits * spread).sum(axis=0) + np.repeat(zeros, each, axis=1)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("planes", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("columns", "group"), [(32, 32), (96, 96), (256, 64), (512, 512), (1, 0), (77, 0), (300, 0)]
)
def test_products_are_of_what_is_stored(path: str, planes: int, columns: int, group: int) -> None:
    for rows in (1, 9, 16, 23, 33):
        matrix, weights = made(planes, rows, columns, group)
        for tokens in (1, 3):
            x = np.random.default_rng(1).standard_normal((tokens, columns)).astype(np.float32)
            expected = rounded(x, matrix.taken_columns).astype(np.float64) @ weights.T
            for threads in (1, 3):
                found = matrix.product(x, path, threads)
                np.testing.assert_allclose(found, expected, atol=2e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("columns", [32, 100, 4096])
def test_products_of_whole_numbers_are_exact(path: str, columns: int) -> None:
    source = np.random.default_rng(2)
    bits = source.integers(0, 2, (2, 18, columns)).astype(np.uint8)
    scales = np.broadcast_to(np.array([1, 2], np.float32), (18, 1, 2))
    matrix = lookup(bits, 0, scales, np.full((18, 1), -1, np.float32))
    x = source.integers(-127, 128, (2, columns)).astype(np.float32)
    x[:, ::32] = 127
    weights = bits[0].astype(np.float32) + 2 * bits[1] - 1
    np.testing.assert_array_equal(matrix.product(x, path), x @ weights.T)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_sums_do_not_overflow(path: str, sign: int) -> None:
    columns = 16_384
    bits, scales = np.ones((1, 3, columns), np.uint8), np.ones((3, 1, 1), np.float32)
    matrix = lookup(bits, columns, scales, np.zeros((3, 1), np.float32))
    x = np.full((1, columns), 127 * sign, np.float32)
    np.testing.assert_array_equal(matrix.product(x, path), np.full((1, 3), 127.0 * columns * sign))


@pytest.mark.parametrize("path", PATHS)
def test_every_sum_of_four(path: str) -> None:
    bits = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(np.uint8)
    matrix = lookup(np.tile(bits, 8)[None], 0, np.ones((16, 1, 1), np.float32), np.zeros((16, 1), np.float32))
    for place in range(8):
        x = np.zeros((1, 32), np.float32)
        x[0, 4 * place : 4 * place + 4] = [127, -126, 125, -64]
        np.testing.assert_array_equal(matrix.product(x, path), x @ np.tile(bits, 8).T)


def test_what_cannot_be_multiplied() -> None:
    matrix, _ = made(2, 5, 64, 32)
    for act, said in (
        (lambda: made(2, 5, 48, 48), "groups of 48"),
        (lambda: made(5, 5, 64, 32), "do not fit each other"),
        (lambda: Lookup((5, 64), 64, matrix.codes, matrix.scales, matrix.zeros), "do not fit each other"),
        (lambda: matrix.product(np.zeros((1, 32), np.float32)), "do not fit the weights"),
        (lambda: matrix.product(np.zeros((1, 64), np.float32), "sse"), "no kernels 'sse'"),
    ):
        with pytest.raises(InputError, match=said):
            act()
