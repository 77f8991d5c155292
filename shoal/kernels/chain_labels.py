"""One pass of the label programme over a chain's states (Martins 1984), with bounds.

A label is a partial plan that ends at a cut. Its figures: latency, period, largest memory; per kind of device
(one idle power) the largest dynamic energy; per shared device its dynamic energy and memory so far.
Extending a label at (q, c) by pieces c..e on unit u of node q':
    latency' = latency + hop(c) + run(c, e)
    period'  = max(period, busy(c), run(c, e))
    memory'  = max(memory, memory of the group, or of the shared device so far)
    energy'  = max(energy, joules(c, e) + received) for u's kind
At the end the energy is max over kinds of idle · period + energy: exact, though idle energy depends on the
final period. A label is dropped when its optimistic completion is no better than a known complete plan, or
when another label at the same node and cut is at least as good whatever follows.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.chain_bounds import ToGo, lifted, to_go
from shoal.kernels.chain_known import History, Known
from shoal.kernels.chain_nodes import ChainNode
from shoal.kernels.chain_values import ChainPlans, ChainTables
from shoal.search import front

F64 = NDArray[np.float64]
Ints = NDArray[np.intp]

_PAIRS = 1 << 17  # extensions worked on at once
_LATENCY, _PERIOD, _ENERGY, _MEMORY = range(4)
_LARGEST, _KINDS = 2, 3  # rows of figures after latency and period: memory, then the kinds


class _OutOfTimeError(Exception):
    """Never leaves this file."""


def sweep(
    tables: ChainTables,
    nodes: Sequence[ChainNode],
    goals: Collection[int],
    known: F64,
    epsilon: float,
    time_limit_s: float,
) -> ChainPlans:
    """See `sweep_chain`; this is what the native kernel is held to."""
    deadline_s = time.monotonic() + time_limit_s
    columns = (*sorted(set(goals) - {_PERIOD}), *({_PERIOD} & set(goals)))  # the period last: see `Staircase`
    found = Known(known[:, columns])
    bounds = to_go(tables, tuple(nodes), energy=_ENERGY in columns)
    history = History()
    finished = _Pass(tables, tuple(nodes), bounds, columns, found, history, epsilon, deadline_s).run()
    new = found.labels >= 0
    values = np.zeros((int(new.sum()), 4))
    values[:, columns] = found.values[new]
    return ChainPlans(values, history.groups(found.labels[new]), finished)


@dataclass(frozen=True, eq=False)
class Labels:
    """n partial plans at one node."""

    figures: F64  # (d, n)
    cut: Ints  # (n,) where they end
    parent: Ints  # (n,) the label before, -1: none
    hopes: F64  # (4, n) least value of every goal at the end
    period_cap_s: F64  # (n,) with a longer final period a known plan is at least as good

    def take(self, chosen: Ints | NDArray[np.bool_]) -> Labels:
        """Some of them."""
        return Labels(
            self.figures[:, chosen],
            self.cut[chosen],
            self.parent[chosen],
            self.hopes[:, chosen],
            self.period_cap_s[chosen],
        )


@dataclass(frozen=True, eq=False)
class _Pass:
    """One sweep over all nodes. It adds to the known plans; `run` says whether it came to the end."""

    tables: ChainTables
    nodes: tuple[ChainNode, ...]
    to_go: ToGo
    goals: tuple[int, ...]  # columns of GOALS wanted, the period last if among them
    known: Known
    history: History
    epsilon: float  # 0: exact; else one label a box of this relative size
    deadline_s: float  # time.monotonic()

    def run(self) -> bool:
        """Sweep; False when the time ran out, with the known plans as far as it came."""
        open_labels: list[Labels] = []
        last = self.tables.run_s.shape[1] - 1
        for place, node in enumerate(self.nodes):
            try:
                found = self._arrive(place, node, open_labels)
                kept = found.take(self._best(place, found))
            except _OutOfTimeError:
                return False
            ids = self.history.add(kept.parent, kept.cut, node.unit)
            ended = kept.cut == last
            self.known.add(kept.hopes[list(self.goals)][:, ended].T, ids[ended])
            kept = kept.take(~ended)
            open_labels.append(Labels(kept.figures, kept.cut, ids[~ended], kept.hopes, kept.period_cap_s))
        return True

    def _check_time(self) -> None:
        """Give up when time is over, unless there is no plan at all yet."""
        if time.monotonic() > self.deadline_s and len(self.known.values):
            raise _OutOfTimeError

    def _arrive(self, place: int, node: ChainNode, open_labels: list[Labels]) -> Labels:
        """All labels that reach a node and that no known plan beats."""
        client = len(self.tables.kind_of)
        sources = [(self.nodes[before].unit, open_labels[before]) for before in node.before]
        if node.starts:
            sources.append((client, self._origin()))
        found = [
            self._extended(place, sender, part, picked, ends)
            for sender, labels in sources
            for part, picked, ends in self._pairs(place, node.unit, labels)
        ]
        found = found or [self._extended(place, client, self._origin(), *np.empty((2, 0), dtype=np.intp))]
        return Labels(
            np.concatenate([part.figures for part in found], axis=1),
            np.concatenate([part.cut for part in found]),
            np.concatenate([part.parent for part in found]),
            np.concatenate([part.hopes for part in found], axis=1),
            np.concatenate([part.period_cap_s for part in found]),
        )

    def _origin(self) -> Labels:
        """The label before the first group. A kind not yet used must never be the largest."""
        tables = self.tables
        figures = np.zeros((_KINDS + len(tables.idle_w) + 2 * len(tables.limit_bytes), 1))
        figures[_KINDS : _KINDS + len(tables.idle_w), 0] = -tables.idle_w * tables.longest_s
        none = np.zeros(1, dtype=np.intp)
        return Labels(figures, none, none - 1, np.zeros((4, 1)), np.array([tables.longest_s]))

    def _pairs(self, place: int, unit: int, labels: Labels) -> Iterator[tuple[Labels, Ints, Ints]]:
        """Batches of (labels, which of them, cut they are extended to)."""
        possible = np.isfinite(self.tables.lead_s[unit]) & np.isfinite(self.to_go.latency_s[place])
        step = max(1, _PAIRS // possible.shape[0])
        for start in range(0, len(labels.cut), step):
            part = labels.take(np.arange(start, min(start + step, len(labels.cut))))
            picked, ends = np.nonzero(possible[part.cut])
            self._check_time()
            if len(ends):
                yield part, picked, ends

    def _extended(self, place: int, sender: int, labels: Labels, picked: Ints, ends: Ints) -> Labels:
        """Extend labels to cuts on the node's unit, and keep those with hope."""
        tables, unit = self.tables, self.nodes[place].unit
        cut = labels.cut[picked]
        figures = labels.figures[:, picked]
        figures[_LATENCY] += tables.hop_s[sender, unit, cut] + tables.lead_s[unit, cut, ends]
        slowest = np.maximum(tables.busy_s[sender, unit, cut], tables.run_s[unit, cut, ends])
        np.maximum(figures[_PERIOD], slowest, out=figures[_PERIOD])
        memory = tables.memory_bytes[unit, cut, ends]
        joules = tables.dynamic_j[unit, cut, ends] + tables.recv_j[sender, unit, cut]
        fits = self._share((sender, unit), cut, figures, joules, memory)
        kind = figures[_KINDS + tables.kind_of[unit]]
        np.maximum(kind, joules, out=kind)
        np.maximum(figures[_LARGEST], memory, out=figures[_LARGEST])
        hopes = self._hopes(place, figures, ends)
        least = self.known.stairs.least([hopes[goal] for goal in self.goals[:-1]])
        alive = fits & (hopes[self.goals[-1]] < least) & np.isfinite(hopes[_LATENCY])
        cap_s = np.full(len(ends), tables.longest_s)
        if self.goals[-1] == _PERIOD:
            np.minimum(cap_s, least, out=cap_s)
        return Labels(figures, ends, labels.parent[picked], hopes, cap_s).take(alive)

    def _share(self, arc: tuple[int, int], cut: Ints, figures: F64, joules: F64, memory: F64) -> NDArray[np.bool_]:
        """Book what shared devices gather; in place, the group's joules and memory become its device's.

        Returns whether the shared device's memory keeps its limit, (n,).
        """
        tables, (sender, unit) = self.tables, arc
        first = _KINDS + len(tables.idle_w)
        from_shared = -1 if sender == len(tables.kind_of) else tables.shared_of[sender]
        if from_shared >= 0:
            gathered = figures[first + 2 * from_shared]
            gathered += tables.send_j[sender, unit, cut]
            kind = figures[_KINDS + tables.kind_of[sender]]
            np.maximum(kind, gathered, out=kind)
        shared = tables.shared_of[unit]
        if shared < 0:
            return np.ones(len(cut), dtype=bool)
        for row, amount in ((first + 2 * shared, joules), (first + 2 * shared + 1, memory)):
            figures[row] += amount
            amount[:] = figures[row]
        fits: NDArray[np.bool_] = memory <= tables.limit_bytes[shared]
        return fits

    def _hopes(self, place: int, figures: F64, ends: Ints) -> F64:
        """Optimistic value of every goal at the end, (4, n)."""
        hopes = np.empty((4, len(ends)))
        hopes[_LATENCY] = figures[_LATENCY] + self.to_go.latency_s[place, ends]
        hopes[_PERIOD] = np.maximum(figures[_PERIOD], self.to_go.period_s[place, ends])
        hopes[_MEMORY] = np.maximum(figures[_LARGEST], self.to_go.memory_bytes[place, ends])
        hopes[_ENERGY] = self.to_go.energy(place, ends, hopes[_PERIOD])
        for kind, idle_w in enumerate(self.tables.idle_w):
            so_far = idle_w * hopes[_PERIOD] + figures[_KINDS + kind]
            np.maximum(hopes[_ENERGY], so_far, out=hopes[_ENERGY])
        return hopes

    def _best(self, place: int, labels: Labels) -> Ints:
        """Labels no other at the same cut makes needless, ascending by cut."""
        last = self.tables.run_s.shape[1] - 1
        order = np.argsort(labels.cut, kind="stable")
        edges = np.searchsorted(labels.cut[order], np.arange(last + 2))
        keys = self._keys(place, labels.take(order))
        ended = labels.hopes[list(self.goals)][:, order[edges[last] :]]
        kept = [edges[last] + front(ended.T)]
        for start, stop in pairwise(edges[: last + 1]):
            self._check_time()
            if stop > start:
                kept.append(start + front(keys[:, start:stop].T))
        found: Ints = order[np.concatenate(kept)]
        return found

    def _keys(self, place: int, labels: Labels) -> F64:
        """What decides between labels at one cut, (rows, n).

        Exact: figures, raised to what the rest costs at least, since below that they do not matter.
        Else: boxes of the hoped-for goals.
        """
        if self.epsilon > 0:
            hopes = np.maximum(labels.hopes[list(self.goals)], 1e-300)
            boxes: F64 = np.floor(np.log(hopes) / np.log1p(self.epsilon))
            return boxes
        tables, hopes = self.tables, labels.hopes
        kinds = len(tables.idle_w)
        rows = [hopes[goal] for goal in self.goals if goal != _ENERGY]
        if _ENERGY in self.goals:
            if _PERIOD not in self.goals:
                rows.append(hopes[_PERIOD])
            floor = self.to_go.energy(place, labels.cut, hopes[_PERIOD])
            dynamic = labels.figures[_KINDS : _KINDS + kinds]
            rows.extend(lifted(dynamic, tables.idle_w, floor, hopes[_PERIOD], labels.period_cap_s))
        node = self.nodes[place]
        for shared in range(len(tables.limit_bytes)):
            units = set(np.flatnonzero(tables.shared_of == shared).tolist())
            if units & (node.left | {node.unit}):
                rows.extend(labels.figures[_KINDS + kinds + 2 * shared :][:2])
        return np.array(rows)
