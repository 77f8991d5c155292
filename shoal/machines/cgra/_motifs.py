"""Threes of a graph that values stay within: fan-in, fan-out, chain. Disjoint ones, as many as possible, without a deadlock.

Loads and stores are left out, and values of earlier iterations. A choice of motifs is possible if no two share a node and
the graph in which each of them is one node has no cycle within an iteration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from shoal.errors import ProgramError
from shoal.machines.cgra._graph import Dataflow, ordered
from shoal.search import Milp

Kind = Literal["fan-in", "fan-out", "chain"]
TIMES: Mapping[
    str, tuple[tuple[int, int, int], ...]
] = {  # cycles of the three nodes, one of them a cycle off or not
    "fan-in": ((0, 0, 1), (0, 1, 2), (1, 0, 2), (0, 0, 2)),
    "fan-out": ((0, 1, 1), (0, 1, 2), (0, 2, 1)),
    "chain": ((0, 1, 2), (0, 1, 3), (0, 2, 3)),
}
EXACT_NODES = 60  # of a graph, up to which the best choice is sought
TRIES = 1000  # of taking motifs out and growing others


@dataclass(frozen=True, order=True)
class Motif:
    """Three nodes: fan-in (a, b, both read by c), fan-out (a, read by b and c), chain (a, b, c)."""

    kind: Kind
    nodes: tuple[int, int, int]


def candidates(graph: Dataflow) -> tuple[Motif, ...]:
    """Every three that fits, each once: of the same nodes the kind that is met first."""
    found: dict[frozenset[int], Motif] = {}
    for motif in _all(graph):
        if len(set(motif.nodes)) == 3:
            found.setdefault(frozenset(motif.nodes), motif)
    return tuple(found.values())


def greedy(graph: Dataflow, seed: int = 0, tries: int = TRIES) -> tuple[Motif, ...]:
    """Motifs one after another, scarce nodes first; then again and again some are taken out and others grown."""
    every = candidates(graph)
    if not every:
        return ()
    rng = np.random.default_rng(seed)
    scarce = {node: sum(node in motif.nodes for motif in every) for node in range(len(graph.nodes))}
    chosen = _grown(graph, (), sorted(every, key=lambda motif: sum(scarce[node] for node in motif.nodes)))
    most = _eligible(graph) // 3
    for _ in range(tries):
        if len(chosen) == most:
            break
        out = _some(graph, chosen, rng)
        mixed = [every[at] for at in rng.permutation(len(every))]
        tried = _grown(graph, tuple(each for each in chosen if each not in out), mixed)
        if len(tried) >= len(chosen):
            chosen = tried
    return chosen


def exact(graph: Dataflow, time_limit_s: float = 60.0) -> tuple[Motif, ...]:
    """The most motifs that are possible: set packing by HiGHS, with a row more for each deadlock that an answer has.

    Raises:
        MissingExtra: highspy is not installed.
        ProgramError: the time is up before it is known that no choice is better.
    """
    every = candidates(graph)
    programme = Milp()
    columns = [programme.binary(cost=-1.0) for _ in every]
    for node in range(len(graph.nodes)):
        programme.row(
            [(column, 1.0) for column, motif in zip(columns, every, strict=True) if node in motif.nodes], high=1.0
        )
    while True:
        found = programme.solve(time_limit_s=time_limit_s)
        if found.status != "optimal":
            raise ProgramError("the best motifs were not found in time", where=graph.name)
        chosen = [at for at, column in enumerate(columns) if found.values[column] > 0.5]
        stuck = _deadlock(graph, [every[at] for at in chosen])
        if not stuck:
            return tuple(every[at] for at in chosen)
        programme.row([(columns[chosen[at]], 1.0) for at in stuck], high=len(stuck) - 1.0)


def coverage(graph: Dataflow, motifs: Iterable[Motif]) -> float:
    """The share of nodes that may be in motifs and are."""
    return 3 * len(tuple(motifs)) / max(1, _eligible(graph))


def _eligible(graph: Dataflow) -> int:
    return sum(not node.memory for node in graph.nodes)


def _all(graph: Dataflow) -> Iterator[Motif]:
    def inner(at: int, incoming: bool) -> list[int]:
        edges = graph.entering[at] if incoming else graph.leaving[at]
        others = [
            each.source if incoming else each.target for each in edges if not each.distance and each.place >= 0
        ]
        return [other for other in dict.fromkeys(others) if not graph.nodes[other].memory]

    for at, node in enumerate(graph.nodes):
        if node.memory:
            continue
        before, after = inner(at, True), inner(at, False)
        for a, b in combinations(before, 2):
            yield Motif("fan-in", (a, b, at))
        for a, b in combinations(after, 2):
            yield Motif("fan-out", (at, a, b))
        for a in before:
            for c in after:
                yield Motif("chain", (a, at, c))


def _grown(graph: Dataflow, kept: Sequence[Motif], more: Iterable[Motif]) -> tuple[Motif, ...]:
    chosen, taken = list(kept), {node for motif in kept for node in motif.nodes}
    for motif in more:
        if not taken & set(motif.nodes) and not _deadlock(graph, [*chosen, motif]):
            chosen.append(motif)
            taken |= set(motif.nodes)
    return tuple(chosen)


def _some(graph: Dataflow, chosen: Sequence[Motif], rng: np.random.Generator) -> set[Motif]:
    """One to three motifs and those next to them."""
    if not chosen:
        return set()
    out = {chosen[int(at)] for at in rng.integers(len(chosen), size=int(rng.integers(1, 4)))}
    near = {end for motif in out for node in motif.nodes
            for edge in (*graph.entering[node], *graph.leaving[node]) for end in (edge.source, edge.target)}  # fmt: skip
    return out | {motif for motif in chosen if near & set(motif.nodes)}


def _deadlock(graph: Dataflow, motifs: Sequence[Motif]) -> list[int]:
    """Motifs that wait for one another, or none."""
    group = list(range(len(graph.nodes)))
    for at, motif in enumerate(motifs):
        for node in motif.nodes:
            group[node] = len(graph.nodes) + at
    names = {each: at for at, each in enumerate(dict.fromkeys(group))}
    arcs = [(names[group[e.source]], names[group[e.target]]) for e in graph.edges
            if not e.distance and group[e.source] != group[e.target]]  # fmt: skip
    done = set(ordered(len(names), arcs))
    stuck = {each for each, at in names.items() if at not in done}
    return _circle(
        stuck, [(group[e.source], group[e.target]) for e in graph.edges if not e.distance], len(graph.nodes)
    )


def _circle(stuck: set[int], arcs: Sequence[tuple[int, int]], nodes: int) -> list[int]:
    """The motifs on one circle among groups that are stuck; each of these has an arc from another one."""
    if not stuck:
        return []
    before = {target: source for source, target in arcs if source != target and source in stuck and target in stuck}
    seen: list[int] = [next(iter(stuck))]
    while before[seen[-1]] not in seen:
        seen.append(before[seen[-1]])
    return [each - nodes for each in seen[seen.index(before[seen[-1]]) :] if each >= nodes]
