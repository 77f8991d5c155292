"""A run accounted by hand, and one out of the simulator."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.cost import Match, account, pace, period_s
from shoal.cost.arrivals import rates
from shoal.fleet import Fleet
from shoal.program import Pace, Program, Workload
from shoal.record import Answer, Observed, Run, Span, UnitReport
from shoal.sim import simulate
from tests.cost.toys import two_and_one, two_stages


def observed() -> Observed:
    """Two items: a is busy 1 s an item, b 2 s; 40 bytes cross between them, 8 leave."""
    spans = [
        span
        for item in (0, 1)
        for span in (
            Span("run", "a/cpu", "first", item, item, item + 1.0),
            Span("transfer", "a/cpu", "mid", item, item + 1.0, item + 1.5, 40),
            Span("run", "b/cpu", "second", item, 2.0 * item + 2, 2.0 * item + 4),
            Span("transfer", "b/cpu", "out", item, 2.0 * item + 4, 2.0 * item + 4, 8),
        )
    ]
    units = {
        "a/cpu": UnitReport(2.0, 80, 32, cpu_s=1.5, resident_bytes=10, peak_bytes=20),
        "b/cpu": UnitReport(4.0, 16, 80, cpu_s=3.5, resident_bytes=30, peak_bytes=40),
    }
    answers = (Answer(1, 1.0, 6.0), Answer(0, 0.0, 4.0))
    return Observed(answers, units, tuple(spans), 0, ())


def accounted(program: Program, fleet: Fleet, seen: Observed) -> Run:
    return account(seen, program, fleet, workload=Workload(2, window=3), provenance="measured")


def test_times_and_bytes_are_those_seen(program: Program, fleet: Fleet) -> None:
    run = accounted(program, fleet, observed())
    assert run.latencies_s == (4.0, 5.0)
    assert run.period_s == 2.0
    assert run.notes == ()
    first = run.devices["a"]
    assert (first.busy_s, first.cpu_s, first.sent_bytes, first.received_bytes) == (2.0, 1.5, 80, 32)
    assert (first.resident_bytes, first.peak_bytes, first.weights_bytes, first.units) == (10, 20, 70, ("a/cpu",))


def test_energy_is_idle_busy_and_bytes(program: Program, fleet: Fleet) -> None:
    run = accounted(program, fleet, observed())
    assert run.devices["a"].energy_j == pytest.approx(6.0 * 2.0 + 2.0 * 1.0 + 80 * 4e-6)
    assert run.devices["b"].energy_j == pytest.approx(6.0 * 2.0 + 4.0 * 4.0 + 80 * 1e-6)


def test_a_client_elsewhere_pays_for_its_bytes_too(program: Program, fleet: Fleet) -> None:
    run = account(observed(), program, fleet, workload=Workload(2, window=3), provenance="measured", client="c")
    assert run.devices["a"].energy_j == pytest.approx(6.0 * 2.0 + 2.0 * 1.0 + 80 * 4e-6 + 32 * 1e-6)


def test_every_figure_says_how_it_was_got(program: Program, fleet: Fleet) -> None:
    of = {}
    for kind in ("measured", "emulated", "simulated"):
        of[kind] = account(observed(), program, fleet, workload=Workload(2), provenance=kind).provenance
    assert [of[kind]["period_s"] for kind in of] == ["measured", "emulated", "simulated"]
    assert [of[kind]["sent_bytes"] for kind in of] == ["measured", "measured", "simulated"]
    assert [of[kind]["energy_j"] for kind in of] == ["modelled", "modelled", "simulated"]


def test_what_does_not_add_up_is_said(program: Program, fleet: Fleet) -> None:
    seen = observed()
    lost = dataclasses.replace(seen.units["b/cpu"], received_bytes=79, busy_s=6.5)
    notes = accounted(program, fleet, dataclasses.replace(seen, units=seen.units | {"b/cpu": lost})).notes
    assert notes == (
        "b/cpu says it was busy for 6.5 s of a run of 6 s",
        "units sent each other 80 B and received 79 B",
    )


def test_a_run_that_ended_early_has_no_devices(program: Program, fleet: Fleet) -> None:
    run = accounted(program, fleet, Observed((), {}, (), 0, ()))
    assert (run.devices, run.latencies_s, run.period_s, run.throughput_items_per_s) == ({}, (), 0.0, 0.0)


def test_match_is_passed_on(program: Program, fleet: Fleet) -> None:
    run = account(
        observed(), program, fleet, workload=Workload(2), provenance="measured",
        match=Match({0: "ab"}, True, 1e-7, 2.0),
    )  # fmt: skip
    assert (run.output_digests, run.outputs_match, run.max_abs_difference) == ({0: "ab"}, True, 1e-7)


def test_the_filling_of_the_pipe_does_not_count() -> None:
    times_s = [1.0, 1.1, 1.2, 5.0, 7.0, 9.0]
    assert period_s([Answer(i, 0.0, at) for i, at in enumerate(times_s)], window=3) == 2.0


def test_one_item_takes_its_latency() -> None:
    assert period_s([Answer(0, 1.0, 4.0)], window=4) == 3.0


@settings(deadline=None, max_examples=40)
@given(st.floats(0.1, 3.0), st.floats(0.1, 3.0), st.integers(1, 3))
def test_a_simulated_pipeline_adds_up(first_s: float, second_s: float, window: int) -> None:
    program, fleet = dataclasses.replace(two_stages(), window=window), two_and_one()
    tempo = pace(program, fleet, {"first": first_s, "second": second_s})
    workload = Workload(40 * window + 1, window=window)
    seen = simulate(program, tempo, catalog.make("program/drivers", "stream"), workload)
    run = account(seen, program, fleet, workload=workload, provenance="simulated")
    alone_s = first_s + second_s + 0.5 + 40 / 1000
    assert run.notes == ()
    assert run.devices["b"].busy_s == pytest.approx(workload.items * second_s)
    assert run.period_s == pytest.approx(max(first_s, second_s, alone_s / window), rel=0.02)


def test_rates_are_between_the_first_and_the_last() -> None:
    answers = [Answer(item, item / 10, 1.0 + item / 5) for item in range(11)]
    assert rates(answers, Workload(11, "rate", rate_items_per_s=10.0)) == (pytest.approx(10.0), pytest.approx(5.0))
    assert rates(answers, Workload(11)) == (None, None)
    assert rates(answers[:1], Workload(1, "rate", rate_items_per_s=10.0)) == (None, None)
    assert rates((), Workload(3, "rate", rate_items_per_s=10.0)) == (pytest.approx(10.0), None)


@pytest.mark.parametrize(("seconds", "said"), [(0.05, False), (0.0999, False), (0.2, True)])
def test_a_queue_that_grows_is_said(seconds: float, said: bool) -> None:
    program, fleet = two_stages(), two_and_one()
    tempo = Pace({segment.name: seconds for segment in program.segments})  # links cost nothing
    workload = Workload(60, "rate", rate_items_per_s=10.0)
    seen = simulate(program, tempo, catalog.make("program/drivers", "stream"), workload)
    run = account(seen, program, fleet, workload=workload, provenance="simulated")
    assert any("arrivals exceed capacity" in note for note in run.notes) is said
    if said:
        assert run.obtained_items_per_s == pytest.approx(1 / seconds, rel=0.05)
