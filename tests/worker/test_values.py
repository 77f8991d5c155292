"""Arrays a worker holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.errors import LimitError
from shoal.program import Program, State, TensorSpec
from shoal.worker.values import StateStore, owner_of
from tests import toy

ROW = np.arange(4, dtype=np.float32)[None]


def store(**changes: object) -> StateStore:
    """The states of the toy, the log changed."""
    log = replace(toy.program().state["log"], **changes)  # type: ignore[arg-type]
    return StateStore(with_states(toy.program().state["picture"], log))


def with_states(*states: State) -> Program:
    return replace(toy.program(), states=states)


def test_a_state_begins_at_its_initial_value() -> None:
    states = store(initial=2.5)
    np.testing.assert_array_equal(states.get("picture", 0), np.zeros(4, np.float32))
    assert states.get("log", 0).shape == (0, 4)
    replaced = store(update="replace", initial=2.5, spec=TensorSpec("float32", (2, 4)))
    np.testing.assert_array_equal(replaced.get("log", 0), np.full((2, 4), 2.5, np.float32))


def test_replace_and_append() -> None:
    states = store()
    states.update("picture", 1, ROW[0])
    states.update("picture", 1, ROW[0] + 1)
    np.testing.assert_array_equal(states.get("picture", 1), ROW[0] + 1)
    for _ in range(3):
        states.update("log", 1, ROW)
    assert states.get("log", 1).shape == (3, 4)
    assert states.get("log", 2).shape == (0, 4)  # another session's


def test_what_is_kept_is_a_copy() -> None:
    states, array = store(), ROW[0].copy()
    states.update("picture", 0, array)
    array[:] = 9
    np.testing.assert_array_equal(states.get("picture", 0), ROW[0])


def test_a_state_that_outgrows_its_bound() -> None:
    states = store()
    for _ in range(toy.STEPS):
        states.update("log", 0, ROW)
    with pytest.raises(LimitError, match=r"state 'log' is full.*needed \[65, 4\].*room for \[64, 4\]"):
        states.update("log", 0, ROW)


def test_truncate_fork_drop_and_bytes() -> None:
    states = store()
    for _ in range(5):
        states.update("log", 0, ROW)
    states.fork("log", 0, 1)
    states.truncate("log", 0, 2)
    assert (states.get("log", 0).shape, states.get("log", 1).shape) == ((2, 4), (5, 4))
    assert states.bytes == 7 * 16
    states.drop("log", 1)
    assert states.bytes == 2 * 16
    assert states.get("log", 1).shape == (0, 4)


def test_the_state_of_an_item_ends_with_it() -> None:
    states = store(scope="item")
    states.update("log", 3, ROW)
    states.update("picture", 3, ROW[0])  # of a session that has the same number
    states.end(3)
    assert states.get("log", 3).shape == (0, 4)
    np.testing.assert_array_equal(states.get("picture", 3), ROW[0])


@pytest.mark.parametrize(("scope", "owner"), [("item", 7), ("session", 2), ("stream", -1)])
def test_whose_state_an_item_uses(scope: str, owner: int) -> None:
    assert owner_of(replace(toy.program().state["log"], scope=scope), 7, 2) == owner  # type: ignore[arg-type]
