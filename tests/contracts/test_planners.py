"""What every planner promises: whole placements within the limits and the pins, scored by one definition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.graph import Graph
from shoal.plan.placement import Assessor
from shoal.plan.problem import Candidates, Problem
from tests.plan.toys import device, fleet, problem, random_branches, random_chain, three

PLANNERS = catalog.names("plan/planners")
OPTIONS = {
    "anneal": ":evaluations=400",
    "evolve": ":population=12,generations=5,refine=20",
    "ilp": ":time_limit_s=60,points=1",
}


def planner(name: str, folder: Path, graph: Graph) -> Any:
    """The planner, quick; a mapping file puts all ops but the first on the second device."""
    if name != "mapping_file":
        return catalog.make("plan/planners", name + OPTIONS.get(name, ""))
    first, *others = [op.name for op in graph.ops]
    path = folder / "mapping.json"
    path.write_text(json.dumps({"a/cpu": [first], "b": others}))
    return catalog.make("plan/planners", f"mapping_file:path={path}")


def made(name: str, folder: Path, asked: Problem) -> Candidates:
    found: Candidates = planner(name, folder, asked.graph).search(asked)
    assert found.placements
    assert found.scores.shape == (len(found.placements), 4)
    return found


@pytest.fixture(params=["chain", "branches"])
def graph(request: pytest.FixtureRequest, tmp_path: Path) -> Graph:
    return (random_chain if request.param == "chain" else random_branches)(tmp_path, 7)


@pytest.mark.parametrize("name", PLANNERS)
def test_every_op_is_placed_once_and_scored_as_defined(name: str, graph: Graph, tmp_path: Path) -> None:
    asked = problem(graph, three())
    found = made(name, tmp_path, asked)
    for groups in found.placements:
        assert sorted(op for group in groups for op in group.ops) == sorted(graph.position)
        assert {group.unit for group in groups} <= set(asked.units)
        assert all(group.engine in asked.engines_of(group.unit) for group in groups)
    np.testing.assert_allclose(found.scores, Assessor(asked).scores(found.placements), rtol=1e-9)


@pytest.mark.parametrize("name", [each for each in PLANNERS if each != "mapping_file"])
def test_limits_of_memory_hold(name: str, graph: Graph, tmp_path: Path) -> None:
    free = made(name, tmp_path, problem(graph, three()))
    limit = int(np.median(free.scores[:, 3])) // (1 << 20) + 1
    asked = problem(graph, three(), memory_mib=limit)
    found = made(name, tmp_path, asked)
    assert all(Assessor(asked).assess(groups).excess == 0 for groups in found.placements)
    nothing = planner(name, tmp_path, graph).search(problem(graph, three(), memory_mib=20))
    assert nothing.placements == ()


@pytest.mark.parametrize("name", [each for each in PLANNERS if each != "mapping_file"])
def test_pins_are_respected(name: str, graph: Graph, tmp_path: Path) -> None:
    pins = {graph.ops[0].name: "c", graph.ops[-1].name: "a/cpu"}
    for groups in made(name, tmp_path, problem(graph, three(), pins=pins)).placements:
        owner = {op: group.unit for group in groups for op in group.ops}
        assert (owner[graph.ops[0].name], owner[graph.ops[-1].name]) == ("c/cpu", "a/cpu")


@pytest.mark.parametrize("name", PLANNERS)
def test_the_same_question_has_the_same_answer(name: str, graph: Graph, tmp_path: Path) -> None:
    one, other = (made(name, tmp_path, problem(graph, three())) for _ in range(2))
    assert one.placements == other.placements
    np.testing.assert_array_equal(one.scores, other.scores)


@pytest.mark.parametrize("name", PLANNERS)
def test_one_unit_is_enough(name: str, graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "mapping.json"
    path.write_text(json.dumps({"a": list(graph.position)}))
    made_of = f":path={path}" if name == "mapping_file" else ""
    found = catalog.make("plan/planners", name + made_of).search(problem(graph, fleet(device("a"))))
    assert [[group.unit for group in groups] for groups in found.placements] == [["a/cpu"]]


@given(seed=st.integers(0, 10_000), branchy=st.booleans(), order=st.sampled_from(["any", "given"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chain_dp_finds_what_trying_everything_finds(tmp_path: Path, seed: int, branchy: bool, order: str) -> None:
    rng = np.random.default_rng(seed)
    machines = fleet(
        *(device(name, float(rng.uniform(2, 40)), memory_mib=int(rng.integers(70, 200))) for name in "abc")
    )
    graph = (random_branches if branchy else random_chain)(tmp_path, seed)
    asked = problem(graph, machines, window=int(rng.integers(1, 9)))
    exact, oracle = (
        catalog.make("plan/planners", f"{name}:order={order}").search(asked) for name in ("chain_dp", "exhaustive")
    )
    assert exact.exact
    assert oracle.exact
    np.testing.assert_allclose(np.unique(exact.scores, axis=0), np.unique(oracle.scores, axis=0), rtol=1e-9)
