"""A chain of stages whose last part fans out into branches that several units share, as a decoder's head does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise, permutations
from math import comb

import numpy as np
from numpy.typing import NDArray

from shoal.graph.loops import spans
from shoal.graph.values import Graph
from shoal.plan.choices import units_engines
from shoal.plan.placement import Assessor
from shoal.plan.problem import Candidates, Problem
from shoal.plan.values import Group

TRIED = 20_000  # ways to share the trunk that are looked at; of longer chains some cuts are left out
ASSESSED = 24  # the best of them, which are assessed with their messages and memory
ORDERED = 4  # units up to which every order is tried


@dataclass(frozen=True)
class Shape:
    """A graph as a trunk, branches that read what its end gives, and what joins them; indices of ops, ascending."""

    trunk: tuple[tuple[int, ...], ...]  # between one cut and the next
    branches: tuple[tuple[int, ...], ...]
    tail: tuple[int, ...]


@dataclass(frozen=True)
class Fan:
    """Runs of the chain over the units, and the branches at its end to whoever has time left.

    Inputs that every layer reads, such as how long a sequence is, are brought to each unit by the item itself: unlike in
    `chain_dp` they are no reason not to cut. What joins the branches runs where the chain ends.
    """

    keep: int = ASSESSED  # placements that are assessed

    def search(self, problem: Problem) -> Candidates:
        """The front of the placements with the least load of the busiest unit."""
        shape = shape_of(problem.graph)
        engines = dict(zip(problem.units, units_engines(problem)[0], strict=True))
        seconds = {unit: problem.op_seconds(unit, engines[unit]) for unit in problem.units}
        found: dict[tuple[Group, ...], float] = {}
        for units in _orders(problem.units):
            for load_s, owners in _shared(shape, [seconds[unit] for unit in units], self.keep):
                groups = tuple(
                    Group(unit, tuple(problem.graph.ops[op].name for op in sorted(ops)), engines[unit])
                    for unit, ops in zip(units, owners, strict=True) if ops
                )  # fmt: skip
                found[groups] = load_s
        best = sorted(found, key=found.__getitem__)[: self.keep]
        assessor = Assessor(problem)
        fitting = [groups for groups in best if assessor.assess(groups).excess == 0]
        if not fitting:
            return Candidates((), np.empty((0, 4)), exact=False)
        return Candidates(tuple(fitting), assessor.scores(fitting), exact=False)


def shape_of(graph: Graph) -> Shape:
    """The longest trunk of `graph`, and what comes after it as branches; without two of them all is trunk."""
    cuts = _cuts(graph)
    for at in range(len(cuts) - 1, -1, -1):
        branches, tail = _branches(graph, cuts[at] + 1)
        if len(branches) > 1:
            return Shape(_runs(cuts[: at + 1], cuts[at] + 1), branches, tail)
    return Shape(_runs(cuts, len(graph.ops)), (), ())


def _cuts(graph: Graph) -> list[int]:
    """Ops after which one tensor crosses beside what items bring; never between taking a state and leaving it."""
    last = {name: max(readers) for name, readers in graph.consumers.items() if readers}
    inside = {index for span in spans(graph) for index in span}
    alive: set[str] = set()
    found = []
    for index, op in enumerate(graph.ops[:-1]):
        alive |= {name for name in op.outputs if name in last}
        alive -= {name for name in op.inputs if last[name] == index}
        if len(alive) == 1 and index not in inside:
            found.append(index)
    return found


def _runs(cuts: Sequence[int], end: int) -> tuple[tuple[int, ...], ...]:
    edges = [0, *(cut + 1 for cut in cuts if cut + 1 < end), end]
    return tuple(tuple(range(first, last)) for first, last in pairwise(edges))


def _branches(graph: Graph, first: int) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """The ops from `first` on that depend on each other alone, and those that join them."""
    home: dict[int, int] = {}  # op → the first of its branch
    tail: set[int] = set()
    rooted: set[int] = set()  # branches that read what the trunk gives
    for index in range(first, len(graph.ops)):
        makers = {graph.producer[name] for name in graph.ops[index].inputs if name in graph.producer}
        inside = {home[maker] for maker in makers if maker in home}
        if makers & tail or len(inside & rooted) > 1:
            tail.add(index)
            continue
        own = min(inside, default=index)
        home |= {op: own for op, branch in home.items() if branch in inside}
        home[index] = own
        if inside & rooted or any(maker < first for maker in makers):
            rooted = (rooted - inside) | {own}
    groups = {
        own: tuple(op for op, branch in home.items() if branch == own) for own in dict.fromkeys(home.values())
    }
    free = [op for own, ops in groups.items() if own not in rooted for op in ops]
    return tuple(ops for own, ops in groups.items() if own in rooted), tuple(sorted((*tail, *free)))


def _orders(units: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return permutations(units) if len(units) <= ORDERED else iter([tuple(units)])


def _shared(shape: Shape, seconds: Sequence[NDArray[np.float64]], keep: int) -> list[tuple[float, list[list[int]]]]:
    """The ways with the least load of the busiest unit, and each unit's ops."""
    units = len(seconds)
    runs = np.array([[each[list(run)].sum() for run in shape.trunk] for each in seconds])
    branch = np.array([[each[list(ops)].sum() for ops in shape.branches] for each in seconds]).reshape(units, -1)
    tail = np.array([each[list(shape.tail)].sum() for each in seconds])
    found = []
    for ends in _compositions(len(shape.trunk), units):
        loads = np.array([runs[unit, ends[unit] : ends[unit + 1]].sum() for unit in range(units)])
        loads[_home(ends)] += tail[_home(ends)]
        owners = []
        for column in range(branch.shape[1]):
            unit = int(np.argmin(loads + branch[:, column]))
            loads[unit] += branch[unit, column]
            owners.append(unit)
        found.append((float(loads.max()), ends, owners))
    found.sort(key=lambda each: each[0])
    return [(load_s, _owned(shape, ends, owners)) for load_s, ends, owners in found[:keep] if np.isfinite(load_s)]


def _compositions(runs: int, units: int) -> Iterator[tuple[int, ...]]:
    """Where each unit's part of the trunk begins and ends; parts may be empty."""
    inner, step = units - 1, 1
    while comb(runs // step + 1 + inner, inner) > TRIED and step < runs:
        step += 1
    points = sorted({*range(0, runs + 1, step), runs})
    for ends in combinations_with_replacement(points, inner):
        yield (0, *ends, runs)


def _home(ends: Sequence[int]) -> int:
    """The unit that the trunk ends on."""
    return max((unit for unit in range(len(ends) - 1) if ends[unit + 1] > ends[unit]), default=0)


def _owned(shape: Shape, ends: Sequence[int], owners: Sequence[int]) -> list[list[int]]:
    found = [
        [op for run in shape.trunk[ends[unit] : ends[unit + 1]] for op in run] for unit in range(len(ends) - 1)
    ]
    for ops, unit in zip(shape.branches, owners, strict=True):
        found[unit] += ops
    found[_home(ends)] += shape.tail
    return found
