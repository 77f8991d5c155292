"""One toy Program runs alike in real workers and in the simulator, and means what plain Python says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shoal.program import Workload
from shoal.record import Fact, Observed, Trace
from shoal.sim import simulate
from tests import toy
from tests.harness import Answered, answered, coordinating, stream

TRIES = 3  # a run in which this machine was too slow for a board says so, and nothing about the waist


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    toy.write(tmp_path)
    return tmp_path


def _paced(engine: str, over: str, folder: Path, workload: Workload) -> Answered:
    """A run of the toy on emulated boards in which no message came too late to be chosen in its turn."""
    program = toy.program(engine)
    with coordinating(program, folder, over, toy.PACE) as (coordinator, _):
        for _ in range(TRIES):
            found = answered(coordinator, workload, toy.inputs(workload))
            assert not found.outcome.failure
            if not found.outcome.observed.missed:
                return found
    pytest.fail(f"this machine was too slow in each of {TRIES} runs")


def _order(observed: Observed, unit: str) -> list[tuple[str, str, int]]:
    return [(span.kind, span.name, span.item) for span in observed.spans if span.unit == unit]


@pytest.mark.parametrize("workload", [toy.turns, toy.races])
@pytest.mark.parametrize(
    ("engine", "over"), [("reference", "memory"), ("reference", "tcp"), ("onnxruntime", "tcp")]
)
def test_it_runs_alike_in_workers_and_in_the_simulator(
    engine: str, over: str, workload: Callable[[], Workload], folder: Path
) -> None:
    real = _paced(engine, over, folder, workload()).outcome.observed
    simulated = simulate(toy.program(engine), toy.PACE, stream(), workload(), Trace(real.facts))
    for unit in (toy.EYE, toy.ARM):
        assert _order(simulated, unit) == _order(real, unit)
    assert simulated.answers == real.answers  # which items, in which order, when, and which of them empty
    assert simulated.facts == real.facts
    assert simulated.spans == real.spans  # every start and end, to the last bit
    for unit, report in simulated.units.items():
        assert (report.sent_bytes, report.received_bytes) == (
            real.units[unit].sent_bytes,
            real.units[unit].received_bytes,
        )


@pytest.mark.parametrize("workload", [toy.turns(), toy.races()], ids=["turns", "races"])
@pytest.mark.parametrize(
    ("engine", "over"), [("reference", "memory"), ("onnxruntime", "memory"), ("onnxruntime", "tcp")]
)
def test_it_means_what_plain_python_says(engine: str, over: str, workload: Workload, folder: Path) -> None:
    given = toy.inputs(workload)
    with coordinating(toy.program(engine), folder, over) as (coordinator, _):
        found = answered(coordinator, workload, given)
        again = answered(coordinator, workload, given)  # states and registers begin anew with every run
    for run in (found, again):
        observed = run.outcome.observed
        meant = toy.meaning(workload, given, observed.facts)
        assert sorted(run.outputs) == list(range(workload.items))
        for item, outputs in meant.items():
            assert run.outputs[item].keys() == outputs.keys()
            for name, value in outputs.items():
                np.testing.assert_allclose(run.outputs[item][name], value, rtol=1e-5, atol=1e-5)
        assert {answer.item for answer in observed.answers if answer.empty} == {
            item for item, outputs in meant.items() if not outputs
        }


def test_the_toy_uses_what_it_is_there_for() -> None:
    """Gates that stop, acts that take different glimpses, several items of one session in flight."""
    workload = toy.races()
    program = toy.program()
    given = toy.inputs(workload)
    dark = {item for item in range(workload.items) if "photo" in given(item) and given(item)["photo"].sum() <= 0}
    gates = tuple(Fact(item, "look", "gate", float(item not in dark)) for item in range(workload.items))
    observed = simulate(program, toy.PACE, stream(), workload, Trace(gates))
    taken = [fact.value for fact in observed.facts if fact.kind == "newest"]
    assert dark
    assert len(set(taken)) > 3
    assert {answer.item for answer in observed.answers if answer.empty} == dark
    assert _most_in_flight(observed) == program.window


def _most_in_flight(observed: Observed) -> int:
    events = [(answer.arrived_s, 1) for answer in observed.answers]
    events += [(answer.answered_s, -1) for answer in observed.answers]
    level, most = 0, 0
    for _, change in sorted(events, key=lambda event: (event[0], event[1])):
        level += change
        most = max(most, level)
    return most
