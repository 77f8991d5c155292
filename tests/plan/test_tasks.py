"""Operators as tasks: nothing lost, nothing in a circle, short ones fused where that is harmless."""

from __future__ import annotations

from math import inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.errors import PlanError
from shoal.fleet import Link
from shoal.graph import load
from shoal.plan.problem import Problem
from shoal.plan.tasks import OperatorTasks, operator_tasks
from shoal.program.tasks import Dependency
from tests.graph.models import floats, info, model, node, write
from tests.plan.toys import device, fleet, light_graph, problem, random_branches, random_chain, three


def check(asked: Problem, found: OperatorTasks) -> None:
    """Every op once; times and bytes are those of the ops and tensors; TaskGraph itself refuses circles."""
    graph, tasks = asked.graph, found.tasks
    task_of = {op: task for task, ops in found.members.items() for op in ops}
    assert sorted(op for ops in found.members.values() for op in ops) == sorted(graph.position)
    assert tuple(found.members) == tasks.tasks
    for column, (unit, engine) in enumerate(found.engines.items()):
        seconds = asked.op_seconds(unit, engine)
        for row, ops in enumerate(found.members.values()):
            assert tasks.w[row, column] == pytest.approx(sum(seconds[graph.position[op]] for op in ops))
    crossing: dict[tuple[str, str], set[str]] = {}
    for index, op in enumerate(graph.ops):
        for name in op.inputs:
            maker = graph.producer.get(name)
            if maker is not None and task_of[graph.ops[maker].name] != task_of[graph.ops[index].name]:
                crossing.setdefault((task_of[graph.ops[maker].name], task_of[op.name]), set()).add(name)
    assert {(each.source, each.target): each.bytes for each in tasks.dependencies} == {
        pair: sum(graph.tensors[name].bytes for name in names) for pair, names in crossing.items()
    }


@given(seed=st.integers(0, 10_000), branchy=st.booleans(), exponent=st.floats(-6, -1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_lost(tmp_path: Path, seed: int, branchy: bool, exponent: float) -> None:
    asked = problem((random_branches if branchy else random_chain)(tmp_path, seed), three())
    check(asked, operator_tasks(asked, 10**exponent))


@pytest.mark.parametrize("name", ["inception_v2", "densenet121", "squeezenet", "shufflenet"])
def test_light_models_become_tasks_worth_scheduling(name: str) -> None:
    """What stays short has several sources and several readers, or no unit could run it with its neighbour."""
    asked = problem(light_graph(name), three())
    found = operator_tasks(asked, 1e-3)
    check(asked, found)
    tasks = found.tasks
    assert 1 < len(tasks.tasks) < len(operator_tasks(asked).tasks.tasks) < len(asked.graph.ops)
    for v in np.flatnonzero(tasks.w.min(axis=1) < 1e-3):
        assert len(tasks.parents[v]) != 1
        assert len(tasks.children[v]) != 1


def test_a_chain_of_short_tasks_becomes_one(tmp_path: Path) -> None:
    asked = problem(random_chain(tmp_path, 3, layers=6), three())
    assert len(operator_tasks(asked, 0.0).tasks.tasks) == 6
    assert len(operator_tasks(asked, 1.0).tasks.tasks) == 1


def test_what_is_pinned_apart_stays_apart(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 3, layers=6)
    pins = {graph.ops[0].name: "a", graph.ops[-1].name: "b"}
    asked = problem(graph, three(), pins=pins)
    found = operator_tasks(asked, 1.0)
    check(asked, found)
    assert len(found.tasks.tasks) == 2
    assert [np.flatnonzero(np.isfinite(row)).tolist() for row in found.tasks.w] == [[0], [1]]


def test_an_op_that_nobody_can_run_is_named(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 3)
    with pytest.raises(PlanError, match=f"no processor can run task '{graph.ops[0].name}'"):
        operator_tasks(problem(graph, three(), pins={graph.ops[0].name: "elsewhere"}))


def test_ops_without_inputs_go_to_their_reader(tmp_path: Path) -> None:
    """Nothing would tell a unit with nothing else that an item is there."""
    nodes = [
        node("RandomUniform", "", "noise", shape=[1, 3, 8, 8], seed=1.0),
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("Add", "c noise", "y"),
    ]
    made = model(nodes, [info("x", [1, 3, 8, 8])], ["y"], {"w": floats(3, 3, 3, 3)})
    found = operator_tasks(problem(load(write(made, tmp_path)), three()))
    assert [set(ops) for ops in found.members.values()] == [{"noise", "y"}, {"c"}] or "noise" in found.members[
        "noise"
    ]
    assert {task for ops in found.members.values() if "noise" in ops for task in ops} == {"noise", "y"}


def test_links_between_devices_are_priced_and_units_of_one_are_joined_for_nothing(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 3)
    slow = Link("slow", ("a", "b"), 1e6, 5e-3)
    asked = problem(graph, fleet(device("a", units=("cpu", "gpu")), device("b"), links=(slow,)))
    found = operator_tasks(asked).processors
    assert found.names == ("a/cpu", "a/gpu", "b/cpu")
    assert found.bandwidth_bytes_per_s[0][1] == inf
    costs = found.cost_s(Dependency("u", "v", 1e6))
    np.testing.assert_allclose(costs, [[0, 0, 1.005], [0, 0, 1.005], [1.005, 1.005, 0]])
