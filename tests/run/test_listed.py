"""Placements of list schedulers through real workers: groups that are not consecutive, several on each unit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples.models import light
from shoal.cost.models.roofline import Roofline
from shoal.fleet import Link
from shoal.graph import load
from shoal.plan import ModelRef, Objective, Plan, Wishes, search
from shoal.run import Samples, Settings, execute
from tests.run import plans

# Data-sheet costs of this speed and these links make it worth while to part the branches.
LINK = Link("any", (), 1e9, 1e-5)


def planned(path: Path, count: int, scheduler: str) -> Plan:
    graph = load(path)
    machines = replace(plans.fleet(count), default_link=LINK)
    shapes = {name: graph.tensors[name].shape for name in graph.inputs}
    pins = {graph.ops[0].name: "d0", graph.ops[-1].name: f"d{count - 1}"}  # a chain would stay on one device
    asked = Wishes(Objective(("latency",)), planner=f"listed:scheduler={scheduler}", pins=pins)
    costs = Roofline().over(graph, machines, ())
    return search(graph, ModelRef(graph.name, graph.source, graph.sha256, shapes), machines, costs, asked).plan


@pytest.mark.parametrize(
    ("name", "count", "scheduler", "over"),
    [
        ("squeezenet", 2, "heft", "memory"),
        ("squeezenet", 3, "met", "shm"),
        pytest.param("inception_v2", 3, "peft", "memory", marks=pytest.mark.slow),
        pytest.param("inception_v2", 2, "cpop", "shm", marks=pytest.mark.slow),
        pytest.param("densenet121", 3, "heft", "memory", marks=pytest.mark.slow),
        pytest.param("densenet121", 2, "peft", "shm", marks=pytest.mark.slow),
    ],
)
def test_outputs_are_those_of_the_undivided_network(name: str, count: int, scheduler: str, over: str) -> None:
    path = light.seeded(name)
    plan = planned(path, count, scheduler)
    graph = load(path)
    assert len(plan.units) > 1
    source = np.random.default_rng(3)
    inputs = tuple(
        {key: source.standard_normal(graph.tensors[key].shape, np.float32) for key in graph.inputs}
        for _ in range(2)
    )
    expected = tuple(plans.reference(path, each) for each in inputs)
    result = execute(plan, Settings(items=5, over=over), Samples(inputs, expected))
    assert result.failure == ""
    assert result.run.outputs_match
    assert result.answers is not None
    for item, outputs in result.answers.items():
        plans.assert_equal(outputs, expected[item % 2])
