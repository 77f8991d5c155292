"""A search that divides single ops: on how many units, with which shares, by which strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import codec
from shoal.cost.models.roofline import Roofline
from shoal.errors import InputError, LimitError, PlanError
from shoal.fleet import Fleet, Link
from shoal.graph import Graph, divide
from shoal.plan import Front, ModelRef, Objective, Plan, Wishes, search
from shoal.plan.lower import lower
from shoal.plan.strategies.tile import DEPTHS
from tests.plan.strategies.chains import vgg
from tests.plan.toys import MIB, device, random_branches

REF = ModelRef("toy", "toy.onnx", "")
BUS = Link("bus", (), 1e10, 1e-6)


@pytest.fixture
def chain(tmp_path: Path) -> Graph:
    return vgg(tmp_path)


def slow(*gflops: float, memory_mib: int = 4096) -> Fleet:
    """Slow devices on a quick bus, so that dividing an item pays."""
    devices = tuple(device("abcd"[i], each, memory_mib=memory_mib) for i, each in enumerate(gflops))
    return Fleet(devices, (), BUS)


def found(graph: Graph, machines: Fleet, strategy: str, **wishes: Any) -> Front:
    asked = Wishes(Objective(("latency",), wishes.pop("memory", None)), strategy=strategy, **wishes)
    return search(graph, REF, machines, Roofline().over(graph, machines, ()), asked)


def refusal(kind: type[Exception], graph: Graph, machines: Fleet, strategy: str, **wishes: Any) -> Any:
    with pytest.raises(kind) as caught:
        found(graph, machines, strategy, **wishes)
    return caught.value


def busy(plan: Plan) -> list[float]:
    return [busy for busy in plan.prediction.busy_s.values() if busy > 0]


def test_more_units_are_tried_and_shares_balanced(chain: Graph) -> None:
    """On a bus that costs nothing three devices are quicker than one, each as busy as its channels allow."""
    front = found(chain, slow(0.02, 0.01, 0.005), "channel_out")
    best = front.plan
    assert best.units == ("a/cpu", "b/cpu", "c/cpu")
    assert best.recipe.strategy == "channel_out"
    assert best.recipe.planner.startswith("balanced 0.")
    assert max(busy(best)) < 1.25 * min(busy(best))
    alone = next(plan for plan in front.plans if len(plan.units) == 1)
    assert alone.units == ("a/cpu",)
    assert best.prediction.alone_latency_s < 0.75 * alone.prediction.alone_latency_s
    assert not front.exact


@pytest.mark.parametrize("strategy", ["tile", "channel_out", "channel_in", "channel_pair"])
def test_plans_of_divided_ops_are_whole_and_can_be_lowered(chain: Graph, strategy: str) -> None:
    for plan in found(chain, slow(0.02, 0.01), strategy).plans:
        divided = divide(chain, plan.splits).graph
        assert set(plan.owners) == set(divided.position)
        assert set(plan.estimates) == {segment.name for segment in lower(divided, plan).segments}
        assert codec.decode(Plan, codec.encode(plan), "here") == plan
        assert plan.reasons


def test_depths_are_tried_and_named(chain: Graph) -> None:
    """On a bus that costs nothing exchanging edges beats computing them twice."""
    front = found(chain, slow(0.002, 0.002, 0.002), "tile")
    named = {plan.recipe.strategy for plan in front.plans}
    assert named <= {f"tile:depth={depth}" for depth in DEPTHS}
    assert front.plan.recipe.strategy == "tile:depth=1"
    assert divide(chain, front.plan.splits).graph.macs == chain.macs
    fused = found(chain, slow(0.002, 0.002, 0.002), "tile:depth=0", shares=(1, 1, 1)).plan
    assert fused.prediction.alone_latency_s > front.plan.prediction.alone_latency_s
    assert any("of the work is done twice" in reason for reason in fused.reasons)


def test_given_shares_are_taken_as_they_are(chain: Graph) -> None:
    (plan,) = found(chain, slow(1, 1, 1), "tile", shares=(3, 0, 1)).plans
    assert plan.units == ("a/cpu", "c/cpu")
    assert plan.recipe.planner == "shares 3,0,1"
    assert plan.recipe.strategy == "tile"
    rows = [part.box[2] for part in next(split for split in plan.splits if split.op == "p3").parts]
    assert rows == [(0, 3), (3, 4)]


def test_reasons_say_who_works_what_is_sent_and_what_one_unit_would_do(chain: Graph) -> None:
    plan = found(chain, slow(0.02, 0.01), "channel_out", shares=(2, 1)).plan
    shared, alone = plan.reasons
    assert shared.startswith("channel_out: an item occupies a/cpu for ")
    assert "b/cpu for " in shared
    assert " are sent for it" in shared
    assert alone.startswith("a/cpu alone: period ")
    assert plan.label == "a/cpu + b/cpu by channel_out"


def test_one_unit_alone_is_no_division(chain: Graph) -> None:
    (plan,) = found(chain, slow(1.0), "channel_in").plans
    assert (plan.splits, plan.label) == ((), "a/cpu")
    assert plan.reasons == ("a/cpu alone, undivided",)


def test_pins_are_refused(chain: Graph) -> None:
    fault = refusal(PlanError, chain, slow(1, 1), "channel_out", pins={"c0": "a"})
    assert "'channel_out' divides them" in fault.what
    assert fault.hint == "leave out --pin, or use --strategy stage"


def test_a_memory_that_no_share_fits(chain: Graph) -> None:
    fault = refusal(LimitError, chain, slow(1, 1), "tile", memory=20 * MIB)
    assert fault.exit_code == 1
    assert fault.what == "no plan fits the memory"
    assert fault.had == "20 MiB"
    assert fault.hint.startswith("--limit memory=")


def test_a_strategy_that_cannot_divide_says_why(tmp_path: Path, chain: Graph) -> None:
    fault = refusal(PlanError, chain, slow(*[1.0] * 4), "tile:until=f0", shares=(1, 1, 1, 1))
    assert "op 'flat' (Flatten)" in fault.what
    assert fault.hint == "end the stack at until=p3"
    fault = refusal(PlanError, chain, slow(*[1.0] * 4), "channel_out", shares=(100, 1, 1, 1))
    assert "too few channels" in fault.what


def test_names_and_options_nobody_knows(chain: Graph) -> None:
    assert refusal(InputError, chain, slow(1, 1), "tiles").hint == "did you mean 'tile'?"
    assert refusal(InputError, chain, slow(1, 1), "tile+chanel_out").hint == "did you mean 'channel_out'?"
    assert refusal(InputError, chain, slow(1, 1), "tile:dept=1").hint == "did you mean 'depth'?"


def test_several_strategies_give_one_front_that_names_them(chain: Graph) -> None:
    machines = slow(0.02, 0.01)
    both = found(chain, machines, "channel_out+tile:depth=0")
    assert {plan.recipe.strategy for plan in both.plans} <= {"channel_out", "tile:depth=0"}
    best = [
        found(chain, machines, each).plan.prediction.alone_latency_s for each in ("channel_out", "tile:depth=0")
    ]
    assert both.plan.prediction.alone_latency_s == pytest.approx(min(best))
    labels = [point.label for point in both.plan.front]
    assert all(" by " in label or label == "a/cpu" for label in labels)
    assert len(set(labels)) > 1


def test_all_strategies_are_tried_and_none_is_dominated(tmp_path: Path) -> None:
    """A model that channel strategies cannot divide so: they are left out and the note says so."""
    graph = random_branches(tmp_path, 5, blocks=1)
    front = found(graph, slow(0.02, 0.01), "all")
    values = np.array(
        [
            (
                p.prediction.alone_latency_s,
                p.prediction.period_s,
                max(p.prediction.energy_j.values()),
                max(p.prediction.memory_bytes.values()),
            )
            for p in front.plans
        ]
    )
    for row in values:
        assert not ((values <= row * 0.99).all(axis=1)).any()
    assert len(front.plans) <= 15
    assert front.notes[0].endswith(f" plans compared, {len(front.plans)} shown")
    best = min(plan.prediction.alone_latency_s for plan in front.plans)
    for one in ("stage", "tile", "channel_pair"):
        assert best <= found(graph, slow(0.02, 0.01), one).plan.prediction.alone_latency_s * 1.001


def test_a_strategy_that_cannot_is_left_out_of_several_and_named(chain: Graph) -> None:
    front = found(chain, slow(1, 1, 1, 1), "stage+channel_out", shares=(100, 1, 1, 1))
    assert {plan.recipe.strategy for plan in front.plans} == {"stage"}
    assert any(note.startswith("without channel_out: op 'c0' (Conv) has too few channels") for note in front.notes)
    pinned = found(chain, slow(1, 1), "all", pins={"c0": "a"})
    assert {plan.recipe.strategy for plan in pinned.plans} == {"stage"}
    fault = refusal(PlanError, chain, slow(1, 1), "tile+channel_in", pins={"c0": "a"})
    assert "'tile' divides them" in fault.what


def test_frames_use_every_replica_by_its_share(chain: Graph) -> None:
    """Three units together give the items a second that each gives by itself."""
    machines = slow(0.02, 0.01, 0.005)
    front = found(chain, machines, "frame", items=70)
    whole = max(front.plans, key=lambda plan: plan.prediction.throughput_items_per_s)
    alone = found(chain, machines, "frame", items=70, exclude=("b", "c")).plan
    assert (whole.units, alone.units) == (("a/cpu", "b/cpu", "c/cpu"), ("a/cpu",))
    gain = whole.prediction.throughput_items_per_s / alone.prediction.throughput_items_per_s
    assert gain == pytest.approx(1.75, rel=0.1)
    assert whole.label == "a/cpu + b/cpu + c/cpu by frame"
    assert "by frame" in " ".join(point.label for point in front.plan.front)
