from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.errors import PlanError
from shoal.fleet import Fleet, Link
from shoal.fleet import load as load_fleet
from shoal.graph import Graph, cuts, divide, extract, load, save, seeded
from shoal.graph.flow import transfer_bytes
from shoal.plan import Objective
from shoal.plan.lower import program_of
from shoal.plan.objectives.carbon import Carbon
from shoal.plan.problem import Problem
from shoal.plan.search import SAME
from shoal.plan.strategies._layout_cost import LayoutCost
from shoal.plan.strategies._layout_dp import Scale, best, total
from shoal.plan.strategies._layouts import Way, row_of
from shoal.plan.strategies.mixed import Mixed, all_of, pure_ways, scale_of
from shoal.plan.values import GOALS
from shoal.program import CLIENT
from tests.graph.models import light
from tests.plan.test_search import found
from tests.plan.toys import device, fleet, light_graph, problem, random_branches, random_chain

FAST = Link("fast", (), 1.25e9, 5e-5)
SLOW = Link("slow", (), 1.25e6, 2e-3)
HERE = Way("", ())


def asked(
    graph: Graph, speeds: Sequence[float], link: Link = FAST, goal: str = "latency", **more: object
) -> Problem:
    machines = Fleet(tuple(device(name, speed) for name, speed in zip("abcd", speeds, strict=False)), (), link)
    return replace(problem(graph, machines), objective=Objective((goal,)), **more)


class Priced:
    """Everything that `Mixed` weighs for one problem."""

    def __init__(self, given: Problem, shares: Sequence[float], mixed: Mixed, slack: float = 0.0) -> None:
        self.row = row_of(given.graph)
        self.cost = LayoutCost(given, given.units, self.row, mixed.exchange_s, mixed.boundary_s)
        self.scale: Scale = scale_of(given, given.units, given.objective.goals, slack)
        self.ways = self.row.ways(shares, mixed.fusion)

    def value(self, ways: Sequence[Way]) -> float:
        """The first goal of ways for all blocks, priced one after another."""
        splits = all_of(self.row.graph, [split for way in ways for split in way.splits])
        return float(self.scale.first(total(self.cost, self.cost.effects(splits), HERE, self.scale))[0])

    def smallest(self) -> float:
        """By brute force: every way for every block."""
        label = self.scale.zero(len(self.cost.media))

        def walk(index: int, entry: tuple, label) -> float:  # type: ignore[no-untyped-def,type-arg]  # recursion
            if index == len(self.ways):
                return float(self.scale.first(label)[0])
            found = []
            for way in self.ways[index]:
                effect = self.cost.effect(index, entry, way.splits)
                found.append(walk(index + 1, effect.exit, label.after(way, effect)))
            return min(found)

        return walk(0, (), label)


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("seed", range(3))
def test_the_dp_is_as_good_as_brute_force(tmp_path: Path, goal: str, seed: int) -> None:
    graph = random_chain(tmp_path, seed, layers=3)
    for speeds, link in (((10, 10), FAST), ((2, 6), SLOW)):
        made = Priced(asked(graph, speeds, link, goal), speeds, Mixed(exchange_s=1e-5, boundary_s=5e-6, fusion=2))
        made.ways = tuple(choices[:7] for choices in made.ways)
        found = best(made.cost, made.ways, made.scale, 10**6)
        assert float(made.scale.first(found).min()) == pytest.approx(made.smallest(), rel=1e-12)


def test_eight_layers_with_three_units_and_brute_force(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 11, layers=5)
    for goal in ("latency", "throughput"):
        made = Priced(asked(graph, (3, 2, 6), goal=goal), (1, 1, 2), Mixed(exchange_s=1e-5, boundary_s=5e-6))
        assert len(made.row.blocks) <= 8
        made.ways = tuple((*choices[:2], choices[-2]) for choices in made.ways)
        found = best(made.cost, made.ways, made.scale, 10**6)
        assert float(made.scale.first(found).min()) == pytest.approx(made.smallest(), rel=1e-12)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 50),
    branches=st.booleans(),
    goal=st.sampled_from(GOALS),
    speeds=st.sampled_from([(10, 10), (2, 9), (5, 5, 5)]),
    link=st.sampled_from([FAST, SLOW]),
    exchange_s=st.sampled_from([0.0, 1e-5, 2e-4]),
)
def test_never_worse_than_a_pure_strategy(
    tmp_path: Path, seed: int, branches: bool, goal: str, speeds: tuple[float, ...], link: Link, exchange_s: float
) -> None:
    graph = random_branches(tmp_path, seed) if branches else random_chain(tmp_path, seed, layers=6)
    given = asked(graph, speeds, link, goal)
    mixed = Mixed(exchange_s=exchange_s, boundary_s=exchange_s / 4)
    made = Priced(given, speeds, mixed)
    found = made.value(mixed.search(given, speeds))
    pure = pure_ways(given, speeds)
    assert len(pure) >= 5
    for way in pure:
        assert found <= made.value([way]) * (1 + 1e-12), way.name
    for part in range(len(speeds)):
        assert found <= made.value([choices[part] for choices in made.ways]) * (1 + mixed.slack)


@pytest.mark.parametrize("name", ["squeezenet", "bvlc_alexnet"])
@pytest.mark.parametrize("goal", ["latency", "throughput", "energy"])
def test_never_worse_than_a_pure_strategy_on_light_models(name: str, goal: str) -> None:
    given = asked(light_graph(name), (20, 20), goal=goal)
    made = Priced(given, (1, 1), Mixed())
    found = made.value(Mixed().search(given, (1, 1)))
    assert found <= min(made.value([way]) for way in pure_ways(given, (1, 1)))
    if goal == "latency":
        assert found < 0.7 * made.value([choices[0] for choices in made.ways])


def test_a_wide_slow_network_stays_whole_and_a_fast_one_is_divided(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 2, layers=6)
    slow = Mixed().search(asked(graph, (20, 20), SLOW), (1, 1))
    assert {way.name for way in slow} == {"whole on part 0"}
    fast = Mixed(exchange_s=0, boundary_s=0).search(asked(graph, (0.1, 0.1)), (1, 1))
    assert not all(way.name.startswith("whole") for way in fast)


@pytest.mark.parametrize(
    ("name", "shares"),
    [("squeezenet", (1, 2, 1)), ("bvlc_alexnet", (1, 1)), ("resnet50", (1, 1)), ("shufflenet", (1, 1))],
)
def test_bytes_are_the_formula_s(name: str, shares: tuple[float, ...]) -> None:
    given = asked(light_graph(name), (20,) * len(shares))
    division = Mixed().divide(given, shares)
    made = divide(given.graph, division.splits).graph
    program = program_of(made, division.replicas, 4, name)
    moved = sum(edge.spec.bytes({}) for edge in program.edges if CLIENT not in (edge.source, edge.target))
    assert moved == Mixed().transfer_bytes(given, shares) == transfer_bytes(given.graph, division.splits)
    cost = Priced(given, shares, Mixed()).cost
    assert moved == sum(effect.sent_bytes for effect in cost.effects(division.splits))


@pytest.mark.parametrize("seed", range(6))
def test_pieces_of_every_way_give_the_answer(tmp_path: Path, seed: int) -> None:
    graph = random_branches(tmp_path, seed, blocks=2) if seed % 2 else random_chain(tmp_path, seed, layers=4)
    rng = np.random.default_rng(seed)
    for shares in ((1, 1), (1, 3, 2)):
        ways = row_of(graph).ways(shares, 3)
        for _ in range(4):
            splits = [split for choices in ways for split in choices[rng.integers(len(choices))].splits]
            _alike(tmp_path, graph, splits, 1e-5)
            cost = Priced(asked(graph, (1,) * len(shares)), shares, Mixed()).cost
            assert sum(each.sent_bytes for each in cost.effects(splits)) == transfer_bytes(graph, splits)


@pytest.mark.parametrize("name", ["squeezenet", "resnet50", pytest.param("vgg19", marks=pytest.mark.slow)])
def test_the_divided_network_gives_the_same_answer(tmp_path: Path, name: str) -> None:
    graph = seeded(load(light(name)), seed=1)
    division = Mixed().divide(asked(graph, (20, 10)), (2, 1))
    assert division.splits
    _alike(tmp_path, graph, division.splits, 1e-4)


def _alike(folder: Path, graph: Graph, splits: Sequence, tolerance: float) -> None:  # type: ignore[type-arg]
    """Divided and undivided give the same, relative to the largest magnitude."""
    rng = np.random.default_rng(0)
    feed = {name: rng.standard_normal(graph.tensors[name].shape, dtype=np.float32) for name in graph.inputs}
    answers = []
    for label, each in (("whole", graph), ("divided", divide(graph, tuple(splits)).graph)):
        path = folder / label / "model.onnx"
        path.parent.mkdir(exist_ok=True)
        save(extract(each, [op.name for op in each.ops]), path)
        answers.append(
            ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(list(graph.outputs), feed)
        )
    for whole, divided in zip(*answers, strict=True):
        assert np.abs(whole - divided).max() <= tolerance * np.abs(whole).max()


def test_blocks_lie_between_single_tensors() -> None:
    graph = light_graph("resnet50")
    blocks = row_of(graph).blocks
    assert [op.name for block in blocks for op in block.ops] == [op.name for op in graph.ops]
    assert [block.exit for block in blocks[:-1]] == [cut.tensors[0] for cut in cuts(graph)]
    assert all(one.exit == other.entry for one, other in pairwise(blocks))


def test_memory_limits_are_kept_where_they_can_be() -> None:
    graph = light_graph("bvlc_alexnet")

    def figures(goal: str, limit: int | None = None) -> tuple[float, float]:
        given = replace(asked(graph, (40, 4)), objective=Objective((goal,), memory_limit_bytes=limit))
        made = Priced(given, (1, 1), Mixed())
        label = total(made.cost, made.cost.effects(_chosen(given)), HERE, made.scale)
        period_s, used = made.scale.objectives(label)[0, [GOALS.index("throughput"), GOALS.index("memory")]]
        return float(period_s), float(used)

    (quick_s, much), (slow_s, little) = figures("throughput"), figures("memory")
    assert little < much
    limit = round((little + much) / 2)
    limited_s, used = figures("throughput", limit)
    assert used <= limit
    assert quick_s < limited_s < slow_s
    assert figures("throughput", round(little / 2))[1] <= little * 1.01  # none fits: the nearest


def _chosen(given: Problem):  # type: ignore[no-untyped-def]
    return all_of(given.graph, [split for way in Mixed().search(given, (1, 1)) for split in way.splits])


def test_one_unit_runs_everything_whole(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 1)
    division = Mixed().divide(asked(graph, (5, 5)), (0, 1))
    (group,) = division.replicas[0].groups
    assert group.unit == "b/cpu"
    assert len(group.ops) == len(graph.ops)
    assert Mixed().transfer_bytes(asked(graph, (5, 5)), (0, 1)) == 0


@pytest.mark.parametrize("shares", [(1,), (1, -1), (0, 0)])
def test_shares_that_do_not_fit_are_refused(tmp_path: Path, shares: tuple[float, ...]) -> None:
    with pytest.raises(PlanError, match="one figure of at least zero"):
        Mixed().divide(asked(random_chain(tmp_path, 1), (5, 5)), shares)


def test_an_op_that_nobody_can_run_is_named(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 1)
    machines = fleet(device("a", engines=("ncnn",)), device("b", engines=("ncnn",)))
    given = problem(graph, machines)

    class Nobody:
        def op_seconds(self, unit: str, engine: str) -> np.ndarray:
            return np.full(len(self.graph.ops), np.inf)

        def of(self, graph: Graph) -> Nobody:
            made = Nobody()
            made.graph = graph
            return made

        graph: Graph

    with pytest.raises(PlanError, match=r"op 'c0' \(Conv\) can run on none of the units"):
        Mixed().divide(replace(given, costs=Nobody()), (1, 1))  # type: ignore[arg-type]


def test_goals_that_it_does_not_know(tmp_path: Path) -> None:
    """A period is what a foreign goal is likeliest to follow; a known goal that comes after it is served instead."""
    graph = random_chain(tmp_path, 5, layers=5)
    shares, mixed = (2.0, 9.0), Mixed(exchange_s=1e-5, boundary_s=5e-6)
    of = {
        goal: mixed.search(asked(graph, shares, goal=goal), shares) for goal in ("carbon", "throughput", "latency")
    }
    assert of["carbon"] == of["throughput"] != of["latency"]
    both = replace(asked(graph, shares), objective=Objective(("carbon", "latency")))
    assert mixed.search(both, shares) == of["latency"]


def test_a_foreign_goal_chooses_among_what_it_finds(tmp_path: Path) -> None:
    boards = load_fleet(Path(__file__).parents[3] / "examples" / "fleets" / "second_hand.toml")
    front = found(random_chain(tmp_path, 1, layers=2), boards, strategy="mixed", goals=("carbon:alpha=0.9",))
    values = [Carbon(0.9).predicted(plan.prediction) for plan in front.plans]
    assert len(values) > 1
    assert values[front.chosen] <= min(values) * (1 + SAME)
    assert {plan.recipe.strategy.partition(":")[0] for plan in front.plans} == {"mixed"}
