"""Mapping files on real workers: divided layers of every kind, and whole ones in any order with many items in flight."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from examples.models import light
from shoal import codec
from shoal.cost.models.roofline import Roofline
from shoal.errors import PlanError
from shoal.graph import Graph, load
from shoal.plan import ModelRef, Plan, Wishes, search
from shoal.program import Workload
from shoal.record import Run
from shoal.run import Settings, execute
from shoal.run.pack import pack
from tests.graph.models import floats, info, model, node, write
from tests.run import plans

ROOT = Path(__file__).parents[2]
FLIGHTS = 50  # items in flight at a time
ITEMS = 64
CONVS: dict[str, dict[str, Any]] = {
    "strided": {"kernel": (8, 3, 3, 3), "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "dilated": {"kernel": (8, 8, 3, 3), "dilations": [2, 2], "pads": [2, 2, 2, 2]},
    "grouped": {"kernel": (12, 4, 3, 3), "group": 2, "strides": [2, 1], "pads": [1, 1, 1, 1]},
    "depthwise": {"kernel": (12, 1, 5, 5), "group": 12, "pads": [2, 2, 2, 2]},
    "pointwise": {"kernel": (6, 12, 1, 1)},
}
D0, D1 = "d0/cpu", "d1/cpu"


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    """Convolutions of each sort, a pool, two dense layers."""
    nodes, weights, last = [], {}, "x"
    for number, (name, given) in enumerate(CONVS.items()):
        attributes = dict(given)
        kernel = attributes.pop("kernel")
        weights |= {f"w{number}": floats(*kernel, seed=number) / 4, f"b{number}": floats(kernel[0], seed=number)}
        nodes += [node("Conv", f"{last} w{number} b{number}", name, **attributes), node("Relu", name, f"r{number}")]
        last = f"r{number}"
    weights |= {"wd": floats(6 * 12 * 24, 10) / 20, "bd": floats(10), "we": floats(4, 10), "be": floats(4)}
    nodes += [
        node("Flatten", last, "flat"),
        node("Gemm", "flat wd bd", "dense"),
        node("Gemm", "dense we be", "turned", transB=1),
    ]
    return load(write(model(nodes, [info("x", [1, 3, 48, 48])], ["turned"], weights), tmp_path))


def mapped(graph: Graph, folder: Path, mapping: Mapping[str, Any], count: int = 2, window: int = 8) -> Plan:
    """The plan of a mapping file."""
    path = folder / "mapping.json"
    path.write_text(json.dumps(mapping))
    machines = plans.fleet(count)
    sizes = {name: graph.tensors[name].shape for name in graph.inputs}
    wishes = Wishes(planner=f"mapping_file:path={path}", workload=Workload(ITEMS, window=window))
    reference = ModelRef(graph.name, graph.source, graph.sha256, sizes)
    return search(graph, reference, machines, Roofline().over(graph, machines, ()), wishes).plan


def shared(graph: Graph, kind: str) -> dict[str, Any]:
    """Whole ops on the devices in turn, and each layer that can be divided so shared unevenly by both."""
    entries: dict[str, Any] = {}
    for op in graph.ops:
        shape = graph.tensors[op.name].shape
        if op.kind == "Conv" or (op.kind == "Gemm" and kind in ("lop", "lip")):
            depth = CONVS[op.name]["kernel"][1] if op.kind == "Conv" else graph.tensors[op.inputs[0]].shape[1]
            size = {"lop": shape[1], "lip": depth, "height": shape[-2], "width": shape[-1]}[kind]
            first = max(1, size // 3)
            if size > 1:
                entries[op.name] = [kind, [first, size if kind == "lop" else size - first], [D1, D0]]
    rest = [op.name for op in graph.ops if op.name not in entries]
    return {D0: rest[::2], D1: rest[1::2], "split": entries}


@pytest.mark.parametrize("kind", ["lop", "lip", "height", "width"])
def test_divided_layers_on_real_workers(kind: str, graph: Graph, tmp_path: Path) -> None:
    mapping = shared(graph, kind)
    assert len(mapping["split"]) == {"lop": 7, "lip": 6, "height": 5, "width": 5}[kind]
    plan = mapped(graph, tmp_path, mapping)
    result = execute(plan, Settings(items=8, over="shm"))
    assert not result.failure
    assert result.run.outputs_match
    assert all(figures.sent_bytes > 0 and figures.cpu_s for figures in result.run.devices.values())


@pytest.mark.parametrize("over", ["memory", "tcp"])
def test_all_kinds_in_one_network(over: str, graph: Graph, tmp_path: Path) -> None:
    kinds = {"strided": "height", "dilated": "width", "grouped": "lip", "depthwise": "lop", "pointwise": "height"}
    kinds |= {"dense": "lip", "turned": "lop"}
    entries = {op: shared(graph, kind)["split"][op] for op, kind in kinds.items()}
    rest = [op.name for op in graph.ops if op.name not in entries]
    plan = mapped(graph, tmp_path, {D1: rest[:4], D0: rest[4:], "split": entries})
    result = execute(plan, Settings(items=8, over=over))
    assert result.run.outputs_match


def test_nothing_starts_where_a_layer_cannot_be_divided_so(graph: Graph, tmp_path: Path) -> None:
    mapping = shared(graph, "lop")
    mapping["split"]["depthwise"] = ["lip", [1], [D0]]
    with pytest.raises(
        PlanError, match=r"op 'depthwise' \(Conv\) cannot be divided so: each of its groups has one"
    ):
        mapped(graph, tmp_path, mapping)
    assert not plans.workers()


def test_divided_layers_over_mpi(graph: Graph, tmp_path: Path) -> None:
    """Packed folders, started by a real mpirun; the model itself is gone."""
    pytest.importorskip("mpi4py")
    plan = mapped(graph, tmp_path, shared(graph, "lip"))
    pack(plan, tmp_path / "packed")
    Path(graph.source).unlink()
    binaries = Path(sys.executable).parent
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [tmp_path / "packed" / "mpirun.sh", "--oversubscribe"], cwd=tmp_path, timeout=110, check=False,
        env={**os.environ, **root, "PYTHONPATH": str(ROOT), "PATH": path, "SHOAL_CACHE": str(tmp_path / "cache")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = codec.load(Run, tmp_path / "run.json")
    assert found.outputs_match
    assert found.items == len(found.latencies_s) == 32


SPREADS: Mapping[str, Callable[[Graph, int], list[int]]] = {
    "contiguous": plans.contiguous,
    "alternating": plans.alternating,
    "crossing": plans.crossing,
}


def in_flight(name: str, spread: str, folder: Path) -> None:
    """Many items at a time under a mapping of whole ops over three devices."""
    graph = load(light.seeded(name))
    owners = SPREADS[spread](graph, 3)
    mapping: dict[str, list[str]] = {}
    for op, owner in zip(graph.ops, owners, strict=True):
        mapping.setdefault(f"d{owner}/cpu", []).append(op.name)
    plan = mapped(graph, folder, mapping, 3, window=FLIGHTS)
    assert len(plan.units) == len(set(owners)) > 1
    result = execute(plan, Settings(items=ITEMS, over="shm"))
    assert not result.failure
    assert result.run.window == FLIGHTS
    assert result.run.outputs_match
    assert len(result.run.latencies_s) == ITEMS


def test_many_items_in_flight(tmp_path: Path) -> None:
    in_flight("squeezenet", "alternating", tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("name", ["inception_v1", "densenet121"])
def test_many_items_in_flight_of_big_ones(name: str, spread: str, tmp_path: Path) -> None:
    in_flight(name, spread, tmp_path)
