"""Mappings that no planner would choose, by file, for studies that run any of them; and the answers that models ship."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.errors import PlanError

if TYPE_CHECKING:
    from shoal.fleet import Fleet
    from shoal.graph import Graph, Op
    from shoal.plan import Plan
    from shoal.run import Samples
    from shoal.study._bench import Bench, Model

LOCAL = """
    [devices.d]
    board = "this-machine"
    count = {count}
    [default_link]
    bandwidth = "1 Gbit/s"
    latency = "0.1 ms"
"""


def contiguous(graph: Graph, units: Sequence[str]) -> list[str]:
    """The unit of each op: runs of equally many ops."""
    return [units[index * len(units) // len(graph.ops)] for index in range(len(graph.ops))]


def alternating(graph: Graph, units: Sequence[str]) -> list[str]:
    """The next unit after each cut that one tensor crosses: A → B → A → B …"""
    from shoal.graph import cuts

    ends = {cut.after for cut in cuts(graph)}
    turns = [sum(end < index for end in ends) for index in range(len(graph.ops))]
    return [units[turn % len(units)] for turn in turns]


def crossing(graph: Graph, units: Sequence[str]) -> list[str]:
    """Each branch on another unit: the n-th reader of a tensor is n units further than its maker."""
    owners: list[int] = []
    for index, op in enumerate(graph.ops):
        name = op.inputs[0] if op.inputs else ""
        maker = graph.producer.get(name)
        place = graph.consumers[name].index(index) if name else 0
        owners.append(((0 if maker is None else owners[maker]) + place) % len(units))
    return [units[owner] for owner in owners]


SPREADS: Mapping[str, Callable[[Graph, Sequence[str]], list[str]]] = {
    "contiguous": contiguous,
    "alternating": alternating,
    "branch-crossing": crossing,
}


def spread(graph: Graph, kind: str, units: Sequence[str]) -> dict[str, Any]:
    """A mapping of whole ops, by one of `SPREADS`."""
    found: dict[str, Any] = {}
    for op, unit in zip(graph.ops, SPREADS[kind](graph, units), strict=True):
        found.setdefault(unit, []).append(op.name)
    return found


def halved(graph: Graph, units: Sequence[str]) -> dict[str, Any]:
    """A mapping of whole ops on two units, each with about half of the weights."""
    half, so_far, found = graph.weights_bytes / 2, 0.0, {unit: list[str]() for unit in units}
    for op in graph.ops:
        found[units[so_far + op.weights_bytes / 2 > half]].append(op.name)
        so_far += op.weights_bytes
    return found


def shared(graph: Graph, kind: str, units: Sequence[str]) -> dict[str, Any]:
    """A mapping in which two units share each convolution and dense layer in one way: lop, lip, height or width.

    The other ops are halved. A layer with one channel, row or column to divide stays whole.
    """
    sizes = {op.name: _size(graph, op, kind) for op in graph.ops if op.kind in ("Conv", "Gemm")}
    entries = {}
    for op, size in sizes.items():
        if size > 1:
            points = [size // 2, size if kind == "lop" else size - size // 2]
            entries[op] = [kind, points, list(units)]
    rest = spread(graph, "contiguous", units)
    return {unit: [op for op in ops if op not in entries] for unit, ops in rest.items()} | {"split": entries}


def _size(graph: Graph, op: Op, kind: str) -> int:
    """How many channels (of each group), rows or columns of a layer can be divided."""
    made = graph.tensors[op.name].shape
    if kind == "lip":
        return graph.weights[op.weights[0]].shape[1] if op.kind == "Conv" else graph.tensors[op.inputs[0]].shape[1]
    axis = {"lop": 1, "height": 2, "width": 3}[kind]
    return made[axis] if axis < len(made) else 1


def local(bench: Bench, count: int) -> Fleet:
    """This machine as so many devices d-0, d-1, …"""
    return bench.fleet(LOCAL.format(count=count))


def mapped(bench: Bench, model: Model, fleet: Fleet, mapping: Mapping[str, Any], window: int = 4) -> Plan:
    """The plan of a mapping, read from a file.

    Raises:
        PlanError: what is wrong with it.
    """
    from shoal.program import Workload

    path = bench.scratch / "mapping.json"
    path.write_text(json.dumps(mapping))
    planner, workload = f"mapping_file:path={path}", Workload(window, window=window)
    return bench.front(model, fleet, planner=planner, workload=workload, profile=False).plan


def refusal(bench: Bench, model: Model, fleet: Fleet, mapping: Mapping[str, Any]) -> str:
    """What is said to a mapping that cannot be; nothing, if it can be after all."""
    try:
        mapped(bench, model, fleet, mapping)
    except PlanError as fault:
        return fault.message
    return ""


def shipped(model: Path) -> Samples:
    """The input of onnx's own backend test and the output that ships with a light model (one of each).

    The input is 0, 1/n, 2/n … over its n elements.
    """
    import numpy as np
    import onnx

    from shoal.graph import load
    from shoal.run import Samples

    graph = load(model)
    shape = graph.tensors[graph.inputs[0]].shape
    ramp = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / np.float32(np.prod(shape))
    wanted = onnx.TensorProto.FromString(model.with_name(f"{model.stem}_output_0.pb").read_bytes())
    return Samples(({graph.inputs[0]: ramp},), ({graph.outputs[0]: onnx.numpy_helper.to_array(wanted)},))
