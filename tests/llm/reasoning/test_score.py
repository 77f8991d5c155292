"""Votes, intervals, and configurations chosen among."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError, LimitError
from shoal.llm.reasoning import NONE, Control, Frontier, Option, Score, scored, separable, voted, wilson


def option(model: str, right: int, latency_s: float, energy_j: float = 1.0) -> Option:
    return Option(model, Control(), 1, Score(right, 0, 100), latency_s, energy_j)


FRONTIER = Frontier((option("small", 40, 0.01), option("slow", 39, 0.02, 3.0), option("large", 90, 0.05, 2.0)))


def test_the_interval_of_a_share_is_wilson_s() -> None:
    from scipy.stats import binomtest

    for right, asked in ((0, 10), (7, 10), (180, 200), (50, 50)):
        known = binomtest(right, asked).proportion_ci(method="wilson")
        assert wilson(right, asked) == pytest.approx((known.low, known.high), abs=1e-7)


def test_most_votes_win_and_of_equally_many_the_surer_ones() -> None:
    answers = np.array([[5, 6, 6, 7], [5, 5, 6, 6], [NONE, NONE, NONE, 4], [NONE] * 4])
    scores = np.array([[0.0, -9, -9, 0], [-2, -2, -1, -1.5], [0, 0, 0, -8], [0, 0, 0, 0]])
    assert voted(answers, scores).tolist() == [6, 6, 4, NONE]


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=9))
def test_a_vote_does_not_depend_on_the_order_of_samples(answers: list[int]) -> None:
    found = np.array([answers, answers[::-1]])
    scores = np.linspace(-1, 0, len(answers))
    first, second = voted(found, np.stack([scores, scores[::-1]]))
    assert first == second


def test_what_cannot_be_read_is_wrong_and_has_its_own_rate() -> None:
    found = scored(np.array([1, 2, NONE, 4]), np.array([1, 2, 3, 5]))
    assert (found.accuracy, found.unparsable_share) == (0.5, 0.25)
    with pytest.raises(InputError, match="do not add up"):
        Score(3, 2, 4)


def test_the_best_within_limits_and_what_is_tied_with_it() -> None:
    assert FRONTIER.best(0.1).best.model == "large"
    choice = FRONTIER.best(0.03)
    assert choice.best.model == "small"
    assert [each.model for each in choice.tied] == ["slow"]
    assert FRONTIER.best(0.1, energy_j=1.5).best.model == "small"
    assert [each.model for each in FRONTIER.worth_having()] == ["small", "large"]
    assert separable(FRONTIER.worth_having())
    assert not separable(FRONTIER.options)


def test_what_cannot_be_had_tells_the_least_that_can() -> None:
    with pytest.raises(LimitError, match=r"small, free: infeasible, minimum is 10 ms \(had 1 ms\)"):
        FRONTIER.best(0.001)
    with pytest.raises(LimitError, match="minimum is 1 J"):
        FRONTIER.best(1.0, energy_j=0.5)
    with pytest.raises(LimitError, match="minimum is 10 ms"):
        FRONTIER.best(0.001, energy_j=5.0)
    with pytest.raises(InputError, match="no configurations"):
        Frontier(())
