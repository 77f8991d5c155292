"""Queues, links, windows and arrivals worked out by hand, or by another simulator."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from bench.simulator import mesh, simpy_run
from shoal.program import Hop, Pace, Program, Workload
from shoal.record import Observed
from shoal.sim import attempt, simulate
from tests.harness import stream
from tests.programs import Piece, chain, program

A, B, C, D = "a/cpu", "b/cpu", "c/cpu", "d/cpu"


def run(made: Program, pace: Pace, items: int, window: int = 9) -> Observed:
    return simulate(made, pace, stream(), Workload(items, window=window))


def answers(observed: Observed) -> list[float]:
    return [round(answer.answered_s, 9) for answer in observed.answers]


def latencies(observed: Observed) -> list[float]:
    return [round(answer.answered_s - answer.arrived_s, 9) for answer in observed.answers]


def ends(observed: Observed, edge: str) -> list[float]:
    return [round(span.end_s, 9) for span in observed.spans if span.name == edge]


def test_a_window_of_two_lets_the_third_in_when_the_first_is_out() -> None:
    made = chain(A, B)
    observed = run(made, Pace({"s0": 1.0, "s1": 3.0}), 3, window=2)
    # a: 0 at 0-1, 1 at 1-2, 2 at 4-5; b: 1-4, 4-7, 7-10
    assert answers(observed) == [4.0, 7.0, 10.0]
    assert latencies(observed) == [4.0, 7.0, 6.0]
    assert [(s.start_s, s.end_s) for s in observed.spans if s.name == "s0"] == [(0, 1), (1, 2), (4, 5)]


def test_two_hops_store_the_whole_message_and_forward_it() -> None:
    made = chain(A, B, floats=250)
    way = (Hop("wifi", 1000.0, 0.25), Hop("cable", 4000.0, 0.0))
    observed = run(made, Pace({"s0": 0.1, "s1": 0.1}, {f"s0>{B}": way}), 2)
    # 0: wifi 0.1-1.1, there 1.35, cable until 1.6; 1: asked at 0.2, wifi 1.1-2.1, there 2.35, cable until 2.6
    assert ends(observed, f"s0>{B}") == [1.6, 2.6]
    assert answers(observed) == [1.7, 2.7]


def test_at_a_second_hop_who_gets_there_first_goes_first() -> None:
    made = program([Piece("p", A), Piece("q", B), Piece("p2", C, ("p",)), Piece("q2", D, ("q",))], floats=250)
    pace = Pace(
        {"p": 0.5, "q": 1.0, "p2": 0.1, "q2": 0.1},
        {f"p>{C}": (Hop("slow", 100.0, 0.0), Hop("bus", 1000.0, 0.0)), f"q>{D}": (Hop("bus", 1000.0, 0.0),)},
    )
    observed = run(made, pace, 1)
    assert ends(observed, f"p>{C}") == [11.5]  # slow until 10.5, then the bus
    assert ends(observed, f"q>{D}") == [2.0]  # the bus from 1, though p was sent at 0.5
    assert answers(observed) == [11.6]


def test_latencies_of_messages_that_follow_one_another_overlap() -> None:
    made = chain(A, B, floats=250)
    observed = run(made, Pace({"s0": 0.1, "s1": 0.1}, {f"s0>{B}": (Hop("far", 1000.0, 5.0),)}), 3)
    assert answers(observed) == [6.2, 7.2, 8.2]  # 0.1 + 1 + 5 + 0.1, then one every second


def test_two_that_ask_for_a_medium_at_once_are_served_in_the_program_s_order() -> None:
    made = program([Piece("p", A), Piece("q", B), Piece("r", C, ("p", "q"))], floats=250)
    bus = (Hop("bus", 1000.0, 0.5),)
    observed = run(made, Pace({"p": 1.0, "q": 1.0, "r": 1.0}, {f"p>{C}": bus, f"q>{C}": bus}), 1)
    assert (ends(observed, f"p>{C}"), ends(observed, f"q>{C}")) == ([2.5], [3.5])
    assert answers(observed) == [4.5]


def test_the_oldest_item_goes_first_though_another_came_before_it() -> None:
    made = program([Piece("p", A), Piece("q", B), Piece("r", C, ("p", "q")), Piece("t", C, ("q",))])
    observed = run(made, Pace({"p": 2.0, "q": 1.0, "r": 1.0, "t": 3.0}), 2)
    order = [
        (span.name, span.item, span.start_s) for span in observed.spans if span.unit == C and span.kind == "run"
    ]
    # q 0 is there at 1, q 1 and p 0 at 2, p 1 at 4; when t 0 ends at 4, r 0 goes before all of item 1
    assert order == [("t", 0, 1.0), ("r", 0, 4.0), ("r", 1, 5.0), ("t", 1, 6.0)]


def test_in_an_open_loop_latency_counts_from_the_arrival() -> None:
    made = chain(A, window=1)
    workload = Workload(4, "trace", window=1, times_s=(0.0, 0.1, 0.2, 2.0))
    observed = simulate(made, Pace({"s0": 0.5}), stream(), workload)
    assert answers(observed) == [0.5, 1.0, 1.5, 2.5]
    assert latencies(observed) == [0.5, 0.9, 1.3, 0.5]


def test_a_rate_above_what_a_unit_can_do_makes_a_queue_that_grows() -> None:
    observed = simulate(chain(A), Pace({"s0": 0.5}), stream(), Workload(5, "rate", rate_items_per_s=4))
    assert latencies(observed) == [0.5, 0.75, 1.0, 1.25, 1.5]


def test_poisson_arrivals_at_one_unit_wait_as_lindley_says() -> None:
    workload = Workload(20_000, "rate", rate_items_per_s=0.7, poisson=True, window=1_000, seed=1)
    made = chain(A, window=1_000)
    found = [
        each.answered_s - each.arrived_s for each in simulate(made, Pace({"s0": 1.0}), stream(), workload).answers
    ]
    waits = [0.0]
    for before_s, after_s in pairwise(workload.arrivals_s()):
        waits.append(max(0.0, waits[-1] + 1.0 - (after_s - before_s)))
    assert found == pytest.approx([wait + 1.0 for wait in waits])
    mean_wait_s = sum(found) / len(found) - 1.0
    assert mean_wait_s == pytest.approx(0.7 / (2 * (1 - 0.7)), rel=0.1)  # M/D/1: ρ / 2(1 - ρ) services


def replicas(*shares: float) -> Program:
    """The same piece on a and on b, one route each."""
    made = program([Piece("p", A), Piece("q", B)])
    (whole,) = made.routes
    routes = [
        replace(
            whole, inputs=(whole.inputs[at],), outputs=(whole.outputs[at],), tasks=(whole.tasks[at],), share=share
        )
        for at, share in enumerate(shares)
    ]
    return replace(made, routes=tuple(routes))


def test_replicas_share_the_items_and_answer_in_any_order() -> None:
    observed = run(replicas(3.0, 1.0), Pace({"p": 1.0, "q": 3.5}), 8, window=4)
    by_unit = {unit: [s.item for s in observed.spans if s.unit == unit and s.kind == "run"] for unit in (A, B)}
    assert by_unit == {A: [0, 1, 3, 4, 5, 7], B: [2, 6]}
    assert [answer.item for answer in observed.answers][:4] == [0, 1, 3, 2]
    assert sorted(answer.item for answer in observed.answers) == list(range(8))


@pytest.mark.parametrize("seed", range(4))
def test_it_ends_when_the_same_queues_in_simpy_do(seed: int) -> None:
    pytest.importorskip("simpy")
    made, pace = mesh(units=30, routes=12, longest=6, window=24, seed=seed)
    trial = attempt(made, pace, stream(), Workload(200, window=24))
    end_s, _, _ = simpy_run(made, pace, 200)
    assert trial.observed.answers[-1].answered_s == pytest.approx(end_s, rel=1e-9)


def test_what_is_not_kept_is_counted_and_its_totals_are_exact() -> None:
    made, pace = mesh(units=60, routes=40, longest=8, window=30)
    every, bounded = (attempt(made, pace, stream(), Workload(200), max_spans=most) for most in (100_000, 500))
    assert len(bounded.observed.spans) == 500
    assert bounded.observed.spans_dropped == len(every.observed.spans) - 500
    assert replace(bounded.observed, spans=(), spans_dropped=0) == replace(every.observed, spans=())
    assert bounded.events == every.events
