"""Products in few bits: every instruction set of this machine against numpy, and against the float product."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kernels.lowbit import LowBit, joined, lowbit_paths, plane, sign_product, sign_words, taken
from tests.kernels.rounding import rounded

F32 = NDArray[np.float32]
PATHS = lowbit_paths()
GROUPS = {1: (64, 128, 256, 512), 2: (32, 64, 128, 256), 4: (16, 32, 64, 128), 8: (8, 16, 32, 64)}


def made(bits: int, group: int, shape: tuple[int, int], kind: str = "fixed", seed: int = 0) -> tuple[LowBit, F32]:
    """A matrix and what it stands for. Kinds: a fixed zero, zeros beside the scales; a scale for each group, or one a row."""
    source = np.random.default_rng(seed)
    rows, columns = shape
    codes = source.integers(0, 2**bits, shape).astype(np.uint8)
    parts = 1 if "row" in kind else columns // group
    scales = source.uniform(0.5, 2, (rows, parts)).astype(np.float16).astype(np.float32)
    zeros = source.integers(0, 2**bits, (rows, parts)) if "zeros" in kind else None
    zero = 2 ** (bits - 1) if "zeros" not in kind else 0
    matrix = LowBit((plane(codes, bits, 0 if "row" in kind else group, scales, zeros, zero),))
    spread = columns // parts
    own = np.repeat(zeros, spread, axis=1) if zeros is not None else zero
    weights = (codes.astype(np.float32) - own) * np.repeat(scales, spread, axis=1)
    return matrix, weights.astype(np.float32)


def inputs(tokens: int, columns: int, seed: int = 1) -> F32:
    return np.random.default_rng(seed).standard_normal((tokens, columns)).astype(np.float32)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("columns", [1, 63, 512, 1000])
def test_activations_are_taken_alike(path: str, bits: int, columns: int) -> None:
    source = np.random.default_rng(columns)
    for group in GROUPS[bits]:
        x = (source.standard_normal((3, columns)) * np.exp(source.standard_normal((3, columns)) * 3)).astype(
            np.float32
        )
        x[1, :group] = 0
        x[2, ::2] = np.float32(0.5) * np.abs(x[2]).max()  # ties
        ours, theirs = taken(x, bits, group, path), taken(x, bits, group, "numpy")
        assert ours.count == theirs.count
        for name in ("codes", "scales", "sums", "totals"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", ["fixed", "zeros", "row", "row zeros"])
def test_the_product_of_what_is_stored(path: str, bits: int, kind: str) -> None:
    for group in GROUPS[bits]:
        matrix, weights = made(bits, group, (7, 1024), kind)
        for tokens in (1, 3, 4, 9):
            x = inputs(tokens, 1024)
            expected = rounded(x, matrix.planes[0].group).astype(np.float64) @ weights.T.astype(np.float64)
            found = matrix.product(x, path)
            np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("bits", "group"), [(2, 64), (4, 32)])
def test_columns_that_do_not_fill_the_last_block(path: str, bits: int, group: int) -> None:
    matrix, weights = made(bits, group, (5, 448), "zeros")
    x = inputs(2, 448)
    expected = rounded(x, group) @ weights.T
    np.testing.assert_allclose(matrix.product(x, path), expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_int8_activations_cost_less_than_a_percent(bits: int) -> None:
    group = GROUPS[bits][-2]
    matrix, weights = made(bits, group, (64, 2048))
    x = inputs(4, 2048)
    expected = x @ weights.T
    assert np.linalg.norm(matrix.product(x) - expected) < 0.01 * np.linalg.norm(expected)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_largest_sums_do_not_overflow(path: str, bits: int) -> None:
    group, columns = GROUPS[bits][-1], 16384
    codes = np.full((3, columns), 2**bits - 1, np.uint8)
    matrix = LowBit((plane(codes, bits, group, np.ones((3, columns // group), np.float32)),))
    x = np.full((1, columns), -1, np.float32)
    np.testing.assert_allclose(matrix.product(x, path), np.full((1, 3), -columns * (2**bits - 1.0)), rtol=1e-6)


@pytest.mark.parametrize("path", PATHS)
def test_threads_share_the_rows(path: str) -> None:
    matrix, _ = made(2, 64, (33, 512))
    x = inputs(5, 512)
    once = matrix.product(x, path)
    for threads in (2, 3, 50):
        np.testing.assert_array_equal(matrix.product(x, path, threads), once)


@pytest.mark.parametrize("path", PATHS)
def test_planes_are_added_up_and_offsets_too(path: str) -> None:
    source = np.random.default_rng(3)
    bits = source.integers(0, 2, (2, 9, 1024)).astype(np.uint8)
    scales = source.uniform(0.1, 1, (2, 9, 8)).astype(np.float16).astype(np.float32)
    offsets = source.standard_normal((9, 8)).astype(np.float32)
    matrix = joined([plane(codes, 1, 128, scale) for codes, scale in zip(bits, scales, strict=True)], offsets)
    weights = sum(codes * np.repeat(scale, 128, axis=1) for codes, scale in zip(bits, scales, strict=True))
    weights = weights + np.repeat(offsets, 128, axis=1)
    x = inputs(3, 1024)
    expected = rounded(x, 128) @ weights.T
    np.testing.assert_allclose(matrix.product(x, path), expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("columns", [1, 63, 64, 65, 200, 640, 4096])
def test_products_of_signs_are_exact(path: str, columns: int) -> None:
    source = np.random.default_rng(4)
    for rows, tokens in ((6, 5), (1, 1), (8, 4), (17, 3), (9, 13)):
        weights, x = (source.choice([-1, 1], (count, columns)) for count in (rows, tokens))
        found = sign_product(sign_words(weights), sign_words(x), columns, path)
        np.testing.assert_array_equal(found, x @ weights.T)


def test_zeros_give_zeros() -> None:
    matrix, _ = made(4, 32, (4, 256))
    assert not matrix.product(np.zeros((2, 256), np.float32)).any()


def test_what_cannot_be_multiplied() -> None:
    matrix, _ = made(4, 32, (4, 256))
    codes, scales = np.zeros((2, 96), np.uint8), np.ones((2, 2), np.float32)
    for act, said in (
        (lambda: matrix.product(inputs(1, 128)), "do not fit the weights"),
        (lambda: matrix.product(inputs(1, 256), "sse"), "no kernels 'sse'"),
        (lambda: plane(codes, 3, 48, scales), "so many bits"),
        (lambda: plane(codes, 4, 48, scales), "one of 16, 32, 64, 128"),
        (lambda: plane(codes, 4, 32, scales), "do not fit the codes"),
        (lambda: plane(codes + 16, 4, 32, np.ones((2, 3), np.float32)), "too large"),
        (lambda: sign_words(np.zeros((2, 3))), "not binary"),
        (lambda: joined([]), "cannot be added up"),
    ):
        with pytest.raises(InputError, match=said) as found:
            act()  # type: ignore[no-untyped-call]
        assert said.split()[0] in str(found.value)
