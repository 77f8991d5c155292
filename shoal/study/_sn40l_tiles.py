"""Groups of the mapper run tile by tile on this machine: the same tensors, what they take, and what stops tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.graph import Graph
from shoal.plan.fusion import Fabric, Mapped, fused
from shoal.plan.streams import Streamed, Streams
from shoal.run.streams import Ran, run_streamed
from shoal.study import Bench, Finding, Shown, Table, words
from shoal.study._sn40l_fusion import EDGE, run_groups
from shoal.study._sn40l_graphs import SMALL, decoder, fourier
from shoal.train.language import Decoder, save_language

Arrays = Mapping[str, NDArray[Any]]
TILES = 16  # of a tensor
SPELLED = Decoder(width=64, layers=2, heads=4, hidden=128)


@dataclass(frozen=True)
class Case:
    """A network, its groups, and both runs."""

    name: str
    graph: Graph
    mapped: Mapped
    streamed: tuple[Streamed, ...]
    ran: Ran
    whole: Ran  # op by op
    off: float  # of the largest value of each output

    @property
    def held(self) -> int:
        """Tensors within groups that do not pass in tiles."""
        return sum(len(each.lanes.held) for each in self.streamed)

    @property
    def passing(self) -> int:
        """Those that do."""
        return sum(len(each.lanes.passing) for each in self.streamed)

    @property
    def most(self) -> int:
        """The group whose tiles take the most."""
        return max(range(len(self.streamed)), key=lambda at: self.ran.traced_bytes[at])

    @property
    def within(self) -> float:
        """The most that a group's tiles take, over what its plan sets aside for them."""
        pairs = zip(self.ran.traced_bytes, self.mapped.groups, strict=True)
        return max(traced / group.buffer_bytes for traced, group in pairs if len(group.ops) > 1)


def tiled(bench: Bench, models: str) -> Iterator[Shown]:
    """Networks with weights, a decoder and a convolution by Fourier transforms."""
    found = [_case(name, graph, chip, bench) for name, graph, chip in _networks(bench, models)]
    yield Table(
        "Groups run tile by tile on this machine",
        ("network", "groups", "pipelines", "tensors in tiles", "… held whole", "op by op, KB", "tile by tile, KB",
         "largest group: counted, KB", "… by Python's allocator", "… set aside by the plan", "off, of the largest value"),
        [(each.name, len(each.streamed), sum(len(group.pipelines) for group in each.streamed), each.passing, each.held,
          each.whole.peak_bytes / 1e3, each.ran.peak_bytes / 1e3, each.ran.inside_bytes[each.most] / 1e3,
          each.ran.traced_bytes[each.most] / 1e3, each.mapped.groups[each.most].buffer_bytes / 1e3, each.off)
         for each in found],
        note=f"intermediate tensors at their peak, inputs, answers and weights apart; {TILES} tiles of a tensor",
    )  # fmt: skip
    yield _stops(found)
    exact = [each.name for each in found if each.off == 0]
    yield Finding("tiles", max(each.off for each in found), "measured", len(found),
                  why=f"bit by bit the same: {', '.join(exact) or 'none'}")  # fmt: skip
    worst = max(found, key=_gain)
    yield Finding("tile_bytes", _gain(worst), "measured", len(found),
                  why=", ".join(f"{each.name} {_gain(each):.2f}" for each in found))  # fmt: skip
    yield Finding("tile_plan", max(each.within for each in found), "measured", len(found),
                  why="the most of all groups; tiles on their way among what is measured")  # fmt: skip


def _networks(bench: Bench, models: str) -> Iterator[tuple[str, Graph, Fabric]]:
    """Each with a chip on which it is more than one group."""
    small = replace(EDGE, tiles=TILES)
    for name in bench.each(() if models == "none" else words(models), "tile by tile"):
        yield name, bench.model(name).graph, replace(small, sram_bytes=4 << 20)
    rng = np.random.default_rng(bench.seed)
    weights = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in SPELLED.shapes().items()}
    path = save_language(SPELLED, weights, SPELLED.context, bench.scratch / "spelled.onnx")
    yield "a decoder of 128 places", bench.load(path).graph, replace(small, sram_bytes=1 << 20)
    few = decoder(SMALL, 2, 32, 64, bench.scratch, half=False)
    yield "a decoder with what it kept", few, replace(small, sram_bytes=128 << 10)
    yield "Fourier convolution", fourier(2, 64, 16, bench.scratch, half=False), replace(small, sram_bytes=256 << 10)


def _case(name: str, graph: Graph, chip: Fabric, bench: Bench) -> Case:
    rng = np.random.default_rng(bench.seed)
    given = {each: _drawn(graph, each, rng) for each in graph.given}
    mapped, streams = fused(graph, chip), Streams(graph, chip.tiles)
    groups = tuple(streams.streamed(each.ops) for each in mapped.groups)
    ran = run_streamed(graph, groups, given, traced=True)
    alone = [(op.name,) for op in graph.ops]
    whole = run_streamed(graph, [Streams(graph, 1).streamed(each) for each in alone], given)
    wanted = run_groups(graph, alone, given, bench.scratch)
    off = max(_off(ran.outputs[each], wanted[each]) for each in graph.outputs)
    return Case(name, graph, mapped, groups, ran, whole, off)


def _drawn(graph: Graph, name: str, rng: np.random.Generator) -> NDArray[Any]:
    tensor = graph.tensors[name]
    if np.issubdtype(np.dtype(tensor.dtype), np.integer):
        return rng.integers(0, 256, tensor.shape).astype(tensor.dtype)
    return rng.standard_normal(tensor.shape).astype(tensor.dtype)


def _off(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    return float(np.abs(found - wanted).max()) / (float(np.abs(wanted).max()) or 1.0)


def _gain(case: Case) -> float:
    return case.ran.peak_bytes / case.whole.peak_bytes


def _stops(cases: list[Case]) -> Table:
    """For each kind of op because of which a tensor is held: how often, how much, and the largest by name."""
    rows = []
    for case in cases:
        tensors, kinds = case.graph.tensors, dict[str, list[tuple[int, str, str]]]()
        for each in (held for group in case.streamed for held in group.lanes.held):
            kind = case.graph.ops[case.graph.position[each.reader]].kind
            kinds.setdefault(kind, []).append((tensors[each.tensor].bytes, each.reader, each.why))
        for kind, found in sorted(kinds.items(), key=lambda item: -max(item[1])[0]):
            size, op, why = max(found)
            rows.append((case.name, kind, len(found), size / 1e3, op, why))
    return Table("What stops tiles", ("network", "kind", "tensors held", "largest, KB", "read by", "why"), rows,
                 note="nothing: every tensor passes in tiles")  # fmt: skip
