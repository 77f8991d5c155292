from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import PlanError
from shoal.graph import Graph, load
from shoal.plan import Group, Replica
from shoal.plan.lower import program_of
from shoal.plan.strategies.stage import crossing_bytes
from shoal.program import CLIENT, Pace, Program, Workload
from shoal.program.drivers.stream import Stream
from shoal.sim import simulate
from tests.graph.graphs import random_graphs
from tests.graph.models import floats, info, model, node, write
from tests.plan.toys import light_graph, placed, random_branches, random_chain

UNITS = ("a/cpu", "b/cpu", "c/gpu")


def lowered(graph: Graph, pattern: list[str], window: int = 3) -> tuple[Program, tuple[Group, ...]]:
    groups = placed(graph, pattern)
    return program_of(graph, (Replica(groups),), window, "toy"), groups


def payload_bytes(program: Program) -> int:
    """Between units, for one item."""
    inside = [edge for edge in program.edges if CLIENT not in (edge.source, edge.target)]
    return sum(edge.spec.bytes({}) for edge in inside)


def runs(program: Program, items: int = 50) -> None:
    """Execute in simulated time: every item is answered, whatever the window."""
    pace = Pace({segment.name: 1.0 for segment in program.segments})
    observed = simulate(program, pace, Stream(), Workload(items=items, window=program.window))
    assert len(observed.answers) == items


@given(graph=random_graphs(), seed=st.integers(0, 1000))
def test_bytes_between_units_are_the_closed_forms(graph: Graph, seed: int) -> None:
    if set(graph.outputs) & set(graph.inputs):
        return
    rng = np.random.default_rng(seed)
    groups = placed(graph, rng.choice(UNITS, len(graph.ops)).tolist())
    unfed = {op.name for op in graph.ops if not op.inputs}
    if unfed:
        return  # an op that waits for nobody needs no model of ours
    program = program_of(graph, (Replica(groups),), 2, "toy")
    assert payload_bytes(program) == crossing_bytes(graph, groups)
    assert sorted(op for segment in program.segments for op in segment.ops) == sorted(graph.position)


def test_one_group_is_one_segment(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 1)
    program, _ = lowered(graph, ["a/cpu"] * len(graph.ops))
    (segment,) = program.segments
    assert segment.ops == tuple(op.name for op in graph.ops)
    assert segment.weights_bytes == graph.weights_bytes
    assert {(edge.source, edge.target) for edge in program.edges} == {(CLIENT, "a/cpu"), ("a/cpu", CLIENT)}
    runs(program)


def test_there_and_back_again(tmp_path: Path) -> None:
    """A → B → A → B …: a unit's later segments wait for what it sent itself, and nothing blocks."""
    graph = random_chain(tmp_path, 4, layers=6)
    program, groups = lowered(graph, [UNITS[index % 2] for index in range(len(graph.ops))], window=5)
    assert len(program.segments) == len(graph.ops)
    assert all(edge.buffer_items == 5 for edge in program.edges)
    assert payload_bytes(program) == crossing_bytes(graph, groups)
    kinds = [step.kind for step in program.routes[0].tasks[0].steps]
    assert kinds[:4] == ["recv", "run", "send", "recv"]
    runs(program)


@pytest.mark.parametrize("name", ["inception_v1", "densenet121", "shufflenet", "resnet50"])
def test_branches_cross_between_units(name: str) -> None:
    graph = light_graph(name)
    rng = np.random.default_rng(len(name))
    stripes = np.repeat(rng.choice(UNITS, len(graph.ops)), 4)[: len(graph.ops)]
    program, groups = lowered(graph, stripes.tolist())
    assert payload_bytes(program) == crossing_bytes(graph, groups)
    runs(program, items=6)


def test_a_tensor_that_several_units_read_crosses_once_to_each(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "r"), *(node("Sigmoid", "r", f"s{index}") for index in range(4))]
    nodes.append(node("Sum", "s0 s1 s2 s3", "y"))
    graph = load(write(model(nodes, [info("x", [1, 8])], ["y"]), tmp_path))
    program, _ = lowered(graph, ["a/cpu", "b/cpu", "b/cpu", "c/gpu", "a/cpu", "a/cpu"])
    carried = Counter((edge.tensor, edge.target) for edge in program.edges)
    assert carried["r", "b/cpu"] == carried["r", "c/gpu"] == 1
    assert ("r", "a/cpu") not in carried
    assert max(carried.values()) == 1
    runs(program)


def test_an_input_that_several_units_read_comes_to_each_from_the_client(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "r"), node("Sigmoid", "x", "s"), node("Add", "r s", "y")]
    graph = load(write(model(nodes, [info("x", [1, 8])], ["y", "s"]), tmp_path))
    program, _ = lowered(graph, ["a/cpu", "b/cpu", "c/gpu"])
    ends = {(edge.tensor, edge.source, edge.target) for edge in program.edges}
    assert ends == {
        ("x", CLIENT, "a/cpu"), ("x", CLIENT, "b/cpu"), ("r", "a/cpu", "c/gpu"), ("s", "b/cpu", "c/gpu"),
        ("y", "c/gpu", CLIENT), ("s", "b/cpu", CLIENT),
    }  # fmt: skip
    assert len(program.routes[0].inputs) == 2
    runs(program)


def test_outputs_nobody_reads_are_no_messages(tmp_path: Path) -> None:
    """Dropout's mask, and a part of a Split."""
    nodes = [node("Conv", "x w", "c"), node("Dropout", "c", "d mask"), node("Split", "d", "left right", axis=1),
             node("Relu", "left", "y")]  # fmt: skip
    made = model(nodes, [info("x", [1, 2, 4, 4])], ["y"], {"w": floats(2, 2, 1, 1)}, opset=11)
    graph = load(write(made, tmp_path))
    program, groups = lowered(graph, [UNITS[index % 2] for index in range(len(graph.ops))])
    assert not {"mask", "right"} & {edge.tensor for edge in program.edges}
    assert payload_bytes(program) == crossing_bytes(graph, groups) == 128 + 64  # c, left
    runs(program)


def test_replicas_have_routes_and_names_of_their_own(tmp_path: Path) -> None:
    graph = random_branches(tmp_path, 2)
    one, other = (
        Replica(placed(graph, [unit] * len(graph.ops)), share)
        for unit, share in zip(UNITS, (3.0, 1.0), strict=False)
    )
    program = program_of(graph, (one, other), 4, "toy")
    assert [route.share for route in program.routes] == [3.0, 1.0]
    assert program.units == ("a/cpu", "b/cpu")
    assert [segment.name for segment in program.segments] == ["s0", "r1.s0"]


def test_mappings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 5)
    names = [op.name for op in graph.ops]
    for groups, says in (
        ((Group("a/cpu", tuple(names)), Group("b/cpu", (names[0],))), "mapped twice"),
        ((Group("a/cpu", tuple(names[1:])),), f"not mapped: {names[0]}"),
        ((Group("a/cpu", (*names, "nonsense")),), "not in the model: nonsense"),
    ):
        with pytest.raises(PlanError, match=says):
            program_of(graph, (Replica(groups),), 2, "toy")
