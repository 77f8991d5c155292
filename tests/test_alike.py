"""Random Programs take the same steps at the same times on emulated boards and in the simulator."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shoal.program import Epoch, Pace, Program, Segment, Workload, check
from shoal.record import Answer, Observed, Trace
from shoal.sim import simulate, simulate_epochs
from tests.harness import answered, coordinating, standby, stream, zeros
from tests.programs import INPUT, Piece, paced, program
from tests.turnover import Turnover

TRIES = 3


@st.composite
def cases(draw: st.DrawFn) -> tuple[Program, Pace, Workload]:
    """A random graph of segments over 2 to 4 units, links of known speed, and a few items.

    Every link takes 5 ms or more, which is how late a message may really come before it matters: threads wake
    some milliseconds late, and more on a busy machine.
    """
    units = [f"u{number}/cpu" for number in range(draw(st.integers(2, 4)))]
    pieces: list[Piece] = []
    for number in range(draw(st.integers(2, 6))):
        known = [INPUT, *(piece.name for piece in pieces)]
        reads = draw(st.lists(st.sampled_from(known[-3:]), min_size=1, max_size=2, unique=True))
        gate = draw(st.sampled_from(["", "", "", "go", "stop"]))
        pieces.append(Piece(f"s{number}", draw(st.sampled_from(units)), tuple(reads), gate))
    made = program(pieces, window=draw(st.integers(1, 5)), floats=draw(st.sampled_from([25, 250])))
    return made, draw(paces(made)), Workload(draw(st.integers(3, 8)), window=5)


@st.composite
def paces(draw: st.DrawFn, made: Program) -> Pace:
    names = [segment.name for segment in made.segments]
    seconds = draw(st.lists(st.integers(6, 20), min_size=len(names), max_size=len(names), unique=True))
    return paced(
        made,
        {name: count / 1000 for name, count in zip(names, seconds, strict=True)},
        draw(st.sampled_from([1e5, 3e5, 1e6])),
        draw(st.integers(5, 8)) / 1000,
    )


@settings(
    max_examples=25, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(cases())
def test_the_same_steps_at_the_same_times(case: tuple[Program, Pace, Workload]) -> None:
    made, pace, workload = case
    check(made)
    real = _run(made, pace, workload)
    simulated = simulate(made, pace, stream(), workload, Trace(real.facts))
    for unit in made.units:
        assert _order(simulated, unit) == _order(real, unit)
    assert simulated.spans == real.spans
    assert _by_time(simulated) == _by_time(real)
    assert simulated.facts == real.facts


@st.composite
def switched(draw: st.DrawFn) -> tuple[dict[int, Epoch], Turnover, Workload]:
    """The same segments in two places, and two items from which on the other one serves."""
    made, pace, _ = draw(cases())
    units = [draw(st.sampled_from(["u0/cpu", "u1/cpu", "u2/cpu"])) for _ in made.segments]
    moved = program(
        [
            Piece(segment.name, unit, segment.inputs, _gate(segment))
            for segment, unit in zip(made.segments, units, strict=True)
        ],
        draw(st.integers(1, 5)),
        made.edges[0].spec.bytes({}) // 4,
    )
    moved = replace(moved, epoch=1)
    epochs = {0: Epoch(made, pace), 1: Epoch(moved, draw(paces(moved)), draw(st.integers(0, 40)) / 1000)}
    there, back = draw(st.integers(1, 4)), draw(st.integers(5, 8))
    return epochs, Turnover({there: 1, back: 0}), Workload(10, window=5)


@settings(
    max_examples=8, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(switched())
def test_the_same_steps_over_switches(case: tuple[dict[int, Epoch], Turnover, Workload]) -> None:
    epochs, driver, workload = case
    real = _switch(epochs, driver, workload)
    simulated = simulate_epochs(epochs, driver, workload, Trace(real.facts))
    assert [answer.item for answer in real.answers if answer.epoch] == list(range(*sorted(driver.to)))
    assert simulated.spans == real.spans
    assert _by_time(simulated) == _by_time(real)
    assert simulated.facts == real.facts
    assert {unit: report.busy_s for unit, report in simulated.units.items()} == {
        unit: pytest.approx(report.busy_s) for unit, report in real.units.items()
    }


def _gate(segment: Segment) -> str:
    return ("stop" if "false" in segment.engine else "go") if segment.gate else ""


def _switch(epochs: dict[int, Epoch], driver: Turnover, workload: Workload) -> Observed:
    first = epochs[0]
    with tempfile.TemporaryDirectory() as folder:
        others = {
            number: standby(epoch.program, Path(folder), "memory", epoch.pace, epoch.prepare_s)
            for number, epoch in epochs.items()
        }
        with coordinating(first.program, Path(folder), "memory", first.pace, others=others) as (coordinator, _):
            for _ in range(TRIES):
                found = coordinator.run(driver, workload, zeros(first.program), lambda *_: None)
                assert not found.failure
                if not found.observed.missed:
                    return found.observed
    raise AssertionError(f"this machine was too slow in each of {TRIES} runs")


def _run(made: Program, pace: Pace, workload: Workload) -> Observed:
    """Times are carried in the messages, so they are exact unless this machine was so slow that it says so."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(TRIES):
            with coordinating(made, Path(folder), "memory", pace) as (coordinator, _):
                found = answered(coordinator, workload, zeros(made)).outcome
            assert not found.failure
            if not found.observed.missed:
                return found.observed
    raise AssertionError(f"this machine was too slow in each of {TRIES} runs")


def _order(observed: Observed, unit: str) -> list[tuple[str, str, int]]:
    return [(span.kind, span.name, span.item) for span in observed.spans if span.unit == unit]


def _by_time(observed: Observed) -> list[Answer]:
    """The answers; of those that are there at the very same moment the older item first."""
    return sorted(observed.answers, key=lambda answer: (answer.answered_s, answer.item))
