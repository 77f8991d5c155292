"""The replan driver, fed from a list of events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shoal.errors import InputError
from shoal.program import (
    Begun,
    Command,
    Event,
    Finished,
    Item,
    Lost,
    Prepare,
    Ready,
    Retire,
    Start,
    Stop,
    SwitchEpoch,
    Unready,
    WakeAt,
    Woke,
    Workload,
)
from shoal.program.drivers.replan import Replan, Schedules, bucket_of
from tests.programs import chain

A, B = "a/cpu", "b/cpu"
FIRST, SECOND = chain(A, B, window=4), replace(chain(A, window=2), epoch=1)
TABLE = Schedules(("nnz",), {(3,): {0: 1.0, 1: 1.5}, (6,): {0: 1.0, 1: 0.5}, (9,): {0: 1.0, 1: 0.97}})
SPARSE, DENSE, NEARLY, STRANGE = 8, 64, 512, 1


class Talk:
    """A replan driver and what it said; items end at once unless a test says otherwise."""

    def __init__(self, driver: Replan, nnz: list[int], **options: Any) -> None:
        pattern = tuple(Item(bindings={"nnz": each}) for each in nnz)
        self.driver = driver
        self.state: Any = driver.begin(FIRST, Workload(len(nnz), pattern=pattern, **options))
        self.epoch, self.epochs, self.said = 0, {}, []  # type: ignore[var-annotated]

    def say(self, event: Event, time_s: float = 0.0) -> tuple[Command, ...]:
        self.state, commands = self.driver.step(self.state, event, time_s)
        for command in commands:
            if isinstance(command, SwitchEpoch):
                self.epoch = command.epoch
            if isinstance(command, Start):
                self.epochs[command.item] = self.epoch
        return commands

    def through(self, ready: bool = True) -> list[int]:
        """Run to the end, one item after another, epochs being ready as soon as asked for; item → epoch."""
        events: list[Event] = [Begun()]
        time_s = 0.0
        while events:
            commands = self.say(events.pop(0), time_s)
            self.said += [command for command in commands if not isinstance(command, Start)]
            for command in commands:
                if isinstance(command, Prepare):
                    events.insert(0, Ready(1, SECOND, 0.1) if command.epoch and ready else Unready(1, "no power"))
                if isinstance(command, Start):
                    events.append(Finished(command.item))
            time_s += 0.001
        assert isinstance(self.said[-1], Stop)
        return [self.epochs[item] for item in sorted(self.epochs)]


@pytest.mark.parametrize(("value", "bucket"), [(0, -1), (1, 0), (2, 1), (3, 1), (4, 2), (1023, 9), (1024, 10)])
def test_buckets(value: int, bucket: int) -> None:
    assert bucket_of(value) == bucket


def test_it_changes_after_patience_and_preparation() -> None:
    """Dense from item 4: votes at 4 and 6, which asks for the workers; ready, it drains before item 8."""
    talk = Talk(Replan(TABLE, group=2), [SPARSE] * 4 + [DENSE] * 20)
    assert talk.through() == [0] * 8 + [1] * 16
    assert [type(each) for each in talk.said] == [Prepare, SwitchEpoch, Retire, Stop]
    assert talk.said[2] == Retire(0)


def test_it_waits_until_nothing_is_in_flight_and_takes_the_new_window() -> None:
    talk = Talk(Replan(TABLE, group=4, patience=1, keep=True), [DENSE] * 12)
    assert talk.say(Begun())[0] == Prepare(1)
    assert talk.say(Ready(1, SECOND, 0.1), 1.0) == ()
    assert talk.say(Finished(0), 2.0) == ()  # item 4 would begin now
    assert [talk.say(Finished(item), 2.0 + item) for item in (1, 2)] == [(), ()]
    said = talk.say(Finished(3), 5.0)
    assert said[0] == SwitchEpoch(1, decided_s=2.0)
    assert [each.item for each in said[1:] if isinstance(each, Start)] == [4, 5]
    assert talk.state.drained_s == 3.0


def test_it_can_start_behind_what_is_in_flight() -> None:
    talk = Talk(Replan(TABLE, group=4, patience=1, drain=False), [DENSE] * 12, window=5)
    talk.say(Begun())
    talk.say(Ready(1, SECOND, 0.1))
    said = talk.say(Finished(0), 2.0)
    assert said == (SwitchEpoch(1, 2.0), Retire(0))  # three are in flight and the new window is two
    assert [type(each) for each in talk.say(Finished(1), 3.0) + talk.say(Finished(2), 4.0)] == [Start]


@pytest.mark.parametrize(
    ("nnz", "options", "changes"),
    [
        ([DENSE] * 12, {}, True),
        ([NEARLY] * 12, {}, False),  # 3 %: within the hysteresis
        ([NEARLY] * 12, {"hysteresis": 0.02}, True),
        ([STRANGE] * 12, {}, False),  # nothing is predicted for it
        ([DENSE] * 12, {"cost_s": 3.5}, True),  # 0.5 s for each of the 8 items left when it is ready
        ([DENSE] * 12, {"cost_s": 4.5}, False),
        ([DENSE, DENSE, SPARSE, SPARSE] * 3, {"patience": 1}, True),
        ([DENSE, DENSE, SPARSE, SPARSE] * 3, {}, False),  # never twice in a row
    ],
)
def test_what_pays(nnz: list[int], options: dict[str, Any], changes: bool) -> None:
    assert any(Talk(Replan(TABLE, group=2, **options), nnz).through()) == changes


def test_there_and_back_with_workers_that_are_kept() -> None:
    talk = Talk(Replan(TABLE, group=2, patience=1, keep=True), [SPARSE] * 2 + [DENSE] * 8 + [SPARSE] * 6)
    assert talk.through() == [0] * 4 + [1] * 6 + [0] * 6
    assert [type(each) for each in talk.said] == [Prepare, SwitchEpoch, SwitchEpoch, Stop]


def test_an_epoch_that_cannot_be_had_is_not_asked_for_again() -> None:
    talk = Talk(Replan(TABLE, group=2, patience=1), [DENSE] * 12)
    assert talk.through(ready=False) == [0] * 12
    assert talk.said == [Prepare(1), Prepare(1), Stop()]  # both before it is told, in one step


def test_an_epoch_lost_while_the_pipe_runs_empty() -> None:
    talk = Talk(Replan(TABLE, group=4, patience=1), [DENSE] * 6)
    talk.say(Begun())
    talk.say(Ready(1, SECOND, 0.1))
    assert talk.say(Finished(0)) == ()
    said = talk.say(Unready(1, "b/cpu is gone"))
    assert [each.item for each in said if isinstance(each, Start)] == [4]


def test_a_change_that_was_seen_to_cost_more_counts() -> None:
    """The first change stopped the pipe for 100 s, more than going back can gain."""
    talk = Talk(Replan(TABLE, group=2, patience=1, keep=True), [DENSE] * 4 + [SPARSE] * 8, window=1)
    talk.say(Begun())
    talk.say(Ready(1, SECOND, 0.1))
    talk.say(Finished(0), 1.0)
    talk.state = replace(talk.state, decided_s=0.0, target=1)
    assert SwitchEpoch(1, 0.0) in talk.say(Finished(1), 100.0)
    for item in range(2, 11):
        assert [type(each) for each in talk.say(Finished(item), 101.0 + item)] == [Start]


def test_at_a_rate_it_decides_when_the_item_is_there() -> None:
    talk = Talk(Replan(TABLE, group=1, patience=1), [SPARSE, DENSE, DENSE], arrival="rate", rate_items_per_s=10)
    assert talk.say(Begun()) == (Start(0, 0, bindings={"nnz": SPARSE}), WakeAt(0.1))
    talk.say(Finished(0), 0.05)
    assert [type(each) for each in talk.say(Woke(), 0.1)] == [Prepare, Start, WakeAt]


def test_a_lost_unit_ends_it() -> None:
    talk = Talk(Replan(TABLE), [DENSE] * 5)
    talk.say(Begun())
    assert talk.say(Lost(A, "killed by signal 9")) == (Stop("a/cpu is gone (killed by signal 9)"),)
    assert talk.say(Finished(0)) == ()


@pytest.mark.parametrize(
    ("driver", "message"),
    [
        (Replan(TABLE, group=0), "out of range"),
        (Replan(TABLE, hysteresis=1.0), "out of range"),
        (Replan(TABLE, cost_s=-1.0), "out of range"),
        (Replan(Schedules(("tokens",), {})), "item 0: an item does not bring 'tokens' .had nnz"),
    ],
)
def test_bad_input(driver: Replan, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Talk(driver, [SPARSE])


@pytest.mark.parametrize(
    ("rows", "message"),
    [({(1, 2): {0: 1.0}}, "one bucket for each feature"), ({(1,): {0: 0.0}}, "above zero and finite")],
)
def test_bad_tables(rows: dict[tuple[int, ...], dict[int, float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Schedules(("nnz",), rows)
