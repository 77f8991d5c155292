from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from shoal.fleet import Fleet, Link
from shoal.graph import Graph
from shoal.plan.chain import evaluate
from shoal.plan.chains import line_of
from shoal.plan.explain import Explainer
from shoal.plan.planners.chain_dp import ChainDp
from shoal.units import format_bytes, format_seconds
from tests.plan.toys import device, fleet, light_graph, placed, problem, random_branches, three

SLOW = Link("slow", ("a", "b", "c"), 1e4, 0.5)


def explainer(graph: Graph, machines: Fleet) -> Explainer:
    asked = problem(graph, machines)
    return Explainer(asked, line_of(asked), ChainDp().search(asked).scores)


@pytest.fixture(scope="module")
def squeezenet() -> Graph:
    return light_graph("squeezenet")


def test_every_cut_says_what_crosses_and_what_its_neighbours_would_do(squeezenet: Graph) -> None:
    said = explainer(squeezenet, three())
    line, chain = said.line, said.line.chain
    division = ((0, 5, 0), (5, 12, 1), (12, chain.pieces, 2))
    first, second, alone, *_ = said.reasons(line.groups(said.problem, division))
    assert second.startswith("cut after")
    crossing = line.cuts[4]
    assert first.startswith(
        f"cut after '{crossing.tensors[0]}': {format_bytes(crossing.bytes)} from a/cpu to b/cpu in "
        f"{format_seconds(float(chain.hop_s[5, 0, 1]))}; one cut earlier: "
    )
    earlier = evaluate(chain, ((0, 4, 0), (4, 12, 1), (12, chain.pieces, 2))).latency_s
    here = evaluate(chain, division).latency_s
    change = re.search(r"one cut earlier: .*?latency ([+-][\d.]+)%", first)
    assert change is not None
    assert float(change[1]) == pytest.approx((earlier / here - 1) * 100, abs=0.051)
    assert alone.startswith("b/cpu alone: period ")


def test_a_fleet_that_is_beaten_by_one_device_is_told_so(squeezenet: Graph) -> None:
    said = explainer(squeezenet, fleet(device("a"), device("b", 25), device("c"), links=(SLOW,)))
    chain = said.line.chain
    reasons = said.reasons(said.line.groups(said.problem, ((0, 5, 0), (5, chain.pieces, 1))))
    assert any(
        reason.startswith("one device alone beats the fleet: b/cpu is quicker in both") for reason in reasons
    )
    (only,) = said.reasons(placed(squeezenet, ["b/cpu"] * len(squeezenet.ops)))
    assert only.startswith("one device is enough")


def test_one_device_where_dividing_would_help(squeezenet: Graph) -> None:
    said = explainer(squeezenet, three())
    (only,) = said.reasons(placed(squeezenet, ["b/cpu"] * len(squeezenet.ops)))
    assert only.endswith(f"down to {format_seconds(float(said.scores[:, 1].min()))} at best")


def test_a_model_no_device_holds_alone() -> None:
    machines = fleet(device("a", memory_mib=560), device("b", memory_mib=560))
    said = explainer(light_graph("vgg19"), machines)
    assert said.scores.shape[0]
    groups = ChainDp().search(said.problem).placements[0]
    assert "no device can hold the whole model alone" in said.reasons(groups)


def test_units_of_one_device_and_cuts_that_do_not_fit(squeezenet: Graph) -> None:
    said = explainer(squeezenet, fleet(device("a", units=("cpu", "gpu"))))
    chain = said.line.chain
    assert (
        "from a/cpu to a/gpu within the device"
        in said.reasons(said.line.groups(said.problem, ((0, 5, 0), (5, chain.pieces, 1))))[0]
    )


def test_placements_that_are_not_consecutive(tmp_path: Path) -> None:
    graph = random_branches(tmp_path, 6)
    said = explainer(graph, three())
    rng = np.random.default_rng(0)
    reasons = said.reasons(placed(graph, rng.choice(["a/cpu", "b/cpu"], len(graph.ops)).tolist()))
    assert "not consecutive" in reasons[0]
    assert "alone: period" in reasons[1]
