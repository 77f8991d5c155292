"""The simulator against cases worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest

from shoal.errors import ProgramError, WorkError
from shoal.program import (
    Cancel,
    Command,
    Driver,
    Event,
    Hop,
    Item,
    Pace,
    Program,
    Start,
    Stop,
    TensorSpec,
    Workload,
)
from shoal.record import Fact, Observed, Trace
from shoal.sim import simulate
from tests import toy
from tests.harness import stream
from tests.programs import Piece, chain, paced, program

A, B, C = "a/cpu", "b/cpu", "c/cpu"


def run(made: Program, pace: Pace, items: int, window: int = 9, trace: Trace | None = None) -> Observed:
    return simulate(made, pace, stream(), Workload(items, window=window), trace)


def answers(observed: Observed) -> list[float]:
    return [round(answer.answered_s, 9) for answer in observed.answers]


def test_a_chain_of_three_has_the_period_of_its_slowest_stage() -> None:
    made = chain(A, B, C, window=9)
    observed = run(made, paced(made, {"s0": 0.2, "s1": 0.5, "s2": 0.3}), 4)
    assert answers(observed) == [1.0, 1.5, 2.0, 2.5]
    assert [report.busy_s for report in observed.units.values()] == pytest.approx([0.8, 2.0, 1.2])


def test_a_window_of_one_adds_up_all_stages() -> None:
    made = chain(A, B, C)
    assert answers(run(made, paced(made, {"s0": 0.2, "s1": 0.5, "s2": 0.3}), 3, window=1)) == [1.0, 2.0, 3.0]


def test_links_take_bandwidth_and_latency_on_the_way() -> None:
    made = chain(A, B, floats=250)  # 1000 bytes
    observed = run(made, paced(made, {"s0": 0.2, "s1": 0.5}, 10_000, 0.05), 2)
    # into a 0.1 + 0.05, a 0.2, to b 0.15, b 0.5, back 0.15; then one every 0.5
    assert answers(observed) == [1.15, 1.65]


def test_a_link_that_is_slower_than_every_stage_sets_the_period() -> None:
    made = chain(A, B, floats=250)
    pace = Pace({"s0": 0.2, "s1": 0.1}, {f"s0>{B}": (Hop("slow", 1000.0, 0.5),)})
    assert answers(run(made, pace, 3)) == [1.8, 2.8, 3.8]  # 0.2 + 1 + 0.5 + 0.1, then the link's 1 s


def test_two_branches_run_side_by_side_and_join() -> None:
    made = program([Piece("left", A), Piece("right", B), Piece("join", A, ("left", "right"))])
    observed = run(made, paced(made, {"left": 0.2, "right": 0.3, "join": 0.1}), 2)
    # a: left 0 at 0, left 1 at 0.2, join 0 at 0.4 (right 0 came at 0.3), join 1 at 0.6
    assert answers(observed) == [0.5, 0.7]
    order = [(span.name, span.item) for span in observed.spans if span.unit == A and span.kind == "run"]
    assert order == [("left", 0), ("left", 1), ("join", 0), ("join", 1)]


def test_senders_on_one_shared_medium_wait_for_each_other() -> None:
    made = program([Piece("p", A), Piece("q", B)], floats=250)
    alone = paced(made, {"p": 0.1, "q": 0.1}, 1000.0)
    shared = Pace(alone.segments_s, dict.fromkeys(alone.hops, (Hop("wifi", 1000.0, 0.0),)))
    assert answers(run(made, alone, 1)) == [2.1]
    # x to a until 1, x to b until 2, p answers from 2 (asked at 1.1) to 3, q from 3 (asked at 2.1) to 4
    assert answers(run(made, shared, 1)) == [4.0]


def test_a_gate_that_says_stop_costs_nothing_behind_it() -> None:
    made = program([Piece("p", A, gate="go"), Piece("q", B, ("p",))])
    pace = paced(made, {"p": 0.2, "q": 0.5})
    observed = run(made, pace, 3, trace=Trace((Fact(1, "p", "gate", 0.0),)))
    assert [(answer.item, answer.empty) for answer in observed.answers] == [(0, False), (1, True), (2, False)]
    assert answers(observed) == [0.7, 0.7, 1.2]
    assert observed.units[B].busy_s == pytest.approx(1.0)
    assert observed.units[A].sent_bytes == 2 * 16
    assert [fact.value for fact in observed.facts] == [1.0, 0.0, 1.0]


def test_items_that_come_at_a_rate_wait_only_when_the_unit_is_busy() -> None:
    made = chain(A, window=9)
    workload = Workload(3, "rate", rate_items_per_s=4, window=9)
    observed = simulate(made, Pace({"s0": 0.3}), stream(), workload)
    assert [round(answer.answered_s - answer.arrived_s, 9) for answer in observed.answers] == [0.3, 0.35, 0.4]


@pytest.mark.parametrize("workload", [toy.turns(30), toy.races(30)], ids=["turns", "races"])
def test_nothing_is_lost_or_made_up(workload: Workload) -> None:
    gates = Trace(tuple(Fact(item, "look", "gate", float(item % 3 != 0)) for item in range(30)))
    observed = simulate(toy.program(), toy.PACE, stream(), workload, gates)
    assert sorted(answer.item for answer in observed.answers) == list(range(30))
    units = observed.units.values()
    dark = sum(answer.empty for answer in observed.answers)
    from_client, to_client = 30, 30 - dark
    sent, received = sum(unit.sent_bytes for unit in units), sum(unit.received_bytes for unit in units)
    assert sent + from_client * 16 == received + to_client * 16
    assert sent == sum(span.bytes for span in observed.spans)
    elapsed_s = max(span.end_s for span in observed.spans)
    for name, unit in observed.units.items():
        own = [span for span in observed.spans if span.unit == name and span.kind == "run"]
        assert unit.busy_s == pytest.approx(sum(span.end_s - span.start_s for span in own))
        assert unit.busy_s <= elapsed_s
        assert all(before.end_s <= after.start_s for before, after in pairwise(own))


def test_bindings_decide_the_bytes_of_an_item() -> None:
    made = chain(A)
    spec = TensorSpec("float32", ("tokens",))
    made = replace(
        made, edges=tuple(replace(edge, spec=spec) for edge in made.edges),
        tensors=dict.fromkeys(made.tensors, spec), sizes={"tokens": 100},
    )  # fmt: skip
    workload = Workload(2, pattern=(Item(bindings={"tokens": 5}), Item()))
    observed = simulate(made, Pace({"s0": 0.1}), stream(), workload)
    assert [span.bytes for span in observed.spans if span.kind == "transfer"] == [20, 400]


@dataclass(frozen=True)
class Scripted:
    """Says what it was given, one answer for each event."""

    said: tuple[tuple[Command, ...], ...]

    def begin(self, program: Program, workload: Workload) -> int:
        return 0

    def step(self, state: int, event: Event, time_s: float) -> tuple[int, tuple[Command, ...]]:
        return state + 1, self.said[state] if state < len(self.said) else ()


@pytest.mark.parametrize(
    ("driver", "fault", "message"),
    [
        (Scripted(((Start(0, 0), Stop()),)), None, ""),
        (Scripted(((Stop("no more devices"),),)), WorkError, "no more devices"),
        (Scripted(((Start(0, 0),),)), WorkError, "the driver never said stop"),
        (Scripted(((Cancel(0),),)), WorkError, "cannot Cancel yet"),
    ],
)
def test_what_a_driver_may_do(driver: Driver, fault: Any, message: str) -> None:
    made = chain(A)
    if fault is None:
        assert answers(simulate(made, Pace({"s0": 0.1}), driver, Workload(1))) == [0.1]
        return
    with pytest.raises(fault, match=message):
        simulate(made, Pace({"s0": 0.1}), driver, Workload(1))


def test_an_invalid_program_is_refused_first() -> None:
    made = chain(A, B)
    with pytest.raises(ProgramError, match="smaller than the window"):
        run(replace(made, window=99), Pace({}), 1)
