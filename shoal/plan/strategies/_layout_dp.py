"""The layout DP: through the blocks in order, for every layout between two of them the cost vectors worth keeping.

    best[0][whole on part 0] = zero
    for each block, for each layout before it and each cost kept there, for each way to share the block:
        cost after it, kept under the layout that the way leaves, unless another there is as good in everything
    answer = the cost after the last block with the smallest objective

Costs are vectors: when each part is done, how long units and media are busy, joules, bytes. All that is added to
them is monotone (sums and maxima), so what is worse in everything stays so, and nothing better is lost.
[state and procedure: after Tang et al., arXiv 2210.08392, formulas of the four strategies]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.cost import runtime_bytes
from shoal.plan.problem import Problem
from shoal.plan.strategies._layout_cost import Effect, LayoutCost
from shoal.plan.strategies._layouts import Layout, Way
from shoal.plan.values import GOALS
from shoal.search import front

F64 = NDArray[np.float64]
START: Layout = ()
TINY = 1e-12
ROUNDING = 1e-9  # relative


@dataclass(frozen=True, eq=False)
class Labels:
    """Costs so far, one a row, and the ways that led there (linked backwards)."""

    done_s: F64  # (labels, parts)
    spent: F64  # (labels, …): busy seconds of parts and of media, joules, bytes held; as `_sums` has them
    live_bytes: F64  # (labels, parts)
    paths: tuple[Path | None, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def after(self, way: Way, effect: Effect) -> Labels:
        """The same costs once the block is done that way."""
        done_s = (self.done_s[:, None, :] + effect.done_s[None, :, :]).max(axis=2)
        live_bytes = np.maximum(self.live_bytes, effect.live_bytes)
        return Labels(done_s, self.spent + _sums(effect), live_bytes, tuple(Path(path, way) for path in self.paths))

    def only(self, indices: Sequence[int]) -> Labels:
        """The labels at `indices`."""
        kept = list(indices)
        return Labels(
            self.done_s[kept], self.spent[kept], self.live_bytes[kept], tuple(self.paths[i] for i in kept)
        )

    @staticmethod
    def joined(several: Sequence[Labels]) -> Labels:
        """All of them, in order."""
        return Labels(
            np.concatenate([each.done_s for each in several]),
            np.concatenate([each.spent for each in several]),
            np.concatenate([each.live_bytes for each in several]),
            tuple(path for each in several for path in each.paths),
        )


@dataclass(frozen=True, eq=False)
class Path:
    """The last way chosen, and those before it."""

    before: Path | None
    way: Way

    def ways(self) -> tuple[Way, ...]:
        """All of them, in order."""
        found, here = [], self
        while here is not None:
            found.append(here.way)
            here = here.before  # type: ignore[assignment]  # None ends the walk
        return tuple(reversed(found))


@dataclass(frozen=True, eq=False)
class Scale:
    """From costs to what the objective is about, and which of them it depends on."""

    problem: Problem
    units: tuple[str, ...]
    goals: tuple[str, ...]  # the first counts, others decide between equals
    tight: bool  # whether memory limits can matter
    slack: float = 0.0  # share of the first goal that is given up for a shorter latency

    @property
    def _parts(self) -> int:
        return len(self.units)

    def zero(self, media: int) -> Labels:
        """Before the first block."""
        parts = self._parts
        held = np.array([[float(runtime_bytes(self.problem.engines_of(unit)[0])) for unit in self.units]])
        spent = np.concatenate([np.zeros((1, parts + media + parts)), held], axis=1)
        return Labels(np.zeros((1, parts)), spent, np.zeros((1, parts)), (None,))

    def objectives(self, labels: Labels) -> F64:
        """Shape (labels, goals): one column for each of GOALS, in that order."""
        found = {
            "latency": labels.done_s.max(axis=1),
            "throughput": self._period_s(labels),
            "energy": self._device_joules(labels, self._period_s(labels)).max(axis=1),
            "memory": self._device_bytes(labels).max(axis=1),
        }
        return np.stack([found[goal] for goal in GOALS], axis=1)

    def ranked(self, labels: Labels) -> list[int]:
        """Indices from best to worst, by the goals in their order."""
        values = self.objectives(labels)
        order = [GOALS.index(goal) for goal in (*self.goals, *GOALS)]
        return [int(index) for index in np.lexsort([values[:, column] for column in reversed(order)])]

    def chosen(self, labels: Labels, at_most: float = np.inf) -> int:
        """The best; of those as good in the first goal but for `slack`, and not above `at_most`, the quickest."""
        first, order = self.first(labels), self.ranked(labels)
        enough = min(float(first.min()) * (1 + self.slack), max(at_most, float(first.min())))
        latency_s = labels.done_s.max(axis=1)
        return min((index for index in order if first[index] <= enough), key=lambda index: latency_s[index])

    def first(self, labels: Labels) -> F64:
        """The goal that counts, shape (labels,)."""
        values: F64 = self.objectives(labels)[:, GOALS.index(self.goals[0])]
        return values

    def possible(self, labels: Labels) -> Labels:
        """The labels that every unit can run, within the memory of all devices."""
        able = np.isfinite(labels.spent).all(axis=1)
        if self.tight:
            limits = [self.problem.limit_bytes(device) for device in self._devices()]
            able &= (self._device_bytes(labels) <= limits).all(axis=1)
        return labels.only(np.flatnonzero(able).tolist())

    def floor(self, labels: Labels, rest: Rest, index: int) -> F64:
        """What the first goal comes to at least when blocks from `index` on are done too, shape (labels,).

        No unit can end below what it has spent, nor all of them below the average with what is left.
        """
        spent = labels.done_s if self.goals[0] == "latency" else labels.spent[:, : self._parts]
        average = spent @ rest.weights + rest.least_s[index]
        if self.goals[0] == "latency":
            latency_s: F64 = np.maximum(labels.done_s.max(axis=1), average)
            return latency_s
        period_s: F64 = np.maximum(self._period_s(labels), average)
        if self.goals[0] == "throughput":
            return period_s
        if self.goals[0] == "energy":
            joules: F64 = self._device_joules(labels, period_s).max(axis=1)
            return joules
        used: F64 = self._device_bytes(labels).max(axis=1)
        return used

    def kept(self, labels: Labels, most: int, floor: F64) -> Labels:
        """Those that no other is as good as in everything that counts; of more than `most`, the most promising.

        These are the ones with the lowest floor; of those equal but for the slack, the quickest.
        """
        latency_s = labels.done_s.max(axis=1)
        steps = np.floor(np.log(np.maximum(floor, TINY)) / np.log1p(self.slack)) if self.slack else floor
        ranked = labels.only(np.lexsort([floor, latency_s, steps]).tolist())
        return ranked.only(front(self._vectors(ranked))[:most].tolist())

    def _vectors(self, labels: Labels) -> F64:
        """What the goal, and the limits, depend on."""
        parts = self._parts
        busy, joules = labels.spent[:, : -2 * parts], labels.spent[:, -2 * parts : -parts]
        memory = [labels.spent[:, -parts:], labels.live_bytes]
        columns = {
            "latency": [labels.done_s],
            "throughput": [busy],
            "energy": [busy, joules],
            "memory": memory,
        }[self.goals[0]]
        if self.slack and self.goals[0] != "latency":
            columns = [*columns, labels.done_s]
        return np.concatenate([*columns, *(memory if self.tight and self.goals[0] != "memory" else [])], axis=1)

    def _period_s(self, labels: Labels) -> F64:
        period_s: F64 = labels.spent[:, : -2 * self._parts].max(axis=1)
        return period_s

    def _device_joules(self, labels: Labels, period_s: F64) -> F64:
        fleet, parts = self.problem.fleet, self._parts
        busy_w = np.array([self.problem.busy_w(unit) for unit in self.units])
        own = labels.spent[:, :parts] * busy_w + labels.spent[:, -2 * parts : -parts]
        idle_w = np.array([fleet.device(device).idle_w for device in self._devices()])
        joules: F64 = own @ self._belongs() + period_s[:, None] * idle_w
        return joules

    def _device_bytes(self, labels: Labels) -> F64:
        used: F64 = (labels.spent[:, -self._parts :] + labels.live_bytes) @ self._belongs()
        return used

    def _devices(self) -> list[str]:
        return list(dict.fromkeys(unit.partition("/")[0] for unit in self.units))

    def _belongs(self) -> F64:
        """Shape (parts, devices): 1 where a part's unit is of the device."""
        owners = [unit.partition("/")[0] for unit in self.units]
        return np.array([[float(owner == device) for device in self._devices()] for owner in owners])


@dataclass(frozen=True, eq=False)
class Rest:
    """The work that blocks still are at least, as an average over the units by their speed."""

    weights: F64  # (parts,), adding up to one
    least_s: F64  # (blocks + 1,) of block i and all after it


def rest_of(cost: LayoutCost, ways: Sequence[Sequence[Way]]) -> Rest:
    """The least that each block adds to the weighted sum of busy times, messages left out."""
    parts = len(cost.units)
    whole_s = np.array(
        [sum(cost.computing_s(choices[part].splits)[part] for choices in ways) for part in range(parts)]
    )
    rates = 1.0 / np.maximum(whole_s, TINY)
    weights = rates / rates.sum() if rates.any() else np.full(parts, 1.0 / parts)
    able = weights > 0  # a unit that cannot run everything does not count
    seconds = [
        min(float(weights[able] @ cost.computing_s(way.splits)[able]) for way in choices) for choices in ways
    ]
    return Rest(weights, np.array([*np.cumsum(seconds[::-1])[::-1], 0.0]))


def best(
    cost: LayoutCost, ways: Sequence[Sequence[Way]], scale: Scale, most: int, at_most: float = np.inf
) -> Labels:
    """The costs worth keeping after the last block; none if no way keeps the memory limits.

    Exact as long as nowhere more than `most` cost vectors are worth keeping.

    Args:
        cost: prices blocks.
        ways: of each block; the first of them whole on part 0, on part 1 and so on.
        scale: what counts.
        most: cost vectors kept for each layout.
        at_most: of the first goal; what must come out above it is dropped on the way.
    """
    rest = rest_of(cost, ways)
    found: dict[Layout, Labels] = {START: scale.zero(len(cost.media))}
    for index, choices in enumerate(ways):
        reached: dict[Layout, list[Labels]] = {}
        for entry, labels in found.items():
            for way in choices:
                effect = cost.effect(index, entry, way.splits)
                reached.setdefault(effect.exit, []).append(labels.after(way, effect))
        found = {}
        for layout, several in reached.items():
            possible = scale.possible(Labels.joined(several))
            floor = scale.floor(possible, rest, index + 1)
            low = np.flatnonzero(floor <= at_most * (1 + ROUNDING))
            if len(low):
                found[layout] = scale.kept(possible.only(low.tolist()), most, floor[low])
    return found.get(START, scale.zero(len(cost.media)).only([]))


def total(cost: LayoutCost, effects: Sequence[Effect], way: Way, scale: Scale) -> Labels:
    """The cost of blocks one after another, as one label."""
    label = scale.zero(len(cost.media))
    for effect in effects:
        label = label.after(way, effect)
    return replace(label, paths=(Path(None, way),))


def _sums(effect: Effect) -> F64:
    return np.concatenate([effect.busy_s, effect.medium_s, effect.joules, effect.held_bytes])
