"""The order of simulated events."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from shoal.events import Kernel


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2))))
def test_time_then_rank_then_who_asked_first(asked: list[tuple[int, int]]) -> None:
    kernel, seen = Kernel(), []
    for number, (time_s, rank) in enumerate(asked):
        kernel.at(time_s, partial(seen.append, number), rank)
    kernel.run()
    assert seen == sorted(range(len(asked)), key=lambda number: (*asked[number], number))


def test_the_past_is_now() -> None:
    kernel, seen = Kernel(), []
    kernel.at(2.0, lambda: kernel.at(1.0, lambda: seen.append(kernel.now_s)))
    kernel.at(3.0, lambda: seen.append(kernel.now_s))
    kernel.run()
    assert seen == [2.0, 3.0]


def test_what_is_asked_for_now_waits_for_what_ranks_before_it() -> None:
    kernel, seen = Kernel(), []
    kernel.at(1.0, lambda: kernel.at(1.0, lambda: seen.append("late"), 2), 0)
    kernel.at(1.0, lambda: kernel.at(1.0, lambda: seen.append("early"), 0), 1)
    kernel.run()
    assert seen == ["early", "late"]
