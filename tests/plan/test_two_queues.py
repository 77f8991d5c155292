"""Two queues: by hand, and Johnson's order against every other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.plan.two_queues import Job, bubble_s, hottest, johnson, least_s, per_byte, span_s

JOBS = st.lists(
    st.builds(
        lambda tokens, missing, slow: Job(tokens, missing, missing * slow, 0.5 + tokens),
        st.integers(1, 9), st.integers(0, 8), st.sampled_from([0.1, 1.0, 4.0]),
    ), min_size=1, max_size=6,
)  # fmt: skip


def test_by_hand() -> None:
    jobs = [Job(1, 2, 2.0, 1.0), Job(5, 1, 1.0, 3.0)]
    assert (span_s(jobs), bubble_s(jobs)) == (6.0, 2.0)
    assert (span_s(jobs[::-1]), bubble_s(jobs[::-1])) == (5.0, 1.0)
    assert hottest(jobs) == per_byte(jobs) == johnson(jobs) == jobs[::-1]


def test_what_is_here_goes_first() -> None:
    jobs = [Job(9, 1, 1.0, 1.0), Job(1, 0, 0.0, 1.0)]
    assert hottest(jobs) == per_byte(jobs) == johnson(jobs) == jobs[::-1]
    assert bubble_s(jobs[::-1]) == 0


@settings(deadline=None)
@given(JOBS)
def test_johnson_is_the_best_of_all_orders_and_none_is_twice_as_long(jobs: list[Job]) -> None:
    best = least_s(jobs)
    assert span_s(johnson(jobs)) == pytest.approx(best)
    for order in (hottest, per_byte):
        assert sorted(map(id, order(jobs))) == sorted(map(id, jobs))
        assert best * (1 - 1e-12) <= span_s(order(jobs)) <= 2 * best


def test_too_many_orders_are_not_tried() -> None:
    with pytest.raises(InputError, match="too many orders"):
        least_s([Job(1, 1, 1.0, 1.0)] * 8)
