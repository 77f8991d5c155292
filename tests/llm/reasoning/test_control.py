"""Budgets step by step: what is forced when, what counts as thinking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.llm.reasoning import Control, Marks, Steering
from shoal.llm.reasoning.control import ANY, CHOICE

CLOSE, END, YES, NO = (7, 8), 0, 3, 4
MARKS = Marks(CLOSE, (YES, NO), END)


def written(control: Control, tokens: list[int]) -> tuple[Steering, list[int]]:
    """What comes of a model that would write these; a choice is always YES."""
    steering, found = Steering(1, MARKS, control), list[int]()
    for token in tokens:
        if steering.done.all():
            break
        wanted = int(steering.wanted()[0])
        found.append({ANY: token, CHOICE: YES}.get(wanted, wanted))
        steering.take(np.array(found[-1:]))
    return steering, found


def test_free_thinking_ends_by_itself() -> None:
    steering, found = written(Control(), [5, 6, 7, 8, 9, 9])
    assert found == [5, 6, 7, 8, YES]
    assert steering.thought[0] == 2
    assert steering.answers[0] == YES


def test_half_a_closing_is_thinking() -> None:
    steering, found = written(Control(), [7, 5, 7, 7, 8, 9])
    assert found == [7, 5, 7, 7, 8, YES]
    assert steering.thought[0] == 3


def test_a_cut_forces_the_closing_and_an_answer() -> None:
    steering, found = written(Control("cut", 2), [5, 6, 5, 5, 5])
    assert found == [5, 6, 7, 8, YES]
    assert steering.thought[0] == 2
    assert steering.answers[0] == YES


def test_a_cut_that_forces_nothing_leaves_no_answer() -> None:
    steering, found = written(Control("cut", 2, forced=False), [5, 6, 5, 5])
    assert found == [5, 6]
    assert steering.answers[0] == -1


def test_without_thinking_the_closing_comes_first() -> None:
    assert written(Control("none"), [5, 5, 5, 5])[1] == [7, 8, YES]


def test_an_end_before_the_closing_is_no_answer() -> None:
    steering, found = written(Control(), [5, END, 5])
    assert found == [5, END]
    assert steering.answers[0] == -1


@given(st.lists(st.integers(0, 9), min_size=40, max_size=40), st.integers(1, 12))
def test_no_thinking_is_longer_than_its_cut_and_an_answer_is_a_choice(tokens: list[int], limit: int) -> None:
    steering, found = written(Control("cut", limit), tokens)
    assert steering.thought[0] <= limit
    assert steering.done[0]
    assert steering.answers[0] in (YES, -1)
    assert (steering.answers[0] == -1) == (found[-1] == END)


@pytest.mark.parametrize(("method", "tokens"), [("cut", 0), ("asked", 0), ("cut", -1), ("free", 3), ("none", 1)])
def test_budgets_of_nothing_and_budgets_that_nothing_keeps_are_refused(method: str, tokens: int) -> None:
    with pytest.raises(InputError, match="budget"):
        Control(method, tokens)  # type: ignore[arg-type]  # as the command line would give it


def test_marks_need_something_to_close_and_to_choose() -> None:
    with pytest.raises(InputError, match="nothing to answer with"):
        Marks((), (1,), 0)
