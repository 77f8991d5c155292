"""Plaid's loops: each on each array, carried out, with the cycles that follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np

from shoal.errors import LimitError
from shoal.machines.cgra import (
    KERNELS,
    Cut,
    Dataflow,
    Fabric,
    Kernel,
    Mapping,
    Motif,
    Silicon,
    coverage,
    cut,
    exact,
    executed,
    greedy,
    mapped,
    on_array,
)
from shoal.study.contract import Chart, Finding, Note, Series, Shown, Table

SEEDS = 3  # of the data that each mapping is carried out on


@dataclass(frozen=True)
class Loops:
    """One kernel, so often unrolled, on the arrays."""

    kernel: Kernel
    unroll: int
    graph: Dataflow
    motifs: tuple[Motif, ...]
    conventional: Mapping
    plaid: Mapping
    spatial: Cut
    spatial_unroll: int  # 1 where the array that stands still cannot hold a cycle of values of several copies

    @property
    def name(self) -> str:
        """Of the kernel, with its copies."""
        return f"{self.kernel.name} ×{self.unroll}"

    def over_conventional(self, iterations: int) -> float:
        """Plaid's cycles over the conventional array's."""
        return self.plaid.cycles(iterations) / self.conventional.cycles(iterations)

    def over_spatial(self, iterations: int) -> float:
        """The spatial array's cycles over Plaid's, for the same work."""
        copies = self.unroll // self.spatial_unroll
        return self.spatial.cycles(iterations * copies) / self.plaid.cycles(iterations)


def compiled(kernel: Kernel, unroll: int, arrays: tuple[Fabric, Fabric, Fabric], rounds: int, seed: int) -> Loops:
    """Map one kernel on a conventional array, on Plaid and on one that stands still."""
    conventional, plaid, spatial = arrays
    graph = kernel.graph(unroll)
    motifs = greedy(graph, seed)
    copies = unroll
    try:
        pieces = cut(graph, spatial, seed)
    except LimitError:
        pieces, copies = cut(kernel.graph(), spatial, seed), 1
    return Loops(kernel, unroll, graph, motifs, mapped(graph, conventional, seed=seed, rounds=rounds),
                 mapped(graph, plaid, motifs, seed, rounds=rounds), pieces, copies)  # fmt: skip


def right(loops: Loops) -> bool:
    """Whether each array gives what numpy gives, for several draws."""
    kinds: Sequence[tuple[Mapping, ...]] = ((loops.conventional,), (loops.plaid,), loops.spatial.mappings)
    return all(_agrees(loops, mappings, seed) for mappings in kinds for seed in range(SEEDS))


def _agrees(loops: Loops, mappings: tuple[Mapping, ...], seed: int) -> bool:
    memory = loops.kernel.drawn(seed)
    expected = loops.kernel.expected({name: values.copy() for name, values in memory.items()})
    held = {**memory, **loops.spatial.between()}
    for scalars in loops.kernel.entries():
        for mapping in mappings:
            executed(mapping, held, scalars)
    return all(np.array_equal(held[name], values.ravel()) for name, values in expected.items())


def chosen(names: Sequence[str], unrolls: Sequence[int], largest: int) -> Iterator[tuple[Kernel, int]]:
    """Kernels by name, or "all", as often unrolled as there is room for."""
    for kernel in KERNELS.values():
        if kernel.name in names or "all" in names:
            yield from ((kernel, each) for each in unrolls if len(kernel.graph(each).nodes) <= largest)


def mean(values: Sequence[float]) -> float:
    """The geometric one."""
    return exp(sum(map(log, values)) / len(values))


def performance(every: Sequence[Loops], iterations: int) -> Iterator[Shown]:
    """Correctness, bounds and cycles."""
    wrong = [each.name for each in every if not right(each)]
    yield Finding("maps", not wrong, "simulated", len(every), why=", ".join(wrong) or f"{SEEDS} draws of data each")
    mappings = [mapping for each in every for mapping in (each.conventional, each.plaid, *each.spatial.mappings)]
    yield Finding("bound", all(each.ii >= each.least for each in mappings), "computed", len(mappings))
    against = [each.over_conventional(iterations) for each in every]
    yield Finding(
        "same_speed", mean(against), "simulated", len(every), (min(against), max(against)), "interval: all loops"
    )
    over = [each.over_spatial(iterations) for each in every]
    yield Finding(
        "over_spatial", mean(over), "simulated", len(every), (min(over), max(over)), "interval: all loops"
    )
    rows = [(each.name, len(each.graph.nodes), each.graph.memory, each.plaid.least, each.conventional.ii, each.plaid.ii,
             sum(piece.ii for piece in each.spatial.mappings), each.conventional.length, each.plaid.length,
             round(there, 2), round(still, 2)) for each, there, still in zip(every, against, over, strict=True)]  # fmt: skip
    yield Table("Loops", ("loop", "nodes", "loads, stores", "least interval", "interval, conventional", "Plaid",
                          "spatial, all pieces", "length, conventional", "length, Plaid", "Plaid over conventional",
                          "spatial over Plaid"), rows,
                f"intervals and lengths in cycles; ratios of cycles for {iterations} iterations an entry; the spatial array takes "
                "the body without copies where one piece cannot hold a cycle of values of all copies")  # fmt: skip
    names = [each.name for each in every]
    yield Chart("Cycles against Plaid's", "loop", "times", (
        Series("conventional", names, [1 / each for each in against]), Series("spatial", names, over)), kind="bars")  # fmt: skip
    yield Note(
        "Cycles of values are not reassociated: sums over a loop's iterations stay one after another when unrolled."
    )


def mining(every: Sequence[Loops], exact_nodes: int) -> Iterator[Shown]:
    """How much of loops is in motifs, and how far greedy ones are from the best."""
    shares = [100 * coverage(each.graph, each.motifs) for each in every]
    yield Finding("covered", sum(shares) / len(shares), "computed", len(shares), (min(shares), max(shares)),
                  "of nodes but loads and stores; interval: all loops")  # fmt: skip
    small = [each for each in every if len(each.graph.nodes) < exact_nodes]
    best = [len(exact(each.graph)) for each in small]
    gaps = [100 * (1 - len(each.motifs) / most) for each, most in zip(small, best, strict=True) if most]
    yield Finding("greedy", max(gaps, default=0.0), "computed", len(gaps), why="the largest gap of all loops")
    kinds = ("fan-in", "fan-out", "chain")
    yield Table("Motifs", ("loop", *kinds, "covered, %"),
                [(each.name, *(sum(motif.kind == kind for motif in each.motifs) for kind in kinds), round(share))
                 for each, share in zip(every, shares, strict=True)])  # fmt: skip


def silicon(loops: Loops) -> tuple[Silicon, Silicon]:
    """On the conventional array and on Plaid."""
    return on_array(loops.conventional), on_array(loops.plaid)
