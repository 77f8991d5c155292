"""A Problem as a Chain: the pieces between legal cuts, priced on every unit; and back to groups of ops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shoal.cost import runtime_bytes, weights_factor
from shoal.graph import Cut, cuts, peak_live_bytes
from shoal.plan.chain import Chain, Groups
from shoal.plan.choices import units_engines
from shoal.plan.problem import Problem
from shoal.plan.rounds import state_bytes
from shoal.plan.values import Group

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Line:
    """The graph in a row: pieces of ops with a legal cut between each two, and one engine for each unit."""

    pieces: tuple[tuple[str, ...], ...]  # op names
    cuts: tuple[Cut, ...]  # one less than pieces
    engines: tuple[str, ...]  # of each of the problem's units
    chain: Chain

    def groups(self, problem: Problem, division: Groups) -> tuple[Group, ...]:
        """The ops of each group of a division of the chain."""
        return tuple(
            Group(
                problem.units[unit],
                tuple(op for piece in self.pieces[first:last] for op in piece),
                self.engines[unit],
            )
            for first, last, unit in division
        )

    def division(self, problem: Problem, groups: Sequence[Group]) -> Groups | None:
        """The division of the chain that `groups` is, or None if it is none."""
        owner = {op: index for index, group in enumerate(groups) for op in group.ops}
        found: list[tuple[int, int, int]] = []
        for number, piece in enumerate(self.pieces):
            owners = {owner[op] for op in piece}
            unit = problem.units.index(groups[owners.pop()].unit)
            if owners:
                return None  # a piece is shared
            if found and found[-1][2] == unit:
                found[-1] = (found[-1][0], number + 1, unit)
            else:
                found.append((number, number + 1, unit))
        units = [unit for _, _, unit in found]
        return tuple(found) if len(set(units)) == len(units) else None


def lines_of(problem: Problem) -> tuple[Line, ...]:
    """The chains of `problem`, one for each way to give its units an engine that is worth a search."""
    return tuple(line_of(problem, engines) for engines in units_engines(problem))


def line_of(problem: Problem, engines: Sequence[str] = ()) -> Line:
    """The chain of `problem`; memory limits are the smaller of each device's and the objective's.

    Args:
        problem: graph, units and costs.
        engines: of each unit; the quickest of each if not given.
    """
    legal = cuts(problem.graph)
    names = [op.name for op in problem.graph.ops]
    bounds = [0, *(cut.after + 1 for cut in legal), len(names)]
    pieces = tuple(tuple(names[a:b]) for a, b in pairwise(bounds))
    chosen = tuple(engines) or units_engines(problem)[0]
    return Line(pieces, legal, chosen, _chain(problem, pieces, legal, chosen))


def without_limits(chain: Chain) -> Chain:
    """The same chain on devices with all the memory in the world."""
    return replace(chain, memory_limit=np.full(chain.units, np.inf))


def _chain(
    problem: Problem, pieces: Sequence[tuple[str, ...]], legal: Sequence[Cut], engines: Sequence[str]
) -> Chain:
    graph, units = problem.graph, problem.units
    devices = [problem.fleet.device(unit) for unit in units]
    seconds = _seconds(problem, pieces, engines)
    weights = np.array([_weights_bytes(problem, piece) for piece in pieces], dtype=np.float64)
    states = [state_bytes(graph, piece, problem.pattern) for piece in pieces]
    kept = np.array(states, dtype=np.float64).sum(axis=1)  # a carried tensor is alive while other pieces run too
    live = np.array([peak_live_bytes(graph, piece) for piece in pieces], dtype=np.float64)
    live -= np.array(states, dtype=np.float64)[:, 1]
    factors = np.array([weights_factor(engine) for engine in engines])
    crossing = np.array(
        [_bytes(problem, graph.inputs), *(cut.bytes for cut in legal), _bytes(problem, graph.outputs)]
    )
    hop_s, hop_busy_s = _hops(problem, crossing.astype(np.float64))
    busy_w = np.array([problem.busy_w(unit) for unit in units])
    names = list(dict.fromkeys(device.name for device in devices))
    zeros = np.zeros(len(units))
    return Chain(
        seconds=seconds,
        joules=np.where(np.isinf(seconds), 0.0, seconds) * busy_w,
        weights_bytes=np.outer(weights, factors) + kept[:, None],
        live_bytes=np.outer(live, np.ones(len(units))),
        cut_bytes=crossing.astype(np.float64),
        hop_s=hop_s,
        hop_busy_s=hop_busy_s,
        send_j=np.array([device.link_j_per_byte + _link_j(problem, device.name) for device in devices]),
        recv_j=np.array([device.link_j_per_byte for device in devices]),
        entry_s=zeros,
        exit_s=zeros,
        idle_w=np.array([device.idle_w for device in devices]),
        device_of=np.array([names.index(device.name) for device in devices], dtype=np.intp),
        base_bytes=np.array([runtime_bytes(engine) for engine in engines], dtype=np.float64),
        memory_limit=np.array([problem.limit_bytes(unit) for unit in units], dtype=np.float64),
        window=problem.window,
    )


def _seconds(problem: Problem, pieces: Sequence[tuple[str, ...]], engines: Sequence[str]) -> F64:
    """Shape (pieces, units); inf where an op cannot run or a pin forbids it."""
    position = problem.graph.position
    columns = []
    for unit, engine in zip(problem.units, engines, strict=True):
        per_op = problem.op_seconds(unit, engine)
        columns.append([per_op[[position[op] for op in piece]].sum() for piece in pieces])
    return np.array(columns, dtype=np.float64).T


def _weights_bytes(problem: Problem, piece: Sequence[str]) -> int:
    graph = problem.graph
    names = {weight for op in piece for weight in graph.ops[graph.position[op]].weights}
    return sum(graph.weights[name].bytes for name in names)


def _bytes(problem: Problem, tensors: Sequence[str]) -> int:
    return sum(problem.graph.tensors[name].bytes for name in tensors)


def _hops(problem: Problem, crossing: F64) -> tuple[F64, F64]:
    """Seconds of every cut between every two units, with and without latency; shape (pieces + 1, units, units)."""
    count = len(problem.units)
    latency, per_byte = np.zeros((count, count)), np.zeros((count, count))
    for a, source in enumerate(problem.units):
        for b, target in enumerate(problem.units):
            links = problem.fleet.path(source, target)
            latency[a, b] = sum(link.latency_s for link in links)
            per_byte[a, b] = sum(1.0 / link.bandwidth_bytes_per_s for link in links)
    busy = crossing[:, None, None] * per_byte
    return busy + latency, busy


def _link_j(problem: Problem, device: str) -> float:
    """Joules a byte of the links that leave `device`; the dearest, where they differ."""
    others = [other.name for other in problem.fleet.devices if other.name != device]
    return max(
        (sum(link.j_per_byte for link in problem.fleet.path(device, other)) for other in others), default=0.0
    )
