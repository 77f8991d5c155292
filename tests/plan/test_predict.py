from __future__ import annotations

from pathlib import Path

import pytest

from shoal.errors import PlanError
from shoal.plan import Group, Replica
from shoal.plan.chain import evaluate
from shoal.plan.chains import line_of
from shoal.plan.lower import program_of
from shoal.plan.predict import Forecast, forecast, key_of
from shoal.plan.problem import Problem
from shoal.program import Program, Workload
from tests.plan.toys import light_graph, problem, random_chain, three


def predicted(asked: Problem, groups: tuple[Group, ...], items: int = 32) -> tuple[Forecast, Program]:
    program = program_of(asked.graph, (Replica(groups),), asked.window, "toy")
    return forecast(program, asked.fleet, asked.costs, Workload(items=items, window=asked.window)), program


def test_a_division_is_predicted_as_the_chain_scores_it() -> None:
    asked = problem(light_graph("squeezenet"), three(), window=6)
    line = line_of(asked)
    division = ((0, 6, 0), (6, 14, 1), (14, line.chain.pieces, 2))
    found, program = predicted(asked, line.groups(asked, division))
    made, wanted = found.prediction, evaluate(line.chain, division)
    assert made.alone_latency_s == pytest.approx(wanted.latency_s)
    assert made.period_s == pytest.approx(wanted.period_s, rel=1e-6)
    assert max(made.energy_j.values()) == pytest.approx(wanted.energy_j, rel=1e-6)
    assert max(made.memory_bytes.values()) == pytest.approx(wanted.memory_bytes, abs=16)
    assert made.latency_s >= made.alone_latency_s  # queues included
    assert set(found.estimates) == {segment.name for segment in program.segments}
    assert made.provenance == "predicted"


def test_bytes_and_busy_times_are_per_item(tmp_path: Path) -> None:
    asked = problem(random_chain(tmp_path, 1), three())
    line = line_of(asked)
    found, program = predicted(asked, line.groups(asked, ((0, 2, 0), (2, line.chain.pieces, 1))))
    assert found.prediction.sent_bytes["a"] == line.cuts[1].bytes
    busy = {unit: found.estimates[segment.name].seconds for segment in program.segments for unit in [segment.unit]}
    assert found.prediction.busy_s == pytest.approx({"a": busy["a/cpu"], "b": busy["b/cpu"]})
    few, _ = predicted(asked, line.groups(asked, ((0, 2, 0), (2, line.chain.pieces, 1))), items=12)
    assert few.prediction.energy_j == pytest.approx(found.prediction.energy_j, rel=1e-6)


def test_an_open_workload_waits_in_queues(tmp_path: Path) -> None:
    asked = problem(random_chain(tmp_path, 1), three())
    program = program_of(asked.graph, (Replica((Group("c/cpu", tuple(asked.graph.position)),)),), 4, "toy")
    alone = forecast(program, asked.fleet, asked.costs, Workload(items=1, window=1)).prediction
    busy = Workload(items=40, arrival="rate", window=4, rate_items_per_s=0.9 / alone.period_s, poisson=True)
    assert forecast(program, asked.fleet, asked.costs, busy).prediction.latency_s > alone.alone_latency_s


def test_an_engine_that_is_not_there_is_a_users_mistake(tmp_path: Path) -> None:
    asked = problem(random_chain(tmp_path, 1), three())
    program = program_of(asked.graph, (Replica((Group("c/cpu", tuple(asked.graph.position), "ncnn"),)),), 4, "toy")
    assert key_of(program.segments[0]).engine == "ncnn"
    with pytest.raises(PlanError, match="no engine 'ncnn' there"):
        forecast(program, asked.fleet, asked.costs, Workload(items=4))
