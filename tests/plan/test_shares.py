from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import PlanError
from shoal.plan.shares import apportion, bounds_of, users_of
from tests.plan.toys import problem, random_chain, three

FIGURES = st.lists(st.floats(0.01, 100.0), min_size=1, max_size=6)


@given(total=st.integers(0, 500), shares=FIGURES)
def test_everything_is_given_out_as_near_to_the_shares_as_whole_things_allow(
    total: int, shares: list[float]
) -> None:
    counts = apportion(total, shares)
    assert sum(counts) == total
    for count, share in zip(counts, shares, strict=True):
        assert abs(count - total * share / sum(shares)) < 1 + 1e-6


@given(total=st.integers(1, 500), shares=FIGURES, factor=st.sampled_from([2.0, 0.5, 1024.0]))
def test_shares_are_relative(total: int, shares: list[float], factor: float) -> None:
    assert apportion(total, shares) == apportion(total, [share * factor for share in shares])


@given(rows=st.integers(1, 60), shares=FIGURES, grain=st.integers(1, 7))
def test_bounds_are_multiples_and_reach_the_end(rows: int, shares: list[float], grain: int) -> None:
    bounds = bounds_of(rows * grain, shares, grain)
    assert (bounds[0], bounds[-1], len(bounds)) == (0, rows * grain, len(shares) + 1)
    assert all(first <= end for first, end in pairwise(bounds))
    assert all(bound % grain == 0 for bound in bounds)


@pytest.mark.parametrize(
    ("total", "shares", "counts"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (7, [3, 1], [5, 2]),
        (10, [0.5, 0.6], [5, 5]),
        (224, [0.1, 0.2, 0.7], [22, 45, 157]),
    ],
)
def test_the_largest_remainders_get_the_rest(total: int, shares: list[float], counts: list[int]) -> None:
    assert apportion(total, shares) == counts


@pytest.mark.parametrize("bad", [(1, 1), (1, 1, -1), (0, 0, 0), (1, 1, 1, 1), (1, math.nan, 1), (1, math.inf, 1)])
def test_bad_shares_name_the_units_and_what_was_given(tmp_path: Path, bad: tuple[float, ...]) -> None:
    with pytest.raises(PlanError, match=r"one figure .* for each unit .*3: a/cpu, b/cpu, c/cpu") as caught:
        users_of(problem(random_chain(tmp_path, 1), three()), bad)
    assert caught.value.had == ", ".join(f"{share:g}" for share in bad)


def test_units_without_a_share_do_nothing(tmp_path: Path) -> None:
    task = problem(random_chain(tmp_path, 1), three())
    assert users_of(task, (0.5, 0, 0.6)) == [("a/cpu", 0.5), ("c/cpu", 0.6)]
