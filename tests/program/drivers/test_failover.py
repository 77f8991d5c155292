"""The failover driver: fed from a list of events, and in simulated time under random losses and returns."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.errors import InputError, WorkError
from shoal.program import (
    Abandon,
    Arrived,
    Begun,
    Closing,
    Command,
    Drifted,
    Epoch,
    Event,
    Finished,
    Found,
    Gone,
    Here,
    Lost,
    Prepare,
    Ready,
    Refuse,
    Retire,
    Seek,
    Start,
    State,
    Stop,
    SwitchEpoch,
    TensorSpec,
    Unfound,
    Unready,
    WakeAt,
    Withdrawn,
    Woke,
    Workload,
)
from shoal.program.drivers.failover import Failover
from shoal.sim import Scenario, UnitDies, UnitReturns, simulate_epochs
from tests.programs import INPUT, Piece, chain, paced, program

A, B, C = "a/cpu", "b/cpu", "c/cpu"
BOTH, ONLY_A, ONLY_B = chain(A, B, window=3), replace(chain(A, window=2), epoch=1), replace(chain(B), epoch=2)
REQUESTS = Workload(1, arrival="requests")
AB, JUST_A, JUST_B = frozenset("ab"), frozenset("a"), frozenset("b")


class Talk:
    """A failover driver with two devices; plans and workers are had as the test says."""

    def __init__(self, driver: Failover | None = None) -> None:
        driver = driver or Failover(period_s=1.0)
        self.driver, self.state = driver, driver.begin(BOTH, REQUESTS)  # type: ignore[var-annotated]

    def say(self, event: Event, time_s: float = 0.0) -> list[Command]:
        self.state, commands = self.driver.step(self.state, event, time_s)
        return [command for command in commands if not isinstance(command, WakeAt)]

    def prepared(self) -> Talk:
        """With both standbys ready."""
        assert self.say(Begun()) == [Seek(AB), Seek(JUST_B), Seek(JUST_A)]
        assert self.say(Found(AB, 0, AB, 1.0)) == []
        assert self.say(Found(JUST_A, 1, JUST_A, 2.0)) == [Prepare(1)]
        assert self.say(Found(JUST_B, 2, JUST_B, 3.0)) == [Prepare(2)]
        assert self.say(Ready(1, ONLY_A, 0.1)) == []
        assert self.say(Ready(2, ONLY_B, 0.1)) == []
        return self


def starts(commands: list[Command]) -> list[int]:
    return [command.item for command in commands if isinstance(command, Start)]


def test_items_start_as_they_come_and_wait_beyond_the_window() -> None:
    talk = Talk().prepared()
    assert [starts(talk.say(Arrived(item))) for item in range(5)] == [[0], [1], [2], [], []]
    assert starts(talk.say(Finished(1))) == [3]
    assert talk.say(Withdrawn(4)) == []
    assert talk.say(Finished(0)) == []


def test_a_loss_begins_again_on_the_standby_what_was_in_flight_first() -> None:
    talk = Talk().prepared()
    for item in range(5):
        talk.say(Arrived(item))
    talk.say(Finished(0))  # 1, 2, 3 in flight; 4 waits
    said = talk.say(Lost(B, "killed", 0), 1.0)
    assert said[:2] == [Abandon(0), SwitchEpoch(1)]
    assert starts(said) == [1, 2]
    assert starts(talk.say(Finished(1))) == [3]
    assert starts(talk.say(Finished(2))) == [4]


def test_what_rested_is_used_again_once_it_is_prepared_and_rests_longer_next_time() -> None:
    talk = Talk().prepared()
    talk.say(Lost(B, "killed", 0), 1.0)
    assert talk.say(Woke(), 2.0) == []
    assert talk.say(Woke(), 3.0) == [Prepare(0)]  # standby 2 is there still
    assert talk.say(Ready(0, BOTH, 0.1), 3.5) == [SwitchEpoch(0)]
    talk.say(Lost(B, "killed", 0), 4.0)
    assert talk.say(Woke(), 6.5) == []
    assert talk.say(Woke(), 8.0) == [Prepare(0)]


def test_a_device_that_is_gone_takes_all_its_epochs() -> None:
    talk = Talk().prepared()
    talk.say(Arrived(0))
    said = talk.say(Gone("b", "its token ended"), 1.0)
    assert said == [Abandon(0), Abandon(2), SwitchEpoch(1), Start(0, 0)]
    assert talk.say(Here("b"), 5.0) == [Prepare(0), Prepare(2)]


def test_without_anybody_requests_are_refused_with_the_reason() -> None:
    talk = Talk().prepared()
    talk.say(Arrived(0))
    talk.say(Gone("b", "unplugged"))
    said = talk.say(Gone("a", "unplugged"))
    assert said == [Abandon(1), Refuse(0, "no device is left: a is gone (unplugged)")]
    assert talk.say(Arrived(1)) == [Refuse(1, "no device is left: a is gone (unplugged)")]
    assert talk.say(Here("a"), 9.0) == [Prepare(1)]
    assert talk.say(Arrived(2), 9.1) == []
    assert starts(talk.say(Ready(1, ONLY_A, 0.5), 9.5)) == [2]


def test_or_they_wait_until_they_are_due() -> None:
    talk = Talk(Failover(wait=True)).prepared()
    talk.say(Arrived(0, patience_s=5.0))
    talk.say(Gone("b", "unplugged"))
    assert talk.say(Gone("a", "unplugged"), 1.0) == [Abandon(1)]
    assert talk.say(Woke(), 4.9) == []
    (refused,) = talk.say(Woke(), 5.0)
    assert isinstance(refused, Refuse)


def test_a_better_plan_is_changed_to_only_if_it_pays() -> None:
    talk = Talk(Failover(period_s=1.0, hysteresis=0.2)).prepared()
    talk.say(Drifted({0: 2.5, 1: 2.4, 2: 3.0}))  # both are slow together: not by enough
    assert talk.say(Found(AB, 1, JUST_A, 2.4)) == []
    talk.say(Drifted({0: 4.0, 1: 2.4, 2: 3.0}))
    talk.say(Found(JUST_A, 1, JUST_A, 2.4))
    talk.say(Found(JUST_B, 2, JUST_B, 3.0))
    assert talk.state.epoch == 1
    assert [type(each) for each in talk.say(Found(AB, 1, JUST_A, 2.4))] == [Retire]


def test_it_runs_empty_before_a_change_if_it_is_to() -> None:
    talk = Talk(Failover(period_s=1.0, drain=True)).prepared()
    talk.say(Arrived(0))
    assert talk.say(Drifted({0: 4.0, 1: 2.0, 2: 3.0}))[0] == Seek(AB)
    assert talk.say(Arrived(1)) == []
    assert talk.say(Finished(0)) == [SwitchEpoch(1), Start(1, 0)]


def test_one_change_is_not_followed_by_another_at_once() -> None:
    """Speeds that waver would have it go back and forth."""
    talk = Talk(Failover(period_s=1.0, dwell_s=10.0)).prepared()
    talk.say(Drifted({0: 4.0, 1: 2.0, 2: 3.0}), 1.0)
    assert talk.state.epoch == 1
    talk.say(Drifted({0: 1.0, 1: 2.0, 2: 3.0}), 2.0)
    assert talk.state.epoch == 1
    assert SwitchEpoch(0) in talk.say(Woke(), 11.0)


def test_workers_that_could_not_start_are_tried_again_later() -> None:
    talk = Talk()
    talk.say(Begun())
    talk.say(Found(AB, 0, AB, 1.0))
    talk.say(Found(JUST_A, 1, JUST_A, 2.0))
    assert talk.say(Unready(1, "disk full"), 1.0) == []
    assert talk.say(Woke(), 2.9) == []
    assert talk.say(Woke(), 3.0) == [Prepare(1)]


def test_no_plan_for_a_loss_is_not_sought_again_until_somebody_comes() -> None:
    talk = Talk()
    talk.say(Begun())
    talk.say(Unfound(JUST_A, "too little memory"))
    assert talk.say(Woke()) == []
    assert Seek(frozenset("abc")) in talk.say(Here("c"))


def test_it_stops_when_all_is_answered() -> None:
    talk = Talk().prepared()
    talk.say(Arrived(0))
    assert talk.say(Closing()) == []
    assert talk.say(Finished(0)) == [Stop()]


@pytest.mark.parametrize("options", [{"hysteresis": 1.0}, {"rest_s": -1.0}, {"horizon_s": 0.0}])
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Failover(**options).begin(BOTH, REQUESTS)  # type: ignore[arg-type]


def test_a_program_with_state_is_refused() -> None:
    spec = TensorSpec("float32", (1,))
    stateful = replace(BOTH, states=(State("sum", A, "stream", spec, "reads", "writes"),))
    with pytest.raises(InputError, match="keeps state 'sum'"):
        Failover().begin(stateful, REQUESTS)


def worlds(units: tuple[str, ...]) -> dict[int, Epoch]:
    """An epoch for every set of units, the largest first; fewer units take longer."""
    found: dict[int, Epoch] = {}
    for count in range(len(units), 0, -1):
        for chosen in combinations(units, count):
            epoch = len(found)
            names = [f"s{number}" for number in range(1, count)] + ["out"]
            reads = [INPUT, *names]
            pieces = [
                Piece(name, unit, (reads[at],)) for at, (name, unit) in enumerate(zip(names, chosen, strict=True))
            ]
            made = replace(program(pieces, window=3), epoch=epoch)
            pace = paced(made, dict.fromkeys(names, 1.0 / count))
            found[epoch] = Epoch(made, pace, prepare_s=0.3, period_s=1.0 / count)
    return found


@st.composite
def troubles(draw: st.DrawFn) -> tuple[UnitDies | UnitReturns, ...]:
    faults: list[UnitDies | UnitReturns] = []
    for unit in (A, B, C):
        times = sorted(draw(st.lists(st.floats(0.01, 40.0), max_size=4, unique=True)))
        faults += [(UnitDies, UnitReturns)[place % 2](unit, at_s) for place, at_s in enumerate(times)]
    return tuple(faults)


@settings(max_examples=150, deadline=None)
@given(troubles(), st.booleans(), st.sampled_from(["closed", "rate"]))
def test_every_item_is_answered_exactly_once(faults: Any, standbys: bool, arrival: Any) -> None:
    """Whatever goes and comes, as long as somebody is left in the end."""
    last = {fault.unit: fault for fault in sorted(faults, key=lambda fault: fault.at_s)}
    if all(isinstance(last.get(unit), UnitDies) for unit in (A, B, C)):
        faults = (*faults, UnitReturns(A, 50.0))
    driver = Failover(standbys=standbys, wait=True, period_s=1 / 3)
    workload = Workload(40, arrival=arrival, rate_items_per_s=2.0)
    observed = simulate_epochs(worlds((A, B, C)), driver, workload, scenario=Scenario(faults=faults))
    assert Counter(answer.item for answer in observed.answers) == Counter(range(40))


def test_a_standby_takes_over_at_once() -> None:
    """A unit that dies costs what was in flight and no preparation."""
    faults = (UnitDies(B, 10.0),)
    took_s = {}
    for standbys in (True, False):
        driver = Failover(standbys=standbys, period_s=0.5)
        observed = simulate_epochs(worlds((A, B)), driver, Workload(40), scenario=Scenario(faults=faults))
        first_s = min(answer.answered_s for answer in observed.answers if answer.epoch)
        took_s[standbys] = first_s - 10.0
    assert took_s[True] == pytest.approx(1.0)
    assert took_s[False] == pytest.approx(1.3)


def test_with_nobody_left_the_run_says_why() -> None:
    faults = (UnitDies(A, 5.0), UnitDies(B, 7.0))
    with pytest.raises(WorkError, match="no device is left: b is gone"):
        simulate_epochs(worlds((A, B)), Failover(), Workload(40), scenario=Scenario(faults=faults))
