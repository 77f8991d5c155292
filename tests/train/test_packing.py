"""Packed products of signs against products of figures, without torch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.kernels.lowbit import lowbit_paths
from shoal.train import PackedConv, PackedLinear, Thresholds, bits_of


def signs(*shape: int, seed: int = 0) -> np.ndarray:
    return np.where(np.random.default_rng(seed).standard_normal(shape) >= 0, 1, -1).astype(np.int8)


def convolved(w: np.ndarray, x: np.ndarray, stride: int, pad: int) -> np.ndarray:
    padded = np.pad(x.astype(np.int32), ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nchwij,ocij->nohw", windows, w.astype(np.int32))


@given(
    st.integers(1, 70), st.integers(1, 5), st.sampled_from([1, 2, 3]), st.integers(1, 2), st.integers(0, 2),
    st.integers(3, 6), st.integers(0, 9),
)  # fmt: skip
def test_convolutions(channels: int, rows: int, kernel: int, stride: int, pad: int, side: int, seed: int) -> None:
    w, x = signs(rows, channels, kernel, kernel, seed=seed), signs(2, channels, side, side, seed=seed + 1)
    found = PackedConv.of(w, stride, pad).sums(bits_of(x))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, convolved(w, x, stride, pad))


@pytest.mark.parametrize("path", lowbit_paths())
@pytest.mark.parametrize("columns", [1, 63, 64, 65, 200])
def test_matrices(path: str, columns: int) -> None:
    w, x = signs(5, columns), signs(3, 2, columns, seed=1)
    found = PackedLinear.of(w).sums(bits_of(x), path)
    np.testing.assert_array_equal(found, x.astype(np.int32) @ w.T.astype(np.int32))


def test_weights_take_a_bit_each() -> None:
    packed = PackedConv.of(signs(256, 256, 3, 3))
    assert 32 * packed.bytes == 4 * 256 * 256 * 9
    assert packed.columns == 2304


def test_what_is_not_binary_is_refused() -> None:
    with pytest.raises(InputError, match="not binary"):
        PackedLinear.of(np.array([[1, 0]]))
    with pytest.raises(InputError, match="not binary"):
        bits_of(np.array([0.5]))
    with pytest.raises(InputError, match="not binary"):
        PackedConv.of(np.full((1, 1, 3, 3), np.nan))
    with pytest.raises(InputError, match="do not fit"):
        PackedLinear.of(signs(2, 8)).sums(np.ones((1, 9), bool))
    with pytest.raises(InputError, match="do not fit"):
        PackedConv.of(signs(2, 8, 3, 3)).sums(np.ones((1, 9, 4, 4), bool))
    with pytest.raises(InputError, match="smaller than the kernel"):
        PackedConv.of(signs(2, 8, 3, 3)).sums(np.ones((1, 8, 2, 2), bool))


def test_thresholds_rising_falling_and_constant() -> None:
    levels = np.arange(-5, 6, 2, dtype=np.int32)
    found = Thresholds.of(levels, np.stack([levels >= 1, levels < 3, levels > 9, levels < 9], axis=1))
    assert found is not None
    spread = np.repeat(levels[:, None], 4, axis=1)
    expected = np.stack([levels >= 1, levels < 3, levels > 9, levels < 9], axis=1)
    np.testing.assert_array_equal(found.bits(spread), expected)


def test_a_sign_that_changes_twice_has_no_threshold() -> None:
    levels = np.arange(-2, 3, 2, dtype=np.int32)
    assert Thresholds.of(levels, np.array([[True], [False], [True]])) is None
