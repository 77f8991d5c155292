from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.cost import runtime_bytes
from shoal.fleet import Fleet, Link
from shoal.graph import Graph, load
from shoal.plan.chain import evaluate, feasible
from shoal.plan.chains import line_of
from shoal.plan.enumerate import all_plans
from shoal.plan.lower import program_of
from shoal.plan.placement import Assessor
from shoal.plan.predict import forecast
from shoal.plan.problem import Problem
from shoal.plan.values import Group, Replica
from shoal.program import CLIENT, Workload
from tests.graph.models import info, model, node, write
from tests.plan.toys import MIB, device, fleet, light_graph, placed, problem, random_branches, random_chain, three


def spread_of_plans(asked: Problem, most: int = 60) -> list[tuple[tuple[int, int, int], ...]]:
    plans = list(all_plans(line_of(asked).chain))
    return plans[:: max(1, len(plans) // most)]


@pytest.mark.parametrize("seed", range(4))
def test_consecutive_placements_score_as_the_chain_says(tmp_path: Path, seed: int) -> None:
    make = random_chain if seed % 2 else random_branches
    machines = three() if seed < 2 else fleet(device("a", 8, units=("cpu", "gpu")), device("b", 20))
    asked = problem(make(tmp_path, seed), machines, memory_mib=60)
    line, assessor = line_of(asked), Assessor(asked)
    for plan in spread_of_plans(asked):
        found = assessor.assess(line.groups(asked, plan))
        back_and_forth = len({unit.partition("/")[0] for unit in asked.units}) < len(asked.units)
        wanted = evaluate(line.chain, plan)
        if not back_and_forth:
            assert found.score == pytest.approx(wanted, rel=1e-9)
        else:  # a cut may come back over the same link: the medium is then taken twice
            assert found.score.latency_s == pytest.approx(wanted.latency_s, rel=1e-9)
            assert found.score.period_s >= wanted.period_s * (1 - 1e-9)
        assert (found.excess == 0) == feasible(line.chain, plan)


@pytest.mark.parametrize("name", ["squeezenet", "inception_v1"])
def test_real_models_too(name: str) -> None:
    asked = problem(light_graph(name), three())
    line, assessor = line_of(asked), Assessor(asked)
    for plan in spread_of_plans(asked, 12):
        score = assessor.assess(line.groups(asked, plan)).score
        assert score == pytest.approx(evaluate(line.chain, plan), rel=1e-9)


def test_a_shared_medium_is_busy_for_all_its_hops(tmp_path: Path) -> None:
    wifi = Link("wifi", ("a", "b", "c"), 1e5, 1e-3, shared=True)
    asked = problem(random_chain(tmp_path, 1), fleet(device("a"), device("b"), device("c"), links=(wifi,)))
    line = line_of(asked)
    plan = ((0, 1, 0), (1, 2, 1), (2, line.chain.pieces, 2))
    crossing = line.cuts[0].bytes + line.cuts[1].bytes
    assert Assessor(asked).assess(line.groups(asked, plan)).score.period_s == pytest.approx(crossing / 1e5)
    assert evaluate(line.chain, plan).period_s == pytest.approx(max(line.cuts[0].bytes, line.cuts[1].bytes) / 1e5)


def simulated(asked: Problem, groups: tuple[Group, ...]) -> tuple[float, float, float, float]:
    program = program_of(asked.graph, (Replica(groups),), asked.window, "toy")
    made = forecast(program, asked.fleet, asked.costs, Workload(items=64, window=asked.window)).prediction
    return (
        made.alone_latency_s, made.period_s, max(made.energy_j.values()), max(made.memory_bytes.values()),
    )  # fmt: skip


def random_placement(graph: Graph, machines: Fleet, seed: int) -> tuple[Group, ...]:
    rng = np.random.default_rng(seed)
    return placed(graph, rng.choice(machines.unit_names, len(graph.ops)).tolist())


@pytest.mark.parametrize("seed", range(6))
def test_the_simulation_agrees_where_nothing_queues(tmp_path: Path, seed: int) -> None:
    """Memory exactly; times of the simulation are never shorter than the period's bound, and near the latency."""
    machines = three()
    graph = random_branches(tmp_path, seed)
    asked = problem(graph, machines, window=8)
    groups = random_placement(graph, machines, seed)
    latency, period, energy, memory = Assessor(asked).assess(groups).score
    ran = simulated(asked, groups)
    assert ran[3] == pytest.approx(memory, abs=16)
    assert ran[0] == pytest.approx(latency, rel=0.1)
    assert 0.85 * period <= ran[1] <= 1.3 * period  # 64 items do not quite show the steady period
    assert energy * 0.85 <= ran[2] <= energy * 1.3


def test_what_cannot_run_or_fit_is_in_excess(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 0)
    everything_on_a = placed(graph, ["a/cpu"] * len(graph.ops))
    pinned = Assessor(problem(graph, three(), pins={graph.ops[0].name: "b"})).assess(everything_on_a)
    assert pinned.excess == 1
    assert np.isinf(pinned.score.latency_s)
    needed = Assessor(problem(graph, three())).assess(everything_on_a).score.memory_bytes
    tight = Assessor(problem(graph, three(), memory_mib=10)).assess(everything_on_a)
    assert tight.excess == pytest.approx(needed / (10 * MIB) - 1)


def test_two_engines_on_one_unit_both_cost_their_runtime(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 2)
    names = [op.name for op in graph.ops]
    asked = problem(graph, fleet(device("a", engines=("onnxruntime", "ncnn"))))
    mixed = (Group("a/cpu", tuple(names[:3])), Group("a/cpu", tuple(names[3:]), "ncnn"))
    one = Assessor(asked).assess((Group("a/cpu", tuple(names)),)).score
    both = Assessor(asked).assess(mixed).score
    assert both.latency_s == pytest.approx(one.latency_s)
    assert both.memory_bytes >= one.memory_bytes + runtime_bytes("ncnn")
    program = program_of(graph, (Replica(mixed),), 4, "toy")
    assert all(CLIENT in (edge.source, edge.target) for edge in program.edges)


def test_a_unit_that_no_message_reaches_is_in_excess(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "y"), node("Constant", "", "c", value_float=1.0)]
    graph = load(write(model(nodes, [info("x", [1, 3])], ["y", "c"]), tmp_path))
    asked = problem(graph, three())
    assert Assessor(asked).assess(placed(graph, ["a/cpu", "a/cpu"])).excess == 0
    assert Assessor(asked).assess(placed(graph, ["a/cpu", "b/cpu"])).excess == 1
