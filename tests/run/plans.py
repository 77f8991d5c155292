"""Plans made by hand: small fleets, and ways to spread a graph over them that no planner would choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import psutil

import shoal
from shoal.fleet import Device, Fleet, Link, Unit
from shoal.graph import Graph, cuts
from shoal.plan import Group, ModelRef, Objective, Plan, Recipe, Replica
from shoal.plan.lower import program_of
from shoal.program import Workload
from shoal.record import Prediction
from shoal.run.samples import Arrays

MANY_BYTES = 1 << 40
Spread = Callable[[Graph, int], list[int]]  # a graph and a number of devices → the device of each op
UNKNOWN = Prediction(1.0, 1.0, 1.0, {}, {}, {}, {})  # nothing here was estimated


def fleet(count: int) -> Fleet:
    """Devices d0, d1 … with one core each."""
    unit = Unit("cpu", 1, {"float32": 1e10}, 1e9, 1.0)
    devices = tuple(Device(f"d{i}", "this-machine", (unit,), MANY_BYTES, MANY_BYTES, 1.0) for i in range(count))
    return Fleet(devices, default_link=Link("any", (), 1e8, 1e-4))


def plan_of(graph: Graph, owners: Sequence[int], window: int = 8, engine: str = "onnxruntime") -> Plan:
    """The plan in which device `owners[i]` runs op i."""
    count = max(owners) + 1
    groups = tuple(
        Group(f"d{device}/cpu", ops, engine)
        for device in range(count)
        if (ops := tuple(op.name for op, owner in zip(graph.ops, owners, strict=True) if owner == device))
    )
    replicas = (Replica(groups),)
    sizes = {name: graph.tensors[name].shape for name in graph.inputs}
    program = program_of(graph, replicas, window, graph.name)
    return Plan(
        model=ModelRef(graph.name, graph.source, graph.sha256, sizes),
        fleet=fleet(count),
        objective=Objective(),
        workload=Workload(items=1, window=window),
        replicas=replicas,
        window=window,
        prediction=UNKNOWN,
        estimates={},
        segment_units={segment.name: segment.unit for segment in program.segments},
        recipe=Recipe("hand", "hand", shoal.__version__),
    )


def undivided(graph: Graph) -> list[int]:
    return [0] * len(graph.ops)


def contiguous(graph: Graph, count: int) -> list[int]:
    """Runs of equally many ops."""
    return [index * count // len(graph.ops) for index in range(len(graph.ops))]


def alternating(graph: Graph, count: int) -> list[int]:
    """The next device after each legal cut: A → B → A → B …"""
    ends = {cut.after for cut in cuts(graph)}
    owners, turn = [], 0
    for index in range(len(graph.ops)):
        owners.append(turn % count)
        turn += index in ends
    return owners


def crossing(graph: Graph, count: int) -> list[int]:
    """Each branch on another device: the n-th reader of a tensor is n devices further than its maker."""
    owners: list[int] = []
    for index, op in enumerate(graph.ops):
        name = op.inputs[0] if op.inputs else ""
        maker = graph.producer.get(name)
        place = graph.consumers[name].index(index) if name else 0
        owners.append(((0 if maker is None else owners[maker]) + place) % count)
    return owners


def reference(model: Path, inputs: Arrays) -> dict[str, np.ndarray]:
    """What plain onnxruntime answers for the whole file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # old files make it advise against weights among the inputs
    session = onnxruntime.InferenceSession(model, options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def assert_equal(found: Arrays, wanted: Arrays) -> None:
    """Within 1e-4 of the largest reference magnitude; integers and truth values exactly."""
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype
        if array.dtype.kind != "f":
            np.testing.assert_array_equal(found[name], array)
        else:
            np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-4 * float(np.abs(array).max()))


def workers(parent: int | None = None) -> list[psutil.Process]:
    """The worker processes of a coordinator (None: this process), oldest first."""
    children = psutil.Process(parent).children(recursive=True)
    return sorted((each for each in children if "shoal.worker" in _command(each)), key=lambda each: each.pid)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has just ended
        return []
