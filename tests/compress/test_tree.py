"""Trees of channels: least weight, least depth, exact sums, exact bytes."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.compress.tree import (
    channel_tree,
    distances,
    greedy_path,
    hung_from,
    least_tree,
    levels,
    tree_sums,
)
from shoal.compress.tree_hardware import UnrolledXnor
from shoal.compress.tree_store import tree_bytes, tree_of_bytes
from shoal.errors import InputError

SIZES = st.tuples(st.integers(1, 24), st.integers(1, 70), st.integers(0, 99), st.sampled_from([0.02, 0.2, 0.5]))


def alike(rows: int, columns: int, seed: int, rate: float) -> np.ndarray:
    """Rows that are one with some signs turned: a low rate gives duplicates."""
    source = np.random.default_rng(seed)
    first = np.where(source.random(columns) < 0.5, -1, 1)
    return np.where(source.random((rows, columns)) < rate, -first, first).astype(np.int8)


def weight_by_scipy(distance: np.ndarray) -> int:
    """Scipy drops edges of weight 0, so that 1 is added to all."""
    csgraph = pytest.importorskip("scipy.sparse.csgraph")
    return int(csgraph.minimum_spanning_tree(distance + 1).sum()) - (len(distance) - 1)


@given(SIZES)
def test_no_tree_weighs_less(size: tuple[int, int, int, float]) -> None:
    signs = alike(*size)
    tree = channel_tree(signs)
    assert tree.weight == weight_by_scipy(distances(signs))
    assert tree.weight <= greedy_path(distances(signs))


@given(SIZES)
def test_no_other_root_gives_less_depth(size: tuple[int, int, int, float]) -> None:
    tree = channel_tree(alike(*size))
    depths = [int(levels(hung_from(tree.parent, root)).max()) for root in range(tree.rows)]
    assert tree.depth == min(depths)


@given(SIZES, st.integers(1, 5))
def test_sums_are_exact(size: tuple[int, int, int, float], places: int) -> None:
    signs = alike(*size)
    x = alike(places, signs.shape[1], size[2] + 1, 0.5)
    expected = x.astype(np.int32) @ signs.T.astype(np.int32)
    np.testing.assert_array_equal(tree_sums(channel_tree(signs), x), expected)


@given(SIZES)
def test_bytes_give_the_tree_back(size: tuple[int, int, int, float]) -> None:
    tree = channel_tree(alike(*size))
    again = tree_of_bytes(tree_bytes(tree))
    np.testing.assert_array_equal(again.signs, tree.signs)
    np.testing.assert_array_equal(again.parent, tree.parent)
    np.testing.assert_array_equal(again.level, tree.level)


@given(st.binary(max_size=40), st.integers(0, 12))
def test_bytes_that_are_no_tree_are_refused(noise: bytes, cut: int) -> None:
    whole = tree_bytes(channel_tree(alike(5, 20, 0, 0.3)))
    for data in (whole[: len(whole) - 1 - cut], whole + b"\1" + noise):
        with pytest.raises(InputError):
            tree_of_bytes(data)
    with contextlib.suppress(InputError):  # noise may be a tree, but raises nothing else
        assert tree_of_bytes(noise).rows


def test_the_distances() -> None:
    signs = alike(9, 33, 0, 0.5)
    expected = (signs[:, None] != signs[None]).sum(axis=2)
    np.testing.assert_array_equal(distances(signs), expected)


def test_of_equal_edges_the_one_higher_up_is_taken() -> None:
    """Rows that all differ alike: a star, not a chain."""
    signs = np.ones((9, 9), np.int8) - 2 * np.eye(9, dtype=np.int8)
    assert channel_tree(signs).depth == 1


def test_duplicates_cost_nothing_and_one_row_is_a_tree() -> None:
    tree = channel_tree(np.ones((7, 5)))
    assert (tree.weight, tree.depth, tree.bit_ops) == (0, 1, 5)
    one = channel_tree(np.ones((1, 5)))
    assert (one.weight, one.depth, one.root, one.ratio) == (0, 0, 0, 1.0)


def test_a_limit_of_depth_is_kept_and_costs_weight() -> None:
    source = np.random.default_rng(0)
    rows = [np.ones(64, np.int8)]
    for _ in range(20):  # a chain: each differs from the one before in two signs
        rows.append(rows[-1].copy())
        rows[-1][source.choice(64, 2, replace=False)] *= -1
    signs = np.stack(rows)
    free, held = channel_tree(signs), channel_tree(signs, max_depth=3)
    assert held.depth <= 3 < free.depth
    assert held.weight > free.weight
    assert least_tree(distances(signs), 3).min() == -1


@pytest.mark.parametrize(("rows", "columns", "published"), [(64, 576, 0.46), (128, 1152, 0.47), (256, 2304, 0.474)])
def test_random_signs_need_less_than_half(rows: int, columns: int, published: float) -> None:
    assert channel_tree(alike(rows, columns, 0, 0.5)).ratio == pytest.approx(published, abs=0.005)


def test_storage_is_less_only_for_rows_that_are_alike() -> None:
    """What stands in for a row is near the entropy of its turns."""
    shares = []
    for rate in (0.5, 0.1, 0.01):
        tree = channel_tree(alike(64, 576, 0, rate))
        shares.append(len(tree_bytes(tree)) / (64 * 576 / 8))
        turned = tree.weight / (63 * 576)
        entropy = -turned * np.log2(turned) - (1 - turned) * np.log2(1 - turned)
        assert shares[-1] < 1.1 * entropy + 0.07
    assert shares[0] > 1
    assert shares[1] < 0.8
    assert shares[2] < 0.25


def test_what_is_not_binary_is_refused() -> None:
    for wrong in (np.zeros((2, 3)), np.full((2, 3), np.nan), np.ones(3), np.ones((0, 3))):
        with pytest.raises(InputError):
            channel_tree(wrong)
    with pytest.raises(InputError, match="do not fit"):
        tree_sums(channel_tree(np.ones((2, 3))), np.ones((2, 4)))


def test_in_hardware_a_tree_takes_less_and_waits_longer() -> None:
    machine, tree = UnrolledXnor(), channel_tree(alike(64, 576, 0, 0.1))
    dense, hung = machine.dense(64, 576, 49), machine.tree(tree, 49)
    assert hung.luts < 0.5 * dense.luts
    assert hung.stages > dense.stages
    assert hung.stages <= dense.stages + 1 + tree.depth
    assert hung.pictures_per_s == dense.pictures_per_s == 200e6 / 49
    assert hung.latency_s > dense.latency_s
    same = machine.tree(channel_tree(np.ones((64, 576))), 49)
    assert same.stages == dense.stages
    assert same.luts == 576
    with pytest.raises(InputError):
        machine.dense(0, 1, 1)
