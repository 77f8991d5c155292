"""Fusing on networks op by op: limits, bytes, speed, and the same tensors group by group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.cost.composition import machine
from shoal.errors import LimitError
from shoal.graph import Graph, extract, load, save
from shoal.plan.addresses import least_bytes, lives, placed
from shoal.plan.fusion import Fabric, Mapped, fused, unfused
from shoal.study import Bench, Chart, Finding, Note, Series, Shown, Table, words
from shoal.study._sn40l_graphs import LLAMA_7B, LLAMA_13B, LLAMA_70B, SMALL, decoder, fourier

EDGE = Fabric(256, 4e12, 8 << 20, 100e9, 5e-6)  # a small chip, on which light models are more than one group
Arrays = Mapping[str, NDArray[Any]]


def socket(launch_s: float) -> Fabric:
    """All sockets of a node as one chip: what goes between sockets takes no time."""
    on = machine("sn40l")
    return Fabric(on.sockets * on.units, on.sockets * on.flop_per_s, on.sockets * on.sram_bytes,
                  on.sockets * on.fast_bytes_per_s, launch_s)  # fmt: skip


def fusing(bench: Bench, launch_s: float, models: str, quick: bool) -> Iterator[Shown]:
    """Published sizes on a node, light models on a small chip."""
    node = socket(launch_s)
    pairs = [
        (name, fused(graph, replace(node, orchestrated=True)), unfused(graph, node), graph)
        for name, graph in _large(bench.scratch, quick)
    ]
    software = {name: fused(graph, node) for name, *_, graph in pairs}
    yield _table("On SN40L, 8 sockets", [(*each, software[each[0]]) for each in pairs])
    speed = {name: apart.seconds / whole.seconds for name, whole, apart, _ in pairs}
    inside = [2 <= each <= 13 for each in speed.values()]
    yield Finding("fusion", 100 * sum(inside) / len(inside), "modelled", len(inside),
                  why="the chip launches groups, software the ops by themselves: "
                      + ", ".join(f"{name} {each:.3g} ×" for name, each in speed.items()))  # fmt: skip
    intensity = {name: _intensity(apart) for name, _, apart, _ in pairs}
    without = {name: _seconds(apart) / _seconds(whole) for name, whole, apart, _ in pairs}
    best = max(speed, key=lambda name: speed[name])
    yield Finding("fourier", speed["Fourier convolution"] / max(each for name, each in speed.items() if "Fou" not in name),
                  "modelled", len(speed), why=f"most gained by {best}")  # fmt: skip
    yield Chart("Speed-up by operations for a byte of the ops by themselves", "flop/B", "×",
                (Series("with launches", [intensity[name] for name in speed], [*speed.values()]),
                 Series("without", [intensity[name] for name in speed], [without[name] for name in speed])),
                kind="points", log_x=True)  # fmt: skip
    yield Note("Both sides are the same machine. The Fourier convolution is spelled in real numbers, so that by itself each "
               "complex product is six ops that go through memory, and one launch stands against one for each of them: with "
               "kernels of complex numbers it would gain less. A decoder that answers waits for launches op by op; its "
               "weights are read either way. What sockets say to each other takes no time here.")  # fmt: skip
    small = [(name, load(bench.light(name))) for name in words(models)]
    edge = [
        (name, fused(graph, replace(EDGE, orchestrated=True)), unfused(graph, EDGE), graph) for name, graph in small
    ]
    yield _table("Light models on a chip of 256 units and 8 MiB", [(*each, fused(each[3], EDGE)) for each in edge])
    every = [*pairs, *edge]
    yield Finding("limits", all(_kept(whole, graph) for _, whole, _, graph in every), "computed", len(every))
    yield Finding("bytes", max(whole.moved_bytes / apart.moved_bytes for _, whole, apart, _ in every), "computed",
                  len(every))  # fmt: skip
    yield Finding("addresses", max(placed(lives(graph)).peak_bytes / least_bytes(lives(graph)) for *_, graph in every),
                  "computed", len(every))  # fmt: skip
    yield _tiled(small[0][1])
    yield _same(bench)


def _large(folder: Path, quick: bool) -> Iterator[tuple[str, Graph]]:
    yield "Llama 2 7B, decode", decoder(LLAMA_7B, 1, 1, 2048, folder)
    yield "Fourier convolution", fourier(4, 768, 64, folder)
    if not quick:
        yield "Llama 2 7B, prefill", decoder(LLAMA_7B, 1, 4096, 4096, folder)
        yield "Llama 2 7B, decode of 8", decoder(LLAMA_7B, 8, 1, 4096, folder)
        yield "Llama 2 13B, decode", decoder(LLAMA_13B, 1, 1, 2048, folder)
        yield "Llama 2 70B, decode", decoder(LLAMA_70B, 1, 1, 4096, folder)
        yield "Llama 2 70B, prefill", decoder(LLAMA_70B, 1, 4096, 4096, folder)


def _table(title: str, rows: list[tuple[str, Mapped, Mapped, Graph, Mapped]]) -> Table:
    return Table(
        title, ("network", "ops", "groups", "flop/B unfused", "bytes unfused over fused", "speed-up, ×",
                "… groups launched from software, ×", "… without launches, ×", "on the chip, MB"),
        [(name, len(graph.ops), len(whole.groups), _intensity(apart), apart.moved_bytes / whole.moved_bytes,
          apart.seconds / whole.seconds, apart.seconds / software.seconds, _seconds(apart) / _seconds(whole),
          max(each.sram_bytes for each in whole.groups) / 1e6) for name, whole, apart, graph, software in rows],
        note="the same machine op by op, each launched from software, and in groups, of which the chip launches all but "
             "the first; of decoders two layers are laid out, of the largest one",
    )  # fmt: skip


def _intensity(apart: Mapped) -> float:
    return sum(each.flop for each in apart.groups) / apart.moved_bytes


def _seconds(of: Mapped) -> float:
    """Without launches."""
    launched = 0 if of.fabric.orchestrated else sum(each.moved_bytes > 0 for each in of.groups)
    return of.seconds - of.first_s - launched * of.fabric.launch_s


def _kept(found: Mapped, graph: Graph) -> bool:
    fabric, names = found.fabric, [name for each in found.groups for name in each.ops]
    return names == [op.name for op in graph.ops] and all(
        each.sram_bytes <= fabric.sram_bytes and sum(each.units) <= fabric.units and min(each.units) >= 1
        for each in found.groups
    )


def _tiled(graph: Graph) -> Finding:
    try:
        fused(graph, replace(EDGE, sram_bytes=1024))
    except LimitError as refused:
        return Finding("tiled", "must be tiled" in refused.what, "computed", why=refused.message)
    return Finding("tiled", False, "computed")


def _same(bench: Bench) -> Finding:
    """A network with weights, and a small decoder, group by group as by one session."""
    rng = np.random.default_rng(bench.seed)
    graphs = (bench.model("squeezenet").graph, decoder(SMALL, 2, 8, 8, bench.scratch, half=False),
              fourier(2, 3, 8, bench.scratch, half=False))  # fmt: skip
    off, groups = 0.0, 0
    for graph in graphs:
        sram_bytes = 4 << 20 if graph is graphs[0] else 24 << 10
        mapped = fused(graph, replace(EDGE, sram_bytes=sram_bytes))
        given = {name: rng.standard_normal(graph.tensors[name].shape).astype(np.float32) for name in graph.given}
        alone = run_groups(graph, [(op.name,) for op in graph.ops], given, bench.scratch)
        found = run_groups(graph, [each.ops for each in mapped.groups], given, bench.scratch)
        groups += len(mapped.groups)
        for name in graph.outputs:
            most = float(np.abs(alone[name]).max()) or 1.0
            off = max(off, float(np.abs(found[name] - alone[name]).max()) / most)
    return Finding(
        "tensors", off, "measured", len(graphs), why=f"{groups} groups; of the largest value of each output"
    )


def run_groups(graph: Graph, groups: Sequence[tuple[str, ...]], given: Arrays, folder: Path) -> Arrays:
    """Every group as a model of its own, one after another; each tensor is there until the end."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    there, path = dict(given), folder / "group.onnx"
    for ops in groups:
        save(extract(graph, ops), path, external=False)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_outputs()]
        found = session.run(names, {each.name: there[each.name] for each in session.get_inputs()})
        there.update(zip(names, found, strict=True))
    return there
