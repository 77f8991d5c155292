from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.search import front, hypervolume, knee, representatives


def slow_front(points: NDArray[np.float64]) -> list[int]:
    def beats(i: int, j: int) -> bool:
        equal = bool((points[i] == points[j]).all())
        return bool((points[i] <= points[j]).all()) and (not equal or i < j)

    return [j for j in range(len(points)) if not any(beats(i, j) for i in range(len(points)) if i != j)]


small_tables = st.integers(1, 5).flatmap(
    lambda k: hnp.arrays(np.float64, st.tuples(st.integers(0, 30), st.just(k)), elements=st.integers(0, 4))
)


@settings(max_examples=200, deadline=None)
@given(small_tables)
def test_front_is_the_definition_on_small_tables_with_ties(points: NDArray[np.float64]) -> None:
    assert front(points).tolist() == slow_front(points)


@pytest.mark.parametrize("goals", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("levels", [4, 30, 10**6])
@pytest.mark.parametrize("shape", ["cube", "sphere"])
def test_front_is_the_definition_beyond_the_leaf(goals: int, levels: int, shape: str) -> None:
    rng = np.random.default_rng(goals)
    points = rng.random((1500, goals))
    if shape == "sphere":  # nearly nothing dominates
        points = 1 - points / np.linalg.norm(points, axis=1, keepdims=True)
    points = np.round(points * levels)
    below = np.all(points[:, None] <= points[None], axis=2)
    equal = np.all(points[:, None] == points[None], axis=2)
    beaten = (below & (~equal | np.tri(len(points), k=-1, dtype=bool).T)).any(axis=0)
    assert front(points).tolist() == np.flatnonzero(~beaten).tolist()


def test_front_takes_infinities_and_refuses_nan() -> None:
    assert front([[1, np.inf], [1, np.inf], [0, np.inf], [np.inf, 0]]).tolist() == [2, 3]
    with pytest.raises(InputError, match="not a number"):
        front([[1.0, np.nan]])
    with pytest.raises(InputError, match="not a table"):
        front([1.0, 2.0])


@pytest.mark.parametrize("goals", [2, 4, 5])
def test_front_of_a_hundred_thousand_points_takes_seconds_at_most(goals: int) -> None:
    points = np.random.default_rng(1).random((100_000, goals))
    start = time.process_time()
    found = front(points)
    assert time.process_time() - start < 10
    assert len(front(points[found])) == len(found)


def test_knee_of_a_bent_curve_is_its_corner() -> None:
    assert knee([[0.0, 10.0], [1.0, 2.0], [2.0, 1.5], [10.0, 0.0]]) == 1
    assert knee([[0, 0, 9], [0, 9, 0], [9, 0, 0], [1, 1, 1]]) == 3
    assert knee([[3.0, 4.0]]) == 0
    assert knee([[2.0], [1.0]]) == 1


@given(hnp.arrays(np.float64, (12, 3), elements=st.integers(0, 50)), st.integers(1, 1000))
def test_knee_does_not_depend_on_units(points: NDArray[np.float64], factor: int) -> None:
    assert knee(points) == knee(points * [1, factor, 1])


@given(hnp.arrays(np.float64, st.tuples(st.integers(0, 7), st.integers(1, 4)), elements=st.integers(0, 4)))
def test_hypervolume_counts_unit_cells(points: NDArray[np.float64]) -> None:
    reference = np.full(points.shape[1], 4)
    cells = itertools.product(range(4), repeat=points.shape[1])
    covered = sum(any((point <= cell).all() for point in points) for cell in cells)
    assert hypervolume(points, reference) == covered


def test_hypervolume_of_hundreds_in_four_goals_against_sampling() -> None:
    rng = np.random.default_rng(0)
    points = 1 - rng.random((150, 4)) ** 0.3
    samples = rng.random((20_000, 4))
    share = np.mean([(points <= sample).all(axis=1).any() for sample in samples])
    assert hypervolume(points, np.ones(4)) == pytest.approx(share, abs=0.015)


def test_hypervolume_refuses_a_reference_of_another_size() -> None:
    with pytest.raises(InputError, match="reference"):
        hypervolume([[1.0, 2.0]], [3.0])


@given(hnp.arrays(np.float64, (40, 4), elements=st.integers(0, 100)), st.integers(5, 20))
def test_representatives_hold_bests_and_knee_and_stay_few(points: NDArray[np.float64], count: int) -> None:
    chosen = representatives(points, count)
    assert len(chosen) <= count
    assert len(set(chosen.tolist())) == len(chosen)
    assert (points[chosen].min(axis=0) == points.min(axis=0)).all()
    assert knee(points) in chosen
    assert chosen.tolist() == representatives(points, count).tolist()
    assert len(chosen) >= min(count, len(np.unique(points, axis=0)))


def test_representatives_spread_over_a_line() -> None:
    line = np.stack([np.arange(101.0), 100 - np.arange(101.0)], axis=1)
    gaps = np.diff(representatives(line, 11))
    assert gaps.max() <= 25
    assert gaps.min() >= 5
    assert representatives(line[:0]).tolist() == []
    assert representatives(np.ones((9, 2))).tolist() == [0]
