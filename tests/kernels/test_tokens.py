"""Products of many tokens: every instruction set of this machine against numpy and against the same tokens one by one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kernels import LowBit, laid_out, lowbit_paths, product, taken
from shoal.kernels.lowbit import joined, plane
from tests.kernels.rounding import rounded
from tests.kernels.test_lowbit import GROUPS, inputs, made

PATHS = lowbit_paths()
WHOLE = [path for path in PATHS if path != "numpy"] or PATHS
TOKENS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 33)


@pytest.mark.parametrize("path", WHOLE)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", ["fixed", "zeros", "row", "row zeros"])
def test_tokens_together_are_as_alone(path: str, bits: int, kind: str) -> None:
    for group in GROUPS[bits]:
        matrix, _ = made(bits, group, (37, 1536), kind)
        x = inputs(33, 1536)
        alone = np.concatenate([matrix.product(x[t : t + 1], path) for t in range(len(x))])
        for tokens in TOKENS:
            found = matrix.product(x[:tokens], path)
            np.testing.assert_allclose(found, alone[:tokens], atol=1e-5 * np.abs(alone).max())


@pytest.mark.parametrize("path", WHOLE)
@pytest.mark.parametrize(("bits", "group"), [(1, 128), (2, 64), (4, 32), (8, 8)])
@pytest.mark.parametrize("rows", [1, 16, 31, 65])
def test_rows_and_columns_that_fill_nothing(path: str, bits: int, group: int, rows: int) -> None:
    for columns in (group, 7 * group, 41 * group):
        matrix, weights = made(bits, group, (rows, columns), "zeros")
        x = inputs(11, columns)
        expected = rounded(x, group).astype(np.float64) @ weights.T.astype(np.float64)
        np.testing.assert_allclose(matrix.product(x, path), expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("path", WHOLE)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_whole_numbers_are_exact(path: str, bits: int) -> None:
    source = np.random.default_rng(bits)
    columns = 4096
    group = GROUPS[bits][-1]
    codes = source.integers(0, 2**bits, (21, columns)).astype(np.uint8)
    zeros = source.integers(0, 2**bits, (21, columns // group))
    matrix = LowBit((plane(codes, bits, group, np.ones(zeros.shape, np.float32), zeros),))
    weights = codes.astype(np.int64) - np.repeat(zeros, group, axis=1)
    for least, most in ((-8, 8), (-127, 128)):
        acts = source.integers(least, most, (13, columns)).astype(np.int8)
        x = laid_out(acts, np.ones((13, 1), np.float32), bits, group)
        np.testing.assert_array_equal(product(matrix, x, path), acts.astype(np.int64) @ weights.T)


@pytest.mark.parametrize("path", WHOLE)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("act", [-128, -127, 7, 15, 127])
def test_the_largest_sums_do_not_overflow(path: str, bits: int, act: int) -> None:
    group, columns, tokens = GROUPS[bits][-1], 16384, 9
    codes = np.full((3, columns), 2**bits - 1, np.uint8)
    matrix = LowBit((plane(codes, bits, group, np.ones((3, columns // group), np.float32)),))
    acts = np.full((tokens, columns), act, np.int8)
    x = laid_out(acts, np.ones((tokens, columns // group), np.float32), bits, group)
    expected = np.full((tokens, 3), columns * (2**bits - 1) * act)
    np.testing.assert_allclose(product(matrix, x, path), expected, rtol=1e-6)
    if np.abs(expected).max() < 2**24:
        np.testing.assert_array_equal(product(matrix, x, path), expected)


@pytest.mark.parametrize("path", WHOLE)
def test_threads_planes_and_offsets(path: str) -> None:
    source = np.random.default_rng(3)
    bits = source.integers(0, 2, (2, 75, 1024)).astype(np.uint8)
    scales = source.uniform(0.1, 1, (2, 75, 8)).astype(np.float16).astype(np.float32)
    offsets = source.standard_normal((75, 8)).astype(np.float32)
    matrix = joined([plane(codes, 1, 128, scale) for codes, scale in zip(bits, scales, strict=True)], offsets)
    weights = sum(codes * np.repeat(scale, 128, axis=1) for codes, scale in zip(bits, scales, strict=True))
    x = inputs(19, 1024)
    expected = rounded(x, 128) @ (weights + np.repeat(offsets, 128, axis=1)).T
    once = matrix.product(x, path)
    np.testing.assert_allclose(once, expected, atol=2e-5 * np.abs(expected).max())
    for threads in (2, 3, 100):
        np.testing.assert_array_equal(matrix.product(x, path, threads), once)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("columns", [1000, 1024])
def test_whole_activations_lie_as_rounded_ones(bits: int, columns: int) -> None:
    group = GROUPS[bits][1]
    x = inputs(5, columns)
    padded: NDArray[np.float32] = np.zeros((5, -(-columns // group) * group), np.float32)
    padded[:, :columns] = x
    most = np.abs(padded.reshape(5, -1, group)).max(axis=2, keepdims=True)
    codes = np.rint(padded.reshape(5, -1, group) * (np.float32(127) / most)).reshape(5, -1)[:, :columns]
    ours = laid_out(codes.astype(np.int8), most[..., 0] / np.float32(127), bits, group)
    theirs = taken(x, bits, group)
    assert ours.count == theirs.count
    for name in ("codes", "scales", "sums", "totals"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_activations_in_another_order_are_refused() -> None:
    matrix, _ = made(4, 32, (4, 256))
    for x in (taken(inputs(3, 256), 2, 32), taken(inputs(3, 256), 4, 64), taken(inputs(3, 512), 4, 32)):
        with pytest.raises(InputError, match="another order"):
            product(matrix, x)
    with pytest.raises(InputError, match="do not fit the codes"):
        laid_out(np.zeros((3, 256), np.int8), np.ones((3, 5), np.float32), 4, 32)
