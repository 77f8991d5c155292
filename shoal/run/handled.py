"""What workers spend beside the ops, measured on toy models: the constants of `cost.Handling`.

Each toy is run through real workers over a real transport. What a worker's process spent beyond its segments is put
down to calls, messages and copied bytes by least squares. Every toy segment multiplies by a matrix as large as a
cache first, so that the handling meets caches as cold as between the layers of a network.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import shoal
from shoal import catalog, codec
from shoal.cost import WAYS, Handling, traffic
from shoal.fleet import Device, Fleet, Link, Unit
from shoal.graph import Graph, load
from shoal.measure import Table, handling_path, handling_subject, load_table, machine_id
from shoal.plan import Group, ModelRef, Objective, Plan, Recipe, Replica
from shoal.plan.lower import program_of
from shoal.program import Program, Workload
from shoal.record import Prediction, Run, Sample
from shoal.run.execute import Settings, execute

ROUNDS, ITEMS, WINDOW = 3, 120, 6
WIDTH = 1024  # of the matrix: 4 MB
COPIED = 1 << 18  # elements of the tensor that is copied: 1 MB
UNKNOWN = Prediction(1.0, 1.0, 1.0, {}, {}, {}, {})


@dataclass(frozen=True)
class Toy:
    """A chain `x → a → b → y`: `wide` tensors between, each of `elements`, to `readers` devices."""

    wide: int = 1
    elements: int = 16
    readers: int = 1
    work: bool = True  # with the matrix


TOYS = (Toy(), Toy(wide=8), Toy(elements=COPIED, readers=2))
LIGHT = Toy(work=False)  # of which a segment's seconds are those of the call


def kept_handling() -> tuple[Sample, ...]:
    """This machine's constants from earlier; measured now if there are none."""
    kept = load_table(handling_path()).of(machine_id()).samples
    known = {sample.engine for sample in kept}
    missing = [way for way in WAYS if way in catalog.names("wire/transports") and way not in known]
    return (*kept, *measure_handling(missing)) if missing else kept


def measure_handling(ways: Sequence[str] = WAYS) -> tuple[Sample, ...]:
    """The constants of each transport in `ways`, measured now and kept."""
    samples = tuple(sample for way in ways for sample in _of_way(way))
    Table(samples).save(handling_path())
    return samples


def _of_way(way: str) -> list[Sample]:
    found = [_fitted(way) for _ in range(ROUNDS)]
    samples = []
    for field, values in zip(fields(Handling), zip(*map(astuple, found), strict=True), strict=True):
        figures = (statistics.median(values), min(values), max(values))
        samples.append(Sample(handling_subject(field.name), machine_id(), way, "float32", 1, *figures, len(found)))
    return samples


def _fitted(way: str) -> Handling:
    """The constants that explain one round best, none of them below zero."""
    from scipy.optimize import nnls

    with tempfile.TemporaryDirectory(prefix="shoal-") as scratch:
        rows, spent_s = [], []
        for number, toy in enumerate(TOYS):
            for row, seconds in _spent(toy, Path(scratch) / f"{number}.onnx", way):
                rows.append(row)
                spent_s.append(seconds)
        run, program = _run(LIGHT, Path(scratch) / "light.onnx", way)
        call_s = min(_median_s(run, segment.name) for segment in program.segments)
    scale = np.array([1.0, 1.0, 1.0, 1 / (8 * COPIED)])  # comparable columns
    found, _ = nnls(np.array(rows) * scale, np.array(spent_s))
    outside_s, receive_s, send_s, copy_s = (float(each) for each in found * scale)
    return Handling(outside_s + call_s, receive_s, send_s, copy_s)


def _spent(toy: Toy, path: Path, way: str) -> list[tuple[tuple[float, ...], float]]:
    """Of each unit: calls, messages in and out, bytes copied; and the seconds it spent on them, an item."""
    run, program = _run(toy, path, way)
    around = traffic(program)
    found: list[tuple[tuple[float, ...], float]] = []
    for segment in program.segments:
        figures = run.devices[segment.unit.partition("/")[0]]
        own_s = _median_s(run, segment.name)
        each = around[segment.name]
        row = (1.0, float(each.received), float(each.sent), float(each.copied_bytes))
        found.append((row, max(0.0, (figures.cpu_s or 0.0) / run.items - own_s)))
    return found


def _median_s(run: Run, segment: str) -> float:
    """What a segment takes when nothing disturbs it."""
    return statistics.median(
        span.end_s - span.start_s for span in run.spans if span.kind == "run" and span.name == segment
    )


def _run(toy: Toy, path: Path, way: str) -> tuple[Run, Program]:
    codec.write_bytes(_model(toy), path)
    graph = load(path)
    plan = _plan(graph, toy)
    run = execute(plan, Settings(items=ITEMS, over=way, compare=False)).run
    return run, program_of(graph, plan.replicas, plan.window, graph.name)


def _plan(graph: Graph, toy: Toy) -> Plan:
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
        Device(f"d{index}", "this-machine", (cpu,), 1 << 40, 1 << 40, 0.0) for index in range(len(groups))
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

    matrix = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32) / WIDTH
    fill = np.ones((1, toy.elements), np.float32)
    nodes: list[onnx.NodeProto] = []
    outputs: list[str] = []

    def op(device: int, kind: str, *inputs: str, output: str = "") -> str:
        output = output or f"{device}/{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [output], name=output))
        return output

    def worked(device: int, value: str) -> str:
        return op(device, "ReduceMean", op(device, "MatMul", value, "matrix") if toy.work else value)

    first = worked(0, "x")
    between = [op(0, "Add", first, "fill") for _ in range(toy.wide)]
    for reader in range(1, toy.readers + 1):
        spread = op(reader, "Add", op(reader, "ReduceMean", op(reader, "Sum", *between)), "row")
        outputs.append(op(reader, "Mul", worked(reader, spread), "one", output=f"{reader}/y"))
    row = np.ones((1, WIDTH), np.float32)
    constants: dict[str, NDArray[np.float32]] = {
        "matrix": matrix,
        "fill": fill,
        "row": row,
        "one": np.ones(1, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("x", 1, (1, WIDTH))],
        [helper.make_tensor_value_info(name, 1, (1, 1)) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
