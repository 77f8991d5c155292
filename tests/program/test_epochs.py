"""Turns: what goes out when, whatever the order in which epochs are done; and which programs may follow another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError, PlanError, WorkError
from shoal.program import Program, Retire, SwitchEpoch, Turn, Turns, check, checked, joined, switches, used_epochs
from tests import toy
from tests.programs import chain

A, B = "a/cpu", "b/cpu"


def turns(first: int = 0) -> Turns[int]:
    """Of three epochs, all of them ready."""
    made = Turns[int]((0, 1, 2), first)
    for epoch in (0, 1, 2):
        made.prepared(epoch, 0.5)
    return made


@given(st.lists(st.integers(0, 2), max_size=12), st.randoms(use_true_random=False))
def test_no_answer_overtakes_a_switch(epochs: list[int], luck: object) -> None:
    """Items of one turn may be done in any order; those of a later turn never go out before them."""
    made = turns()
    flights: list[tuple[Turn[int], int]] = []
    turn_of: dict[int, int] = {}
    number, before, out = 0, 0, []
    for item, epoch in enumerate(epochs):
        made.switch(SwitchEpoch(epoch), 0.0)
        number, before = number + (epoch != before), epoch
        flights.append((made.start(item), item))
        turn_of[item] = number
        if luck.random() < 0.5:  # type: ignore[attr-defined]
            out += made.finish(*flights.pop(luck.randrange(len(flights))))  # type: ignore[attr-defined]
    while flights:
        out += made.finish(*flights.pop(luck.randrange(len(flights))))  # type: ignore[attr-defined]
    assert sorted(out) == list(range(len(epochs)))
    assert [turn_of[item] for item in out] == sorted(turn_of.values())
    assert made.open_epochs == (made.epoch,)


def test_a_switch_is_told_with_the_first_item_after_it() -> None:
    made = turns()
    turn = made.start(0)
    made.finish(turn, 0)
    made.switch(SwitchEpoch(2, decided_s=1.0), 1.25)
    made.switch(SwitchEpoch(1, decided_s=1.0), 1.5)  # nothing began in 2
    assert switches(made.facts) == ()
    made.start(1)
    (switch,) = switches(made.facts)
    assert (switch.item, switch.epoch, switch.drain_s) == (1, 1, 0.5)
    assert used_epochs(made.facts) == (0, 1, 2)


def test_what_is_abandoned_goes_out_once() -> None:
    """What was done in the abandoned epoch, and held, begins again; it must not go out from there as well."""
    made = turns()
    old = made.start(0)
    made.switch(SwitchEpoch(1), 0.0)
    lost, done = made.start(1), made.start(2)
    assert made.finish(done, 2) == []
    assert lost is done
    assert made.abandon(1) == []
    made.switch(SwitchEpoch(2), 0.0)
    again = made.start(1)
    made.start(2)
    assert made.finish(old, 0) == [0]
    assert made.finish(again, 2) == [2]
    assert made.finish(again, 1) == [1]
    assert made.open_epochs == (2,)


def test_idle_means_nothing_in_flight() -> None:
    made = turns()
    first, _ = made.start(0), made.start(1)
    made.switch(SwitchEpoch(1), 0.0)
    made.start(2)
    assert made.open_epochs == (0, 1)
    assert not made.idle(0)
    assert made.idle(2)
    made.finish(first, 0)
    made.finish(first, 1)
    assert made.idle(0)
    assert made.open_epochs == (1,)


def test_what_is_not_there_cannot_be_switched_to() -> None:
    made = Turns[int]((0, 1), 0)
    with pytest.raises(InputError, match=r"asks for epoch 3, and there is none \(needed one of 0, 1\)"):
        made.ask(3)
    with pytest.raises(WorkError, match="epoch 1, which is not ready"):
        made.switch(SwitchEpoch(1), 0.0)
    assert made.ask(1)
    assert not made.ask(1)  # it is coming
    made.lost(1)
    assert made.ask(1)
    made.prepared(1, 0.1)
    assert not made.ask(1)
    made.retire(Retire(1))
    assert made.ask(1)
    with pytest.raises(WorkError, match="retires epoch 0, in which items start"):
        made.retire(Retire(0))


def second(program: Program) -> Program:
    return replace(program, epoch=1)


def test_joined_programs_keep_what_each_does() -> None:
    first, other = chain(A, B), second(chain(B, window=9))
    whole = joined({0: first, 1: other})
    assert whole.units == (A, B)
    assert [segment.name for segment in whole.segments] == ["s0", "s1", "e1.s0"]
    assert len(whole.edges) == len(first.edges) + len(other.edges)
    assert whole.window == 9
    assert joined({0: first}) is first
    assert [segment.name for segment in joined({1: other}).segments] == ["e1.s0"]  # as in its spans


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (chain(A), r"epoch 1 says that it is epoch 0"),
        (second(chain(A, floats=5)), r"epoch 1: .*must take and give the same.*float32\[4\]"),
        (second(toy.program()), "a switch would lose what state 'picture' carries"),
    ],
)
def test_programs_between_which_nothing_can_be_switched(other: Program, message: str) -> None:
    check(other)
    with pytest.raises(PlanError, match=message):
        checked({0: chain(A), 1: other})


def test_one_program_may_carry_what_it_likes() -> None:
    checked({0: toy.program()})
