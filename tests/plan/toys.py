"""Small models and fleets that planners are tried on; costs are those of data sheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.cost import CostKey, Costs
from shoal.cost.models.roofline import Roofline
from shoal.fleet import Device, Fleet, Link, Unit
from shoal.graph import Graph, load
from shoal.plan import Group, Objective
from shoal.plan.problem import Problem
from shoal.record import Estimate
from tests.graph.models import info, light, model, node, write

MIB = 1 << 20
ETHERNET = Link("ethernet", (), 12.5e6, 1e-3, j_per_byte=5e-9)


def device(
    name: str,
    gflops: float = 10.0,
    *,
    memory_mib: int = 4096,
    engines: tuple[str, ...] = ("onnxruntime",),
    units: tuple[str, ...] = ("cpu",),
) -> Device:
    made = tuple(
        Unit(unit, 4, {"float32": gflops * 1e9 * (3 * place + 1)}, 1e10, 2.0 + gflops / 10, engines)
        for place, unit in enumerate(units)
    )
    return Device(name, "toy", made, memory_mib * MIB, memory_mib * MIB, 1.0 + gflops / 20, link_j_per_byte=4e-9)


def fleet(*devices: Device, links: tuple[Link, ...] = ()) -> Fleet:
    return Fleet(devices, links, ETHERNET)


def three() -> Fleet:
    return fleet(device("a", 10), device("b", 25), device("c", 5))


def random_chain(folder: Path, seed: int, layers: int = 5) -> Graph:
    """Convolutions and activations in a row."""
    rng = np.random.default_rng(seed)
    nodes, weights, last, width = [], {}, "x", 3
    for index in range(layers):
        wide = int(rng.integers(4, 24))
        weights[f"w{index}"] = rng.standard_normal((wide, width, 3, 3)).astype(np.float32)
        nodes.append(node("Conv", f"{last} w{index}", f"c{index}", pads=[1, 1, 1, 1]))
        last, width = f"c{index}", wide
        if rng.random() < 0.5:
            nodes.append(node("Relu", last, f"r{index}"))
            last = f"r{index}"
        if rng.random() < 0.3:
            nodes.append(node("MaxPool", last, f"p{index}", kernel_shape=[2, 2], strides=[2, 2]))
            last = f"p{index}"
    made = model(nodes, [info("x", [1, 3, 32, 32])], [last], weights)
    return load(write(made, folder, f"chain{seed}.onnx"))


def random_branches(folder: Path, seed: int, blocks: int = 3) -> Graph:
    """Blocks of two or three unlike branches that are concatenated."""
    rng = np.random.default_rng(seed)
    nodes, weights, last, width = [], {}, "x", 4
    for block in range(blocks):
        ends, total = [], 0
        for branch in range(int(rng.integers(2, 4))):
            at, name = width, last
            for depth in range(int(rng.integers(1, 3))):
                label, wide = f"{block}_{branch}_{depth}", int(rng.integers(4, 16))
                weights[f"w{label}"] = rng.standard_normal((wide, at, 3, 3)).astype(np.float32)
                nodes.append(node("Conv", f"{name} w{label}", f"c{label}", pads=[1, 1, 1, 1]))
                nodes.append(node("Relu", f"c{label}", f"r{label}"))
                name, at = f"r{label}", wide
            ends.append(name)
            total += at
        nodes.append(node("Concat", " ".join(ends), f"cat{block}", axis=1))
        last, width = f"cat{block}", total
    made = model(nodes, [info("x", [1, 4, 24, 24])], [last], weights)
    return load(write(made, folder, f"branches{seed}.onnx"))


def light_graph(name: str) -> Graph:
    return load(light(name))


def problem(
    graph: Graph,
    machines: Fleet,
    *,
    units: tuple[str, ...] = (),
    window: int = 4,
    memory_mib: int | None = None,
    costs: Costs | None = None,
    **more: Any,
) -> Problem:
    goal = Objective(memory_limit_bytes=memory_mib * MIB if memory_mib else None)
    priced = costs or Roofline().over(graph, machines, ())
    return Problem(graph, machines, goal, priced, window, units or machines.unit_names, **more)


def placed(graph: Graph, pattern: Sequence[str], engine: str = "onnxruntime") -> tuple[Group, ...]:
    """Op i on the unit `pattern[i]`, one group for each unit."""
    owners: dict[str, list[str]] = {}
    for op, unit in zip(graph.ops, pattern, strict=True):
        owners.setdefault(unit, []).append(op.name)
    return tuple(Group(unit, tuple(ops), engine) for unit, ops in owners.items())


@dataclass(frozen=True, eq=False)
class Told:
    """Data-sheet costs, but for the engines whose seconds are told: a factor on each op, inf to refuse it."""

    base: Costs
    graph: Graph
    factors: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def estimate(self, key: CostKey) -> Estimate:
        made, position = self.base.estimate(key), [op.name for op in self.graph.ops].index
        seconds = float(self.op_seconds(key.unit, key.engine)[[position(op) for op in key.ops]].sum())
        return replace(made, seconds=seconds, joules=made.joules * seconds / made.seconds)

    def op_seconds(self, unit: str, engine: str) -> NDArray[np.float64]:
        return self.base.op_seconds(unit, engine) * self.factors.get(engine, np.float64(1.0))

    def of(self, graph: Graph) -> Costs:
        return self.base.of(graph)
