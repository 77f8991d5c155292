from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shoal.plan import Objective
from shoal.plan.placement import Assessor
from shoal.plan.planners.anneal import Anneal
from shoal.plan.planners.chain_dp import ChainDp
from shoal.plan.planners.exhaustive import Exhaustive
from shoal.plan.problem import Candidates, Problem
from shoal.search import hypervolume, representatives
from tests.plan.toys import device, fleet, light_graph, problem, random_branches, random_chain, three


def random_case(folder: Path, seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    machines = fleet(*(device(name, float(rng.uniform(2, 40))) for name in "abc"))
    return problem((random_chain if seed % 2 else random_branches)(folder, seed), machines)


def test_the_period_is_near_the_best_consecutive_one(tmp_path: Path) -> None:
    near = []
    for seed in range(30):
        asked = random_case(tmp_path, seed)
        best = Exhaustive().search(asked).scores[:, 1].min()
        near.append(Anneal(evaluations=400, restarts=2).search(asked).scores[:, 1].min() <= 1.05 * best)
    assert np.mean(near) >= 0.9


def volume(found: Candidates, corner: np.ndarray) -> float:
    return hypervolume(found.scores[representatives(found.scores, 100)], corner)


def test_the_front_covers_most_of_what_the_exact_one_does() -> None:
    asked = problem(light_graph("squeezenet"), fleet(device("a", 10), device("b", 25), device("c", 5)))
    exact, found = ChainDp(epsilon=0.02).search(asked), Anneal().search(asked)
    corner = 1.01 * np.maximum(exact.scores.max(axis=0), found.scores.max(axis=0))
    assert volume(found, corner) >= 0.9 * volume(exact, corner)


@pytest.mark.parametrize(("goal", "column"), [("latency", 0), ("throughput", 1), ("energy", 2), ("memory", 3)])
def test_the_goal_that_is_asked_for_is_served(goal: str, column: int) -> None:
    asked = problem(light_graph("inception_v1"), three())
    found = Anneal(evaluations=400, restarts=1)
    for_it, for_another = (
        found.search(replace(asked, objective=Objective((each,)))).scores[:, column].min()
        for each in (goal, "latency" if goal != "latency" else "memory")
    )
    assert for_it <= for_another


def test_the_seed_decides(tmp_path: Path) -> None:
    asked = problem(light_graph("squeezenet"), three())
    one, same, other = (Anneal(evaluations=300, seed=seed).search(asked) for seed in (1, 1, 2))
    assert one.placements == same.placements
    assert one.placements != other.placements


def test_limits_and_pins_are_kept_on_the_way(tmp_path: Path) -> None:
    graph = random_branches(tmp_path, 5)
    pins = {op.name: "bca"[place % 3] for place, op in enumerate(graph.ops) if op.kind == "Conv"}
    free = problem(graph, three(), pins=pins)
    found = Anneal(evaluations=300).search(free)
    owners = [{op: group.unit for group in groups for op in group.ops} for groups in found.placements]
    assert owners
    assert all(owner[op] == f"{name}/cpu" for owner in owners for op, name in pins.items())
    limit_bytes = int(np.median(found.scores[:, 3]))
    asked = replace(free, objective=Objective(memory_limit_bytes=limit_bytes))
    tight = Anneal(evaluations=300).search(asked)
    assert len(tight.placements)
    assert all(Assessor(asked).assess(groups).excess == 0 for groups in tight.placements)


def test_what_no_unit_can_run_leaves_nothing(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 1)
    assert Anneal().search(problem(graph, three(), pins={graph.ops[0].name: "nobody"})).placements == ()
