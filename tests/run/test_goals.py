"""What a plan was to make best, beside what a real run of it and a simulated one gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.fleet import load
from shoal.plan import Plan
from shoal.plan.objectives.memory import Memory
from shoal.record import Run
from shoal.report import summary
from shoal.report.figures import goals
from shoal.run import Settings, execute
from shoal.run.goals import with_goals
from shoal.run.simulated import simulated
from tests.plan.test_search import found
from tests.plan.toys import random_chain

SECOND_HAND = Path(__file__).parents[2] / "examples" / "fleets" / "second_hand.toml"
GOALS = ("carbon", "latency", "throughput", "energy", "memory")
ITEMS = 12


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Two boards whose fleet tells of carbon, for all five goals."""
    graph = random_chain(tmp_path_factory.mktemp("chain"), 3)
    made = found(graph, load(SECOND_HAND), goals=GOALS, shares=(0.0, 0.0, 2.0, 1.0)).plan
    return replace(made, model=replace(made.model, name=graph.name, path=graph.source, sha256=graph.sha256))


def test_a_real_run_by_hand(plan: Plan) -> None:
    run = execute(plan, Settings(items=ITEMS, over="memory")).run
    told = {goal.name: goal for goal in run.goals}
    prediction = plan.prediction
    assert tuple(told) == GOALS
    assert told["latency"].predicted == prediction.alone_latency_s
    assert told["latency"].obtained == run.alone_latency_s
    assert (told["throughput"].predicted, told["throughput"].obtained) == (prediction.period_s, run.period_s)
    assert told["energy"].obtained == max(each.energy_j for each in run.devices.values()) / ITEMS
    rates, wanted = prediction.carbon, 0.0
    assert rates is not None
    for name, each in run.devices.items():
        wanted += rates.embodied_kg_per_s[name] * run.period_s
        wanted += rates.operational_kg_per_j[name] * each.energy_j / ITEMS
    assert told["carbon"].obtained == pytest.approx(wanted, rel=1e-12)
    assert told["carbon"].unit == "kg/item"
    assert (told["carbon"].provenance, told["throughput"].provenance) == ("modelled", "measured")


def test_the_simulator_gives_what_was_predicted(plan: Plan) -> None:
    run = simulated(plan, 400)
    told = {goal.name: goal for goal in run.goals}
    for name in ("latency", "throughput"):
        assert told[name].obtained == pytest.approx(told[name].predicted, rel=1e-9)
    for name in ("energy", "carbon"):  # of a run, idle power while the pipe fills and drains is counted too
        assert told[name].obtained == pytest.approx(told[name].predicted, rel=0.02)
        assert told[name].obtained != told[name].predicted
    assert told["memory"].obtained is None  # nobody held anything
    assert {goal.provenance for goal in run.goals} == {"simulated", None}


def test_words_and_keys_say_the_same(plan: Plan) -> None:
    run = simulated(plan, ITEMS)
    words, keys = goals(run), {each["goal"]: each for each in summary(run)["goals"]}
    assert list(words) == list(keys) == list(GOALS)
    assert words["memory"].endswith("this run cannot tell what came of it")
    assert "obtained" in words["carbon"]
    assert words["carbon"].count("g/item") == 2
    assert keys["memory"]["error"] is None
    assert keys["latency"]["error"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        lambda run: replace(run, latencies_s=run.latencies_s[:-1]),  # it ended early
        lambda run: replace(run, devices={}, alone_latency_s=None, period_s=0.0),
    ],
)
def test_a_run_that_cannot_tell(plan: Plan, change: Callable[[Run], Run]) -> None:
    run = with_goals(change(simulated(plan, ITEMS)), plan)
    assert {goal.obtained for goal in run.goals} == {None}
    assert with_goals(replace(run, prediction=None, goals=()), plan).goals == ()


def test_memory_of_which_a_part_is_unknown(plan: Plan) -> None:
    run = simulated(plan, ITEMS)
    first, *others = [replace(each, peak_bytes=7) for each in run.devices.values()]
    held = dict(zip(run.devices, (first, *others), strict=True))
    assert Memory().obtained(replace(run, devices=held)) == 7.0
    unknown = dict(zip(run.devices, (replace(first, peak_bytes=None), *others), strict=True))
    assert Memory().obtained(replace(run, devices=unknown)) is None
