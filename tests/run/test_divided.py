"""Divided layers through real processes: the bytes at the sockets are the formula's, and the answers the whole's."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

import shoal
from examples.models import light
from shoal import catalog, codec
from shoal.graph import Graph, divide, load
from shoal.plan import ModelRef, Objective, Plan, Recipe
from shoal.plan.lower import program_of
from shoal.plan.problem import Problem
from shoal.program import Workload
from shoal.record import Run
from shoal.run import Samples, Settings, execute
from shoal.run.pack import pack
from tests.plan.toys import problem
from tests.run import plans
from tests.run.test_pack import mpirun

ITEMS = 3
DIVIDING = tuple(name for name in catalog.names("plan/strategies") if name != "frame")


@lru_cache(maxsize=1)
def network() -> tuple[Graph, Samples]:
    """SqueezeNet with random weights, and what plain onnxruntime answers."""
    path = light.seeded("squeezenet")
    graph = load(path)
    inputs = {
        name: np.random.default_rng(3).standard_normal(graph.tensors[name].shape, np.float32)
        for name in graph.inputs
    }
    return graph, Samples((inputs,), (plans.reference(path, inputs),))


def planned(graph: Graph, strategy: str, shares: tuple[float, ...]) -> tuple[Problem, Plan]:
    """The plan of a strategy over as many devices as there are shares."""
    machines = plans.fleet(len(shares))
    task = problem(graph, machines, window=4)
    division = catalog.make("plan/strategies", strategy).divide(task, shares)
    program = program_of(divide(graph, division.splits).graph, division.replicas, 4, graph.name)
    sizes = {name: graph.tensors[name].shape for name in graph.inputs}
    return task, Plan(
        model=ModelRef(graph.name, graph.source, graph.sha256, sizes),
        fleet=machines,
        objective=Objective(),
        workload=Workload(items=1, window=4),
        replicas=division.replicas,
        window=4,
        prediction=plans.UNKNOWN,
        estimates={},
        segment_units={segment.name: segment.unit for segment in program.segments},
        recipe=Recipe(strategy, "hand", shoal.__version__),
        splits=division.splits,
    )


@pytest.mark.parametrize(
    ("strategy", "shares"),
    [
        *((name, (2, 1)) for name in DIVIDING),
        *((name, (3, 1, 2)) for name in ("tile:depth=1", "channel_in")),
    ],
)
def test_the_sockets_count_what_the_formula_says(strategy: str, shares: tuple[float, ...], tmp_path: Path) -> None:
    graph, samples = network()
    task, plan = planned(graph, strategy, shares)
    codec.save(plan, tmp_path / "plan.json")
    result = execute(codec.load(Plan, tmp_path / "plan.json"), Settings(items=ITEMS, over="shm"), samples)
    assert result.failure == ""
    assert result.run.outputs_match
    between = catalog.make("plan/strategies", strategy).transfer_bytes(task, shares)
    answers = sum(graph.tensors[name].bytes for name in graph.outputs)
    inputs = sum(graph.tensors[name].bytes for name in graph.inputs)
    devices = result.run.devices.values()
    assert len(devices) == len(shares)
    assert sum(device.sent_bytes for device in devices) == ITEMS * (between + answers)
    assert sum(device.received_bytes for device in devices) == ITEMS * (between + inputs)


def test_replicas_send_nothing_to_each_other_and_all_of_them_work() -> None:
    graph, samples = network()
    _, plan = planned(graph, "frame", (2, 1))
    result = execute(plan, Settings(items=6, over="shm"), samples)
    assert result.run.outputs_match
    answers = sum(graph.tensors[name].bytes for name in graph.outputs)
    assert [device.sent_bytes for device in result.run.devices.values()] == [4 * answers, 2 * answers]


@pytest.mark.slow
def test_ranks_of_mpi_send_the_same(tmp_path: Path) -> None:
    task, plan = planned(network()[0], "channel_pair", (2, 1))
    pack(plan, tmp_path / "packed")
    done, _ = mpirun(tmp_path / "packed", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = codec.load(Run, tmp_path / "run.json")
    assert found.outputs_match
    between = catalog.make("plan/strategies", "channel_pair").transfer_bytes(task, (2, 1))
    answers = sum(task.graph.tensors[name].bytes for name in task.graph.outputs)
    assert sum(device.sent_bytes for device in found.devices.values()) == found.items * (between + answers)
