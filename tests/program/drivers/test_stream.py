"""The stream driver, fed from a list of events."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.program import Begun, Command, Event, Finished, Item, Lost, Program, Start, Stop, WakeAt, Woke, Workload
from shoal.program.drivers.stream import Stream, routes_of
from tests import toy
from tests.programs import chain


class Talk:
    """A stream and what it said."""

    def __init__(self, workload: Workload, program: Program | None = None, window: int = 0) -> None:
        self.driver = Stream(window)
        self.state: Any = self.driver.begin(program or chain("a/cpu"), workload)

    def say(self, event: Event, time_s: float = 0.0) -> tuple[Command, ...]:
        self.state, commands = self.driver.step(self.state, event, time_s)
        return commands

    def starts(self, event: Event, time_s: float = 0.0) -> list[int]:
        return [command.item for command in self.say(event, time_s) if isinstance(command, Start)]


def test_it_fills_the_window_and_then_starts_one_for_each_that_is_done() -> None:
    talk = Talk(Workload(5, window=3))
    assert talk.starts(Begun()) == [0, 1, 2]
    assert talk.starts(Finished(1)) == [3]
    assert talk.starts(Finished(0)) == [4]
    assert [talk.say(Finished(item)) for item in (2, 4, 3)] == [(), (), (Stop(),)]
    assert talk.say(Finished(3)) == ()


@pytest.mark.parametrize(("own", "workload", "expected"), [(0, 9, 4), (0, 2, 2), (3, 9, 3)])
def test_the_window_is_the_smallest_of_driver_workload_and_program(own: int, workload: int, expected: int) -> None:
    assert len(Talk(Workload(20, window=workload), chain("a/cpu", window=4), own).starts(Begun())) == expected


def test_at_a_rate_it_asks_to_be_woken_for_the_next_item() -> None:
    talk = Talk(Workload(3, "rate", rate_items_per_s=10))
    assert talk.say(Begun()) == (Start(0, 0), WakeAt(0.1))
    assert talk.say(Woke(), 0.05) == (WakeAt(0.1),)
    assert talk.say(Woke(), 0.1) == (Start(1, 0, arrived_s=0.1), WakeAt(0.2))


def test_an_item_that_waited_for_the_window_counts_from_when_it_came() -> None:
    talk = Talk(Workload(2, "trace", window=1, times_s=(0.5, 0.6)))
    assert talk.say(Begun()) == (WakeAt(0.5),)
    assert talk.say(Woke(), 0.5) == (Start(0, 0, arrived_s=0.5),)
    assert talk.say(Finished(0), 2.0) == (Start(1, 0, arrived_s=0.6),)


def test_a_closed_item_comes_when_there_is_room() -> None:
    talk = Talk(Workload(2, window=1))
    assert talk.say(Begun(), 1.0) == (Start(0, 0, arrived_s=1.0),)
    assert talk.say(Finished(0), 3.0) == (Start(1, 0, arrived_s=3.0),)


def test_a_session_waits_until_its_items_of_other_entries_are_done() -> None:
    pattern = tuple(Item(entry, session) for entry, session in (("sense", 0), ("sense", 0), ("act", 0), ("act", 1)))
    talk = Talk(Workload(4, pattern=pattern), toy.program())
    assert talk.starts(Begun()) == [0, 1]
    assert talk.starts(Finished(0)) == []
    assert talk.starts(Finished(1)) == [2, 3]  # another session does not wait


def test_items_without_a_session_wait_for_nobody() -> None:
    talk = Talk(toy.races(4), toy.program())
    assert talk.starts(Begun()) == [0, 1, 2, 3]


def test_a_lost_unit_ends_it() -> None:
    talk = Talk(Workload(5))
    talk.say(Begun())
    assert talk.say(Lost("a/cpu", "killed by signal 9")) == (Stop("a/cpu is gone (killed by signal 9)"),)
    assert talk.say(Finished(0)) == ()


def test_an_entry_the_program_does_not_have() -> None:
    with pytest.raises(InputError, match="no entry 'prefill'"):
        Talk(Workload(1, pattern=(Item("prefill"),)))


def replicas(*shares: float, entry: str = "main") -> Program:
    """The route of a chain, once for each share."""
    made = chain("a/cpu")
    return replace(made, routes=tuple(replace(made.routes[0], entry=entry, share=share) for share in shares))


@pytest.mark.parametrize(
    ("shares", "expected"),
    [((1.0, 1.0), "010101"), ((2.0, 1.0), "010010010"), ((3.0, 1.0), "00100010"), ((0.5, 0.3, 0.2), "0120010210")],
)
def test_replicas_take_turns_by_their_shares(shares: tuple[float, ...], expected: str) -> None:
    found = routes_of(replicas(*shares), Workload(len(expected)))
    assert "".join(map(str, found)) == expected


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6), st.integers(1, 300))
def test_no_replica_is_far_from_its_share(shares: list[float], items: int) -> None:
    given_to = Counter(routes_of(replicas(*shares), Workload(items)))
    for route, share in enumerate(shares):
        assert abs(given_to[route] - items * share / sum(shares)) < max(1.0, len(shares) / 2)


def test_items_of_a_session_stay_with_one_replica_of_every_entry() -> None:
    made = replicas(1.0, 1.0)
    made = replace(made, routes=made.routes + replicas(1.0, 1.0, entry="more").routes)
    pattern = tuple(Item(entry, session) for entry, session in (
        ("main", 7), ("more", 7), ("main", 8), ("more", 8), ("more", 8), ("main", -1), ("main", 7),
    ))  # fmt: skip
    assert routes_of(made, Workload(7, pattern=pattern)) == (0, 2, 1, 3, 3, 0, 0)


def test_the_items_that_sessions_bring_count_towards_the_shares() -> None:
    pattern = (*(Item(session=0) for _ in range(4)), *(Item() for _ in range(4)))
    assert routes_of(replicas(1.0, 1.0), Workload(8, pattern=pattern)) == (0, 0, 0, 0, 1, 1, 1, 1)


def test_the_window_is_that_of_all_replicas_together() -> None:
    talk = Talk(Workload(9, window=3), replicas(1.0, 1.0))
    starts = [command for command in talk.say(Begun()) if isinstance(command, Start)]
    assert [(start.item, start.route) for start in starts] == [(0, 0), (1, 1), (2, 0)]
    assert talk.say(Finished(1)) == (Start(3, 1),)
