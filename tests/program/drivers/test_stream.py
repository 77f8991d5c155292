"""The stream driver, fed from a list of events."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.errors import InputError
from shoal.program import Begun, Command, Event, Finished, Item, Lost, Program, Start, Stop, WakeAt, Woke, Workload
from shoal.program.drivers.stream import Stream
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
