"""What carried tensors cost a placement: by hand, by brute force, and as the simulation finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal.cost import CostKey
from shoal.fleet import Fleet, Link
from shoal.graph import Graph
from shoal.plan.chain import evaluate
from shoal.plan.chains import line_of
from shoal.plan.enumerate import all_plans
from shoal.plan.lower import program_of
from shoal.plan.placement import Assessor
from shoal.plan.predict import forecast
from shoal.plan.problem import Problem
from shoal.plan.rounds import cycle_mean
from shoal.plan.search import search
from shoal.plan.values import Group, ModelRef, Replica
from shoal.plan.wishes import Wishes
from shoal.program import Item, Workload
from shoal.record import Estimate, Prediction
from tests.graph.recurrent import NETS, WIDTH
from tests.plan.toys import device, fleet, placed, problem, three

TWO = (Item(session=0), Item(session=1))
UNEVEN = (Item(session=0), Item(session=0), Item(session=1))
BYTES = 4 * WIDTH
SLOW = Link("slow", (), BYTES / 0.010, 0.005)  # a row takes 10 ms, then 5 ms more


@dataclass(frozen=True, eq=False)
class Fixed:
    """Every op takes the seconds it is said to, on every unit."""

    graph: Graph
    seconds: Mapping[str, float]

    def estimate(self, key: CostKey) -> Estimate:
        return Estimate(sum(self.seconds.get(op, 0.0) for op in key.ops), 0.0, 61 << 20, 62 << 20, "predicted")

    def op_seconds(self, unit: str, engine: str) -> NDArray[np.float64]:
        return np.array([self.seconds.get(op.name, 0.0) for op in self.graph.ops])


def asked(
    name: str, folder: Path, seconds: Mapping[str, float], pattern: tuple[Item, ...] = (Item(),), **more: str
) -> Problem:
    graph = NETS[name].load(folder, **more)
    machines = Fleet((device("a"), device("b")), (), SLOW)
    return problem(graph, machines, window=8, costs=Fixed(graph, seconds), pattern=pattern)


def simulated(made: Problem, groups: tuple[Group, ...]) -> Prediction:
    program = program_of(made.graph, (Replica(groups),), made.window, "toy")
    workload = Workload(64, window=made.window, pattern=made.pattern)
    return forecast(program, made.fleet, made.costs, workload).prediction


LOOP = {"hu": 0.010, "h2": 0.020}  # of `single`; the rest takes no time


@pytest.mark.parametrize(
    ("letters", "pattern", "scope", "period_s"),
    [
        # hu on a, row to b, h2 on b, row back to a: 10 + 15 + 20 + 15 ms
        ("aaaabbb", (Item(),), "session", 0.060),
        ("aaaabbb", (Item(),), "stream", 0.060),
        ("aaaabbb", TWO, "session", 0.030),  # the other session computes meanwhile
        ("aaaabbb", TWO, "stream", 0.060),
        ("aaaabbb", UNEVEN, "session", 0.040),  # two items of three wait for one another
        ("aabbbbb", (Item(),), "session", 0.030),  # the loop is inside b: only its 30 ms count
        ("aabbbaa", TWO, "session", 0.030),
        ("aaaaaaa", (Item(),), "session", 0.030),
    ],
)
def test_the_period_of_a_loop_by_hand(
    letters: str, pattern: tuple[Item, ...], scope: str, period_s: float, tmp_path: Path
) -> None:
    made = asked("single", tmp_path, LOOP, pattern, scope=scope)
    groups = placed(made.graph, [f"{letter}/cpu" for letter in letters])
    assert Assessor(made).assess(groups).score.period_s == pytest.approx(period_s)
    assert simulated(made, groups).period_s == pytest.approx(period_s, rel=0.02)


def test_a_loop_that_takes_two_items_may_take_twice_as_long(tmp_path: Path) -> None:
    """coupled: h' = f(g) on a, g' = f(h) on b. Two items pass while a state goes round: (10 + 15 + 30 + 15) / 2."""
    made = asked("coupled", tmp_path, {"gt": 0.010, "hu": 0.030})
    groups = placed(made.graph, ["a/cpu", "a/cpu", "a/cpu", "b/cpu", "b/cpu", "b/cpu"])
    over, waits_s = Assessor(made).rounds(groups)
    assert [(each.source, each.target) for each in over] == [("a/cpu", "b/cpu"), ("b/cpu", "a/cpu")]
    assert waits_s == pytest.approx(0.035)
    assert simulated(made, groups).period_s >= 0.035 * (1 - 1e-9)


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("seed", range(4))
def test_memory_is_the_program_s_and_the_period_never_above_the_simulated(
    name: str, seed: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    graph = NETS[name].load(tmp_path)
    pattern = ((Item(),), TWO, UNEVEN)[seed % 3]
    made = problem(graph, three(), window=6, pattern=pattern)
    assessor = Assessor(made)
    for _ in range(8):
        groups = placed(graph, rng.choice(made.units, len(graph.ops)).tolist())
        verdict = assessor.assess(groups)
        if verdict.excess:
            continue  # nobody tells a unit of an item
        found = simulated(made, groups)
        assert max(found.memory_bytes.values()) == pytest.approx(verdict.score.memory_bytes, abs=16)
        assert found.period_s >= verdict.score.period_s * 0.9  # 64 items do not quite show the steady period
        assert found.alone_latency_s == pytest.approx(verdict.score.latency_s, rel=0.15)


def test_what_a_program_refuses_is_in_excess(tmp_path: Path) -> None:
    made = asked("single", tmp_path, {})
    for letters in ("aabaaaa", "aababbb"):
        assert Assessor(made).assess(placed(made.graph, [f"{each}/cpu" for each in letters])).excess > 0


@pytest.mark.parametrize("name", ["single", "double", "window"])
def test_a_chain_scores_as_the_assessor_does_and_never_parts_a_loop(name: str, tmp_path: Path) -> None:
    graph = NETS[name].load(tmp_path)
    made = problem(graph, three(), pattern=TWO)
    line, assessor = line_of(made), Assessor(made)
    plans = list(all_plans(line.chain))
    assert any(len(plan) > 1 for plan in plans)
    for plan in plans:
        groups = line.groups(made, plan)
        *times, memory_bytes = assessor.assess(groups).score
        *wanted, at_most_bytes = evaluate(line.chain, plan)
        assert times == pytest.approx(wanted, rel=1e-9)
        assert memory_bytes <= at_most_bytes <= memory_bytes + BYTES  # one that is carried and crosses counts twice
        assert assessor.rounds(groups) == ([], 0.0)


@pytest.mark.parametrize(
    "planner", ["chain_dp", "exhaustive", "evolve:generations=4,population=10", "ilp", "anneal"]
)
def test_planners_take_states_along(planner: str, tmp_path: Path) -> None:
    graph = NETS["double"].load(tmp_path)
    machines = fleet(device("a"), device("b"))
    model = ModelRef(graph.name, graph.source, graph.sha256, carried=graph.carried)
    made = problem(graph, machines)
    front = search(graph, model, machines, made.costs, Wishes(planner=planner, pins={"xa": "a", "y": "b"}))
    for plan in front.plans:
        assert plan.prediction.period_s > 0
        assert any("the state 'h'" in reason for reason in plan.reasons)
        assert any("the state 'g'" in reason for reason in plan.reasons)


def test_a_state_that_goes_back_is_explained(tmp_path: Path) -> None:
    graph = NETS["single"].load(tmp_path)
    machines = Fleet((device("a"), device("b")), (), SLOW)
    model = ModelRef(graph.name, graph.source, graph.sha256, carried=graph.carried)
    wishes = Wishes(planner="evolve:generations=2", pins={"hu": "a", "h2": "b"})
    front = search(graph, model, machines, Fixed(graph, LOOP), wishes)
    assert "the state 'h' goes back from b/cpu to a/cpu, 24 B an item" in front.plan.reasons
    assert any(
        "an item waits for the state of the one before: 60 ms at least" in each for each in front.plan.reasons
    )


@given(st.integers(1, 4), st.data())
def test_the_cycle_mean_is_that_of_the_best_circle(count: int, data: st.DataObject) -> None:
    weight = st.one_of(st.just(-np.inf), st.integers(-9, 9))
    times = np.array([[data.draw(weight) for _ in range(count)] for _ in range(count)], dtype=np.float64)
    means = [
        sum(times[a, b] for a, b in zip(circle, (*circle[1:], circle[0]), strict=True)) / len(circle)
        for length in range(1, count + 1)
        for circle in permutations(range(count), length)
    ]
    assert cycle_mean(times) == pytest.approx(max(means))
