"""What workers spend beside the ops, measured on toy models: the constants of `cost.Handling`.

Each toy is profiled like any model, then run through real workers over a real transport. What a worker's process
spent beyond the profile of its ops is put down to calls, messages, copied bytes and the ops by least squares.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import shoal
from shoal import catalog, codec
from shoal.cost import WAYS, Handling, traffic
from shoal.fleet import Device, Fleet, Link, Unit
from shoal.graph import Graph, load
from shoal.measure import (
    Table,
    handling_path,
    handling_subject,
    load_table,
    machine_id,
    profile_ops,
)
from shoal.plan import Group, ModelRef, Objective, Plan, Recipe, Replica
from shoal.plan.lower import program_of
from shoal.program import Workload
from shoal.record import Prediction, Sample
from shoal.run.execute import Settings, execute

ROUNDS, ITEMS, WINDOW = 3, 60, 6
COPIED = 1 << 18  # elements of a tensor that is copied: 1 MB
IMAGE, KERNEL = (1, 128, 14, 14), (128, 128, 3, 3)  # of convolutions as they stand in the middle of a network
PASSED = (1, 128, 28, 28)  # an image that devices pass on: 400 KB
SPEEDS = {"shm": 1.0, "shaped": 0.3}  # of each device: machines with imitated links are throttled ones
UNKNOWN = Prediction(1.0, 1.0, 1.0, {}, {}, {}, {})

Row = tuple[tuple[float, ...], float]  # how often what Handling has a constant for happened, and the seconds of all


@dataclass(frozen=True)
class Toy:
    """One device makes `wide` tensors of `elements`, each of `readers` devices takes them all; some turns of that.

    With `passed` a device gives what its last convolution makes, and the next one goes on with that.
    """

    wide: int = 1
    elements: int = 16
    readers: int = 1
    layers: int = 0  # convolutions on each device and turn
    passed: bool = False
    turns: int = 1  # each with segments of its own: what a segment needs is not in the caches when its turn comes


TOYS = (
    Toy(),
    Toy(wide=8),
    Toy(elements=COPIED, readers=2),
    Toy(layers=6),
    Toy(turns=10),
    Toy(layers=1, turns=10),
    Toy(layers=2, turns=6, passed=True),
)


def kept_handling() -> tuple[Sample, ...]:
    """This machine's constants from earlier; measured now for transports of which one is missing."""
    kept = load_table(handling_path()).of(machine_id()).samples
    known = {(sample.engine, sample.subject) for sample in kept}
    wanted = [handling_subject(each.name) for each in fields(Handling)]
    there = [way for way in WAYS if way in catalog.names("wire/transports")]
    missing = [way for way in there if not all((way, subject) in known for subject in wanted)]
    return (*kept, *measure_handling(missing)) if missing else kept


def measure_handling(ways: Sequence[str] = WAYS) -> tuple[Sample, ...]:
    """The constants of each transport in `ways`, measured now and kept."""
    with tempfile.TemporaryDirectory(prefix="shoal-") as scratch:
        toys = [_Profiled.of(toy, Path(scratch) / f"{number}.onnx") for number, toy in enumerate(TOYS)]
        samples = tuple(sample for way in ways for sample in _of_way(toys, way))
    Table(samples).save(handling_path())
    return samples


@dataclass(frozen=True)
class _Profiled:
    """A toy's graph, and the seconds of its ops."""

    toy: Toy
    graph: Graph
    ops_s: Mapping[str, float]

    @staticmethod
    def of(toy: Toy, path: Path) -> _Profiled:
        codec.write_bytes(_model(toy), path)
        graph = load(path)
        samples = zip(graph.ops, profile_ops(graph), strict=True)
        return _Profiled(toy, graph, {op.name: sample.median_s for op, sample in samples})


def _of_way(toys: Sequence[_Profiled], way: str) -> list[Sample]:
    found = [_fitted([row for toy in toys for row in _spent(toy, way)]) for _ in range(ROUNDS)]
    samples = []
    for field, values in zip(fields(Handling), zip(*map(astuple, found), strict=True), strict=True):
        figures = (statistics.median(values), min(values), max(values))
        samples.append(Sample(handling_subject(field.name), machine_id(), way, "float32", 1, *figures, len(found)))
    return samples


def _fitted(found: Sequence[Row]) -> Handling:
    """The constants that explain the rows best, none of them below zero."""
    rows, spent_s = np.array([row for row, _ in found]), np.array([seconds for _, seconds in found])
    scale = 1 / rows.max(axis=0)  # columns of the same size
    return Handling(*(_least_squares(rows * scale, np.maximum(spent_s, 0.0)) * scale).tolist())


def _least_squares(rows: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """The factors, none below zero, with the least squared error; of so few columns every choice can be tried."""
    columns = rows.shape[1]
    best, least = np.zeros(columns), float(wanted @ wanted)
    for count in range(1, columns + 1):
        for chosen in combinations(range(columns), count):
            found = np.linalg.lstsq(rows[:, chosen], wanted, rcond=None)[0]
            error = float(np.sum((rows[:, chosen] @ found - wanted) ** 2))
            if found.min() >= 0 and error < least:
                least, best = error, np.zeros(columns)
                best[list(chosen)] = found
    return best


def _spent(profiled: _Profiled, way: str) -> list[Row]:
    """A row for each unit, of one item; seconds beside those of its ops."""
    graph = profiled.graph
    plan = _plan(graph, profiled.toy, SPEEDS[way])
    run = execute(plan, Settings(items=ITEMS, over=way, compare=False, throttle="pace")).run
    program = program_of(graph, plan.replicas, plan.window, graph.name)
    around = traffic(program)
    found: list[Row] = []
    for unit in program.units:
        own = [segment for segment in program.segments if segment.unit == unit]
        counts = np.sum([astuple(around[segment.name]) for segment in own], axis=0)
        ops_s = sum(profiled.ops_s[op] for segment in own for op in segment.ops)
        cpu_s = run.devices[unit.partition("/")[0]].cpu_s or 0.0
        found.append(((float(len(own)), *counts.tolist(), ops_s), cpu_s / run.items - ops_s))
    return found


def _plan(graph: Graph, toy: Toy, speed: float) -> Plan:
    """Its first part on one device, each reader on another."""
    owners = [int(op.outputs[0].partition("/")[0]) for op in graph.ops]
    groups = tuple(
        Group(
            f"d{device}/cpu", tuple(op.name for op, owner in zip(graph.ops, owners, strict=True) if owner == device)
        )
        for device in range(toy.readers + 1)
    )
    cpu = Unit("cpu", 1, {"float32": 1e10}, 1e9, 0.0)
    devices = tuple(
        Device(f"d{index}", "this-machine", (cpu,), 1 << 40, 1 << 40, 0.0, speed=speed)
        for index in range(len(groups))
    )
    return Plan(
        model=ModelRef(graph.name, graph.source, graph.sha256),
        fleet=Fleet(devices, default_link=Link("quick", (), 1.25e8, 1e-4)),
        objective=Objective(),
        workload=Workload(items=ITEMS, window=WINDOW),
        replicas=(Replica(groups),),
        window=WINDOW,
        prediction=UNKNOWN,
        estimates={},
        segment_units={},
        recipe=Recipe("by hand", "by hand", shoal.__version__),
    )


def _model(toy: Toy) -> bytes:
    """The toy as ONNX; what a device makes is named after it: "device/number"."""
    import onnx
    from onnx import helper, numpy_helper

    nodes: list[onnx.NodeProto] = []
    outputs: list[str] = []

    def op(device: int, kind: str, *inputs: str, output: str = "", **options: Any) -> str:
        output = output or f"{device}/{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **options))
        return output

    def worked(device: int, value: str) -> str:
        for layer in range(toy.layers):
            value = op(device, "Conv", value, f"kernel {layer}", pads=[1, 1, 1, 1])
        return op(device, "Relu" if toy.passed else "ReduceMean", value)

    value = "x"
    for turn in range(toy.turns):
        last = turn == toy.turns - 1
        first = worked(0, value)
        between = [op(0, "Add", first, "fill") for _ in range(0 if toy.passed else toy.wide)] or [first]
        for reader in range(1, toy.readers + 1):
            taken = op(reader, "Sum", *between)
            spread = taken if toy.passed else op(reader, "Add", op(reader, "ReduceMean", taken), "image")
            value = op(reader, "Neg", worked(reader, spread), output=f"{reader}/y" * last)
            outputs += [value] * last
        if not last:
            value = op(0, "Neg", value) if toy.passed else op(0, "Add", value, "image")
    source, image = np.random.default_rng(0), PASSED if toy.passed else IMAGE
    answer = image if toy.passed else (1, 1, 1, 1)
    constants: dict[str, NDArray[np.float32]] = {
        "fill": np.ones((1, 1, 1, toy.elements), np.float32),
        "image": source.standard_normal(image).astype(np.float32),
    }
    for layer in range(toy.layers):  # root of 128 · 3 · 3: keeps the scale
        constants[f"kernel {layer}"] = (source.standard_normal(KERNEL) / 34).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("x", 1, image)],
        [helper.make_tensor_value_info(name, 1, answer) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
