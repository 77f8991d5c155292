from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import LimitError, PlanError
from shoal.fleet import Fleet, Link
from shoal.graph import load
from shoal.plan import ModelRef, Objective, Wishes, search
from shoal.plan.blocks import blocks_of
from shoal.plan.choices import units_engines
from shoal.plan.placement import Assessor
from shoal.plan.planners._placing import Placing
from shoal.plan.planners._site import Site
from shoal.plan.planners.chain_dp import ChainDp
from shoal.plan.planners.exhaustive import Exhaustive
from shoal.plan.planners.ilp import Ilp
from shoal.plan.problem import Problem
from shoal.program import Item
from tests.graph.models import info, model, node, write
from tests.graph.recurrent import NETS
from tests.plan.toys import MIB, device, fleet, light_graph, problem, random_branches, random_chain, three

EXACT = Ilp(time_limit_s=60.0, points=1, gap=0.0)


def site_of(asked: Problem) -> Site:
    return Site(asked, blocks_of(asked), units_engines(asked)[0])


def scores_of_all(asked: Problem) -> np.ndarray:
    """Of every feasible placement of blocks, by the cost model."""
    site, assessor = site_of(asked), Assessor(asked)
    rows = product(range(len(site.units)), repeat=len(site.blocks.members))
    found = [assessor.assess(site.groups(row)) for row in rows]
    return np.array([each.score for each in found if each.excess == 0])


def random_case(folder: Path, seed: int) -> Problem:
    """At most 8 blocks on 2 or 3 units, of unlike or like devices, with and without a shared medium."""
    rng = np.random.default_rng(seed)
    speeds = rng.uniform(2, 40, 3) if seed % 3 else [10.0, 10.0, 25.0]
    devices = [device(name, float(speed)) for name, speed in zip("abc", speeds, strict=True)]
    devices = devices if seed % 4 else [device("a", 8, units=("cpu", "gpu")), device("b", 20)]
    wifi = Link("wifi", ("a", "b", "c"), float(rng.uniform(2e6, 2e7)), 1e-3, shared=True, j_per_byte=5e-9)
    graph = random_chain(folder, seed, 6) if seed % 2 else random_branches(folder, seed, 1)
    return problem(graph, fleet(*devices, links=(wifi,) if seed % 5 == 0 else ()))


@pytest.mark.parametrize("seed", range(8))
def test_no_placement_has_a_shorter_period(tmp_path: Path, seed: int) -> None:
    asked = random_case(tmp_path, seed)
    everything = scores_of_all(asked)
    found = EXACT.search(asked)
    assert found.scores[:, 1].min() == pytest.approx(everything[:, 1].min(), rel=1e-9)
    within = everything[everything[:, 1] <= everything[:, 1].min() * (1 + 1e-6)]
    assert found.scores[:, 2].min() <= within[:, 2].min() * (1 + 1e-6)  # energy is exact too


@pytest.mark.parametrize("seed", range(1, 7, 2))
def test_on_a_chain_it_is_at_least_as_good_as_every_consecutive_division(tmp_path: Path, seed: int) -> None:
    asked = random_case(tmp_path, seed)
    whole = blocks_of(asked).problem  # so that both may cut at the same places
    best = Exhaustive().search(whole).scores[:, 1].min()
    assert EXACT.search(whole).scores[:, 1].min() <= best * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_limits_of_memory_hold_and_cost_no_more_than_they_must(tmp_path: Path, seed: int) -> None:
    free = random_case(tmp_path, seed)
    limit_bytes = int(np.quantile(scores_of_all(free)[:, 3], 0.2))
    asked = replace(free, objective=Objective(memory_limit_bytes=limit_bytes))
    found = EXACT.search(asked)
    assert all(Assessor(asked).assess(groups).excess == 0 for groups in found.placements)
    best = scores_of_all(asked)[:, 1].min()
    assert (
        found.scores[:, 1].min() <= best * 1.05
    )  # equal, but where a piece's live bytes beyond its blocks' matter


@pytest.mark.parametrize("seed", range(8))
def test_the_programmes_memory_is_a_lower_bound(tmp_path: Path, seed: int) -> None:
    asked = random_case(tmp_path, seed)
    site, assessor, rng = site_of(asked), Assessor(asked), np.random.default_rng(seed)
    for _ in range(20):
        row = tuple(rng.integers(0, len(site.units), len(site.blocks.members)).tolist())
        told, used = site.memory_bytes(row), assessor.device_bytes(site.groups(row))
        assert told.keys() == used.keys()
        assert all(told[name] <= used[name] + 1e-6 for name in told)
        assert all(told[name] <= site.most_bytes(name) for name in told)
        assert assessor.assess(site.groups(row)).score.period_s <= site.longest_s


def test_each_goal_gets_its_best(tmp_path: Path) -> None:
    """On a chain all four are exact, given that any period will do."""
    asked = problem(random_chain(tmp_path, 3, 6), three())
    everything = scores_of_all(asked)
    found = Ilp(time_limit_s=60.0, points=2, gap=0.0).search(asked)
    np.testing.assert_allclose(found.scores.min(axis=0), everything.min(axis=0), rtol=1e-3)
    np.testing.assert_allclose(found.scores.min(axis=0)[:3], everything.min(axis=0)[:3], rtol=1e-6)


def test_no_traffic_that_is_not_needed() -> None:
    """Within a period that one unit keeps alone, all stays there."""
    asked = problem(light_graph("squeezenet"), fleet(device("a", 10), device("b", 25)))
    site = site_of(asked)
    alone_s = float(site.seconds[:, 1].sum())
    row, found = Placing(site, "traffic", (0.0, alone_s * 1.001), {}).solve(None, 60.0, 0.0)
    assert found.status == "optimal"
    assert found.objective == pytest.approx(0, abs=1e-9)
    assert set(row or ()) == {1}


def test_units_that_are_alike_may_change_places() -> None:
    four = fleet(device("a", 10), device("b", 10), device("c", 10), device("d", 9))
    asked = problem(light_graph("squeezenet"), four)
    assert site_of(asked).alike == ((0, 1, 2), (3,))
    wired = Fleet(four.devices, (Link("cable", ("a", "b"), 1e9, 1e-4),), four.default_link)
    assert site_of(problem(asked.graph, wired)).alike == ((0, 1), (2,), (3,))
    pinned = problem(asked.graph, four, pins={asked.graph.ops[0].name: "b"})
    assert site_of(pinned).alike == ((0, 2), (1,), (3,))
    twins = fleet(device("a", 10), device("b", 10, units=("cpu", "gpu")), device("c", 10, units=("cpu", "gpu")))
    assert all(len(each) == 1 for each in site_of(problem(asked.graph, twins)).alike)


@pytest.mark.parametrize("name", ["squeezenet", "inception_v1"])
def test_branchy_networks_gain_within_the_time_limit(name: str, caplog: pytest.LogCaptureFixture) -> None:
    asked = problem(light_graph(name), fleet(device("a", 10), device("b", 25), device("c", 5), device("d", 8)))
    with caplog.at_level(logging.INFO, "shoal.plan"):
        found = Ilp(time_limit_s=2.0, points=0).search(asked)
    rows = ChainDp(epsilon=0.05).search(asked)
    assert found.scores[:, 1].min() < rows.scores[:, 1].min()
    assert "least period" in caplog.text
    assert "gap" in caplog.text


def test_what_depends_on_no_input_stays_with_what_does(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "y"), node("Constant", "", "c", value_float=1.0)]
    graph = load(write(model(nodes, [info("x", [1, 3])], ["y", "c"]), tmp_path))
    for groups in EXACT.search(problem(graph, three())).placements:
        assert len({group.unit for group in groups}) == 1


def test_too_little_memory_is_an_error_of_the_search() -> None:
    graph, machines = light_graph("squeezenet"), three()
    asked = problem(graph, machines, memory_mib=20)
    assert Ilp().search(asked).placements == ()
    wishes = Wishes(Objective(memory_limit_bytes=20 * MIB), planner="ilp")
    with pytest.raises(LimitError, match="no plan fits the memory"):
        search(graph, ModelRef(graph.name, "x.onnx", ""), machines, asked.costs, wishes)


def test_pins_that_no_unit_can_keep_leave_nothing(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 1)
    assert Ilp().search(problem(graph, three(), pins={graph.ops[0].name: "nobody"})).placements == ()


@pytest.mark.parametrize("options", ["time_limit_s=0", "points=-1", "points=8", "gap=-0.1", "time_limit_s=nan"])
def test_options_that_ask_for_nothing_are_refused(options: str) -> None:
    with pytest.raises(PlanError, match="ask for nothing"):
        catalog.make("plan/planners", f"ilp:{options}")


def test_without_highspy_the_message_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['highspy'] = None\n"
        "from shoal.plan.planners.ilp import Ilp\n"
        "from shoal.errors import MissingExtra\n"
        "try: Ilp().search(None)\n"
        "except MissingExtra as fault: print(fault.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pip install 'shoal[ilp]'"


@pytest.mark.parametrize("name", ["single", "double", "window"])
@pytest.mark.parametrize("sessions", [1, 3])
def test_states_are_taken_along(name: str, sessions: int, tmp_path: Path) -> None:
    """Against all placements of blocks that leave every loop whole."""
    pattern = tuple(Item(session=session) for session in range(sessions))
    asked = problem(NETS[name].load(tmp_path), fleet(device("a", 1e-4), device("b", 2e-4)), pattern=pattern)
    site, assessor = site_of(asked), Assessor(asked)
    rows = product(range(2), repeat=len(site.blocks.members))
    whole = [row for row in rows if all(len({row[block] for block in loop}) == 1 for loop in site.loops)]
    assessed = [(row, assessor.assess(site.groups(row))) for row in whole]
    best_s = min(found.score.period_s for _, found in assessed if found.excess == 0)
    assert EXACT.search(asked).scores[:, 1].min() == pytest.approx(best_s, rel=1e-9)
    for row, _ in assessed:
        told, used = site.memory_bytes(row), assessor.device_bytes(site.groups(row))
        assert all(told[device] <= used[device] for device in used)
