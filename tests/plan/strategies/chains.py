"""A row of layers as VGG has them, small, and what of it crosses between units, written out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shoal.graph import Graph, divide
from shoal.plan.lower import program_of
from shoal.plan.problem import Problem, Strategy
from shoal.program import CLIENT, Program
from tests.graph.divided import check, small
from tests.graph.models import floats, node
from tests.plan.toys import device, fleet, problem

SIDE = 16
WIDE = {"x": 3, "c0": 8, "c1": 8, "c2": 12, "c3": 12}  # channels
CLASSES = 10


def vgg(folder: Path) -> Graph:
    """conv, conv, pool twice, then two fully connected layers; activations after all but the last."""
    nodes, weights, last = [], {}, "x"
    for index in range(4):
        name, wide = f"c{index}", WIDE[f"c{index}"]
        weights[f"w{name}"] = floats(wide, WIDE[last.replace("r", "c").replace("p", "c")], 3, 3, seed=index) / 8
        weights[f"b{name}"] = floats(wide, seed=index + 10)
        nodes.append(node("Conv", f"{last} w{name} b{name}", name, pads=[1, 1, 1, 1]))
        nodes.append(node("Relu", name, f"r{index}"))
        last = f"r{index}"
        if index % 2:
            nodes.append(node("MaxPool", last, f"p{index}", kernel_shape=[2, 2], strides=[2, 2]))
            last = f"p{index}"
    flat = WIDE["c3"] * (SIDE // 4) ** 2
    weights |= {"wf0": floats(24, flat) / 12, "bf0": floats(24), "wf1": floats(CLASSES, 24), "bf1": floats(CLASSES)}
    nodes += [
        node("Flatten", last, "flat"),
        node("Gemm", "flat wf0 bf0", "f0", transB=1),
        node("Relu", "f0", "rf0"),
        node("Gemm", "rf0 wf1 bf1", "f1", transB=1),
    ]
    return small(folder, nodes, {"x": [1, 3, SIDE, SIDE]}, "f1", weights)


def tasked(graph: Graph, units: int) -> Problem:
    """`graph` to be divided between so many units."""
    return problem(graph, fleet(*(device("abcdefgh"[index]) for index in range(units))))


def checked(strategy: Strategy, graph: Graph, shares: Sequence[float]) -> Program:
    """The Program of the division, once its answers and its bytes are found to be right."""
    task = tasked(graph, len(shares))
    division = strategy.divide(task, shares)
    if division.splits:
        check(graph, division.splits)
    program = program_of(divide(graph, division.splits).graph, division.replicas, task.window, "toy")
    assert between_units(program) == strategy.transfer_bytes(task, shares)
    return program


def between_units(program: Program) -> int:
    """Payload bytes of one item over all edges between units."""
    return sum(edge.spec.bytes({}) for edge in program.edges if CLIENT not in (edge.source, edge.target))


def held_bytes(program: Program) -> list[int]:
    """Weight bytes of each unit."""
    return [
        sum(segment.weights_bytes for segment in program.segments if segment.unit == unit) for unit in program.units
    ]


def bytes_of(graph: Graph, *tensors: str) -> int:
    """|t| of these tensors, added up."""
    return sum(graph.tensors[name].bytes for name in tensors)


def of_others(graph: Graph, tensor: str, counts: Sequence[int]) -> int:
    """Σ_{i≠0} |part i| of a tensor divided into so many channels each."""
    return graph.tensors[tensor].bytes * sum(counts[1:]) // sum(counts)
