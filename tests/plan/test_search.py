from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.cost.models.roofline import Roofline
from shoal.errors import InputError, LimitError, PlanError
from shoal.fleet import Fleet, Link
from shoal.graph import Graph
from shoal.plan import Front, ModelRef, Objective, Plan, Wishes, search
from shoal.units import parse
from tests.plan.toys import MIB, Told, device, fleet, light_graph, random_branches, random_chain, three

REF = ModelRef("toy", "toy.onnx", "")


def found(graph: Graph, machines: Fleet, costs: Any = None, **wishes: Any) -> Front:
    goals = {key: wishes.pop(key) for key in tuple(wishes) if key.endswith(("_bytes", "_s", "_j", "goals"))}
    asked = Wishes(objective=Objective(**goals), **wishes)
    return search(graph, REF, machines, costs or Roofline().over(graph, machines, ()), asked)


def refusal(kind: type[InputError | LimitError], graph: Graph, machines: Fleet, **wishes: Any) -> Any:
    with pytest.raises(kind) as caught:
        found(graph, machines, **wishes)
    return caught.value


def figures(plan: Plan) -> tuple[float, float, float, float]:
    made = plan.prediction
    return (
        made.alone_latency_s, made.period_s, max(made.energy_j.values()), float(max(made.memory_bytes.values())),
    )  # fmt: skip


@pytest.fixture(scope="module")
def squeezenet() -> Graph:
    return light_graph("squeezenet")


@pytest.fixture(scope="module")
def front(squeezenet: Graph) -> Front:
    return found(squeezenet, three())


def test_the_front_shows_the_best_in_every_goal(squeezenet: Graph, front: Front) -> None:
    assert 3 < len(front.plans) <= 15
    assert front.exact
    best = np.min([figures(plan) for plan in front.plans], axis=0)
    for column, goal in enumerate(("latency", "throughput", "energy", "memory")):
        chosen = found(squeezenet, three(), goals=(goal,)).plan
        assert figures(chosen)[column] <= best[column] * 1.021
        assert best[column] == pytest.approx(
            min(figures(plan)[column] for plan in found(squeezenet, three(), goals=(goal,)).plans)
        )


def test_no_plan_shown_beats_another(front: Front) -> None:
    values = np.array([figures(plan) for plan in front.plans])
    for row in values:
        assert not ((values <= row).all(axis=1) & (values < row).any(axis=1)).any()
    assert list(values[:, 1]) == sorted(values[:, 1])  # the first goal decides the order


def test_a_plan_covers_the_model_and_says_how_it_was_made(squeezenet: Graph, front: Front) -> None:
    for plan in front.plans:
        assert sorted(plan.owners) == sorted(squeezenet.position)
        assert set(plan.segment_units.values()) == set(plan.units)
        assert set(plan.estimates) == set(plan.segment_units)
        assert plan.reasons
        assert plan.recipe.planner == "auto"
    assert front.notes == (f"{front.notes[0].split()[0]} plans on the front (exact), {len(front.plans)} shown",)


def test_fewer_units_within_two_percent_are_preferred(squeezenet: Graph) -> None:
    """A tiny helper gains a little, which is not worth another device."""
    machines = fleet(device("big", 50), device("tiny", 0.4), links=(Link("bus", ("big", "tiny"), 1e9, 1e-6),))
    front = found(squeezenet, machines)
    quickest = min(front.plans, key=lambda plan: plan.prediction.period_s)
    assert len(quickest.units) == 2
    assert front.plan.units == ("big/cpu",)
    assert front.plan.prediction.period_s <= 1.02 * quickest.prediction.period_s
    assert any("one device is enough" in reason or "at best" in reason for reason in front.plan.reasons)


def test_several_goals_meet_at_a_knee(front: Front, squeezenet: Graph) -> None:
    both = found(squeezenet, three(), goals=("throughput", "energy")).plan
    assert both.prediction.period_s >= min(plan.prediction.period_s for plan in front.plans)
    assert max(both.prediction.energy_j.values()) < max(
        max(plan.prediction.energy_j.values()) for plan in front.plans
    )


@pytest.mark.parametrize(
    ("limit", "column"), [("latency_limit_s", 0), ("energy_limit_j", 2), ("memory_limit_bytes", 3)]
)
def test_limits_hold(squeezenet: Graph, front: Front, limit: str, column: int) -> None:
    values = sorted(figures(plan)[column] for plan in front.plans)
    allowed = (values[0] + values[len(values) // 2]) / 2
    kept = found(squeezenet, three(), **{limit: int(allowed) if column == 3 else allowed})
    assert kept.plans
    assert all(figures(plan)[column] <= allowed for plan in kept.plans)


def test_a_limit_on_memory_that_cannot_be_kept(squeezenet: Graph) -> None:
    fault = refusal(LimitError, squeezenet, three(), memory_limit_bytes=30 * MIB)
    assert fault.exit_code == 1
    assert fault.where in "abc"
    assert fault.had == "30 MiB"
    needed = parse(fault.hint.partition("memory=")[2].partition(",")[0], "byte")
    assert found(squeezenet, three(), memory_limit_bytes=int(needed)).plans  # the nearest change does fit
    tighter = int(needed) - 3 * MIB
    assert isinstance(refusal(LimitError, squeezenet, three(), memory_limit_bytes=tighter), LimitError)


def test_a_fleet_too_small_for_the_model(squeezenet: Graph) -> None:
    fault = refusal(LimitError, squeezenet, fleet(device("a", memory_mib=20), device("b", memory_mib=30)))
    assert fault.where in "ab"
    assert fault.had in ("20 MiB", "30 MiB")
    assert f"raise the memory limit of {fault.where} by " in fault.hint


@pytest.mark.parametrize(
    ("limit", "says", "unit"),
    [
        ("latency_limit_s", "no plan is quick enough", "second"),
        ("energy_limit_j", "no plan is frugal enough", "joule"),
    ],
)
def test_a_limit_that_cannot_be_kept_says_what_would_do(
    squeezenet: Graph, limit: str, says: str, unit: str
) -> None:
    fault = refusal(LimitError, squeezenet, three(), **{limit: 1e-3})
    assert fault.what == says
    assert fault.where
    assert fault.needed.startswith("at most 1 m")
    enough = parse(fault.hint.partition("limit to ")[2].partition(",")[0], unit)
    assert found(squeezenet, three(), **{limit: enough}).plans


def test_a_mapping_that_no_memory_holds(squeezenet: Graph, tmp_path: Path) -> None:
    machines = fleet(device("a"), device("b", memory_mib=55))
    path = tmp_path / "mapping.json"
    path.write_text('{"b": [' + ", ".join(f'"{op}"' for op in squeezenet.position) + "]}")
    fault = refusal(LimitError, squeezenet, machines, planner=f"mapping_file:path={path}")
    assert (fault.what, fault.where, fault.had) == ("no plan fits the memory", "b", "55 MiB")
    assert fault.hint.startswith("raise the memory limit of b by ")


def test_pins_hold_and_their_faults_are_named(squeezenet: Graph) -> None:
    first, last = squeezenet.ops[0].name, squeezenet.ops[-1].name
    pinned = found(squeezenet, three(), pins={first: "c", last: "a/cpu"})
    assert all((plan.owners[first], plan.owners[last]) == ("c/cpu", "a/cpu") for plan in pinned.plans)
    fault = refusal(PlanError, squeezenet, three(), pins={first + "x": "a"})
    assert (fault.exit_code, fault.hint) == (2, f"did you mean '{first}'?")
    assert refusal(PlanError, squeezenet, three(), pins={"zzz": "a"}).hint == "`shoal inspect` lists them"
    assert refusal(PlanError, squeezenet, three(), pins={first: "a/cpus"}).hint == "did you mean 'a/cpu'?"
    assert "may not be used" in refusal(PlanError, squeezenet, three(), pins={first: "a"}, exclude=("a",)).message


def test_pins_that_no_row_of_groups_keeps(squeezenet: Graph) -> None:
    first, middle, last = (squeezenet.ops[index].name for index in (0, 30, -1))
    pins = {first: "a", middle: "b", last: "a"}
    fault = refusal(LimitError, squeezenet, three(), pins=pins, planner="chain_dp")
    assert "consecutive" in fault.what
    assert "anneal" in fault.hint
    for planner in ("auto:evaluations=50", "evolve:population=20,generations=10,refine=0"):
        made = found(squeezenet, three(), pins=pins, planner=planner)
        assert {made.plan.owners[first], made.plan.owners[last]} == {"a/cpu"}
        assert made.plan.owners[middle] == "b/cpu"


def test_what_is_excluded_does_nothing(squeezenet: Graph) -> None:
    front = found(squeezenet, three(), exclude=("b", "c/cpu"))
    assert {plan.units for plan in front.plans} == {("a/cpu",)}
    assert front.plan.reasons == ("a/cpu is the only unit there is",)
    assert refusal(PlanError, squeezenet, three(), exclude=("bb",)).hint == "did you mean 'b'?"
    assert "no unit is left" in refusal(PlanError, squeezenet, three(), exclude=("a", "b", "c")).what


def test_shares_divide_without_a_search(squeezenet: Graph) -> None:
    front = found(squeezenet, three(), shares=(3, 1, 0), exclude=())
    assert [plan.units for plan in front.plans] == [("a/cpu", "b/cpu")]
    macs = sum(squeezenet.ops[squeezenet.position[op]].macs for op in front.plan.replicas[0].groups[0].ops)
    assert macs / squeezenet.macs == pytest.approx(0.75, abs=0.08)
    assert front.plan.recipe.planner == "shares 3,1,0"
    assert not front.exact
    assert "3: a/cpu, b/cpu, c/cpu" in refusal(PlanError, squeezenet, three(), shares=(3, 1)).message


@pytest.mark.parametrize(
    ("wishes", "near"),
    [
        ({"goals": ("latancy",)}, "did you mean 'latency'?"),
        ({"planner": "chain"}, "did you mean 'chain_dp'?"),
        ({"planner": "chain_dp:ordre=any"}, "did you mean 'order'?"),
        ({"strategy": "stag", "shares": (1, 1, 1)}, "did you mean 'stage'?"),
        ({"engines": ("onnxruntim",)}, "did you mean 'onnxruntime'?"),
    ],
)
def test_names_nobody_knows_are_answered_with_the_nearest(
    squeezenet: Graph, wishes: dict[str, Any], near: str
) -> None:
    fault = refusal(InputError, squeezenet, three(), **wishes)
    assert (fault.exit_code, fault.hint) == (2, near)


def test_no_goal_is_no_question(squeezenet: Graph) -> None:
    assert "no goal" in refusal(PlanError, squeezenet, three(), goals=()).what


def two_engines() -> Fleet:
    both = ("onnxruntime", "ncnn")
    return fleet(device("a", 10, engines=both), device("b", 25, engines=both), device("c", 5))


def test_allowed_engines_leave_out_units_without_one(squeezenet: Graph) -> None:
    front = found(squeezenet, two_engines(), engines=("ncnn",))
    assert {group.engine for plan in front.plans for group in plan.replicas[0].groups} == {"ncnn"}
    assert {unit for plan in front.plans for unit in plan.units} == {"a/cpu", "b/cpu"}
    assert "no unit is left" in refusal(PlanError, squeezenet, three(), engines=("ncnn",)).what


def told(graph: Graph, machines: Fleet, **factors: Any) -> Told:
    rows = {name: np.broadcast_to(np.asarray(row, dtype=float), len(graph.ops)) for name, row in factors.items()}
    return Told(Roofline().over(graph, machines, ()), graph, rows)


def test_engines_no_measurement_tells_apart_stay_the_preferred(squeezenet: Graph) -> None:
    front = found(squeezenet, two_engines())
    assert {group.engine for plan in front.plans for group in plan.replicas[0].groups} == {"onnxruntime"}


def test_an_engine_that_refuses_an_op_is_not_asked_to_run_it(squeezenet: Graph) -> None:
    """Quicker, but without a form for the ops of the last third: used before them, or not at all."""
    refused = np.where(np.arange(len(squeezenet.ops)) < 40, 0.3, np.inf)
    front = found(squeezenet, two_engines(), told(squeezenet, two_engines(), ncnn=refused))
    engines = [
        (group.engine, squeezenet.position[group.ops[-1]])
        for plan in front.plans
        for group in plan.replicas[0].groups
    ]
    assert any(engine == "ncnn" for engine, _ in engines)
    assert all(last < 40 for engine, last in engines if engine == "ncnn")
    assert not front.exact


def test_speed_and_memory_compete_over_engines() -> None:
    """An engine that is quicker and keeps weights larger: both ends are on the front."""
    graph = light_graph("bvlc_alexnet")
    both = fleet(device("a", 10, engines=("onnxruntime", "ncnn")))
    front = found(graph, both, told(graph, both, ncnn=0.4))
    by_engine = {plan.replicas[0].groups[0].engine: figures(plan) for plan in front.plans}
    assert by_engine["ncnn"][1] < by_engine["onnxruntime"][1]
    assert by_engine["ncnn"][3] > by_engine["onnxruntime"][3]
    assert front.plan.replicas[0].groups[0].engine == "ncnn"


def test_each_group_has_the_engine_that_is_quicker_there(squeezenet: Graph) -> None:
    """ncnn is better early in the network, onnxruntime late."""
    factors = np.where(np.arange(len(squeezenet.ops)) < 30, 0.5, 3.0)
    front = found(squeezenet, two_engines(), told(squeezenet, two_engines(), ncnn=factors))
    groups = [group for group in front.plan.replicas[0].groups if group.unit != "c/cpu"]
    assert {group.engine for group in groups} == {"onnxruntime", "ncnn"}
    assert all(squeezenet.position[group.ops[0]] < 30 for group in groups if group.engine == "ncnn")


def test_a_shared_medium_counts_once_predicted(tmp_path: Path) -> None:
    """Over one slow radio the simulation knows better than the chain; what is shown is not dominated by that."""
    wifi = Link("wifi", ("a", "b", "c"), 2e6, 1e-3, shared=True)
    graph, machines = random_branches(tmp_path, 5), replace(three(), links=(wifi,))
    front = found(graph, machines)
    assert not front.exact
    values = np.array([figures(plan) for plan in front.plans])
    for row in values:
        assert not ((values <= row).all(axis=1) & (values < row).any(axis=1)).any()
    apart = found(graph, replace(three(), links=(replace(wifi, shared=False),)))
    assert front.plan.prediction.period_s >= apart.plan.prediction.period_s * 0.999


def test_the_workload_is_the_users_or_keeps_every_unit_busy(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 3)
    plan = found(graph, three(), items=7).plan
    assert (plan.workload.items, plan.workload.window, plan.window) == (7, 5, 5)
