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

F64 = NDArray[np.float64]
START: Layout = ()


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
        return Labels(
            done_s, self.spent + _sums(effect), live_bytes, tuple(Path(path, way) for path in self.paths)
        )

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
            "energy": self._device_joules(labels).max(axis=1),
            "memory": self._device_bytes(labels).max(axis=1),
        }
        return np.stack([found[goal] for goal in GOALS], axis=1)

    def ranked(self, labels: Labels) -> list[int]:
        """Indices from best to worst."""
        values = self.objectives(labels)
        order = [GOALS.index(goal) for goal in (*self.goals, *GOALS)]
        return [int(index) for index in np.lexsort([values[:, column] for column in reversed(order)])]

    def fitting(self, labels: Labels) -> list[int]:
        """Indices of the labels within the memory of all devices."""
        if not self.tight:
            return list(range(len(labels)))
        limits = [self.problem.limit_bytes(device) for device in self._devices()]
        return [int(index) for index in np.flatnonzero((self._device_bytes(labels) <= limits).all(axis=1))]

    def kept(self, labels: Labels, most: int | None) -> Labels:
        """Those that no other is as good as in everything the objective depends on, the best `most`."""
        ranked = labels.only(self.ranked(labels))
        vectors = self._vectors(ranked)
        kept: list[int] = []
        for index, vector in enumerate(vectors):
            if not kept or not (vectors[kept] <= vector).all(axis=1).any():
                kept.append(index)
            if most is not None and len(kept) == most:
                break
        return ranked.only(kept)

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
        return np.concatenate([*columns, *(memory if self.tight and self.goals[0] != "memory" else [])], axis=1)

    def _period_s(self, labels: Labels) -> F64:
        period_s: F64 = labels.spent[:, : -2 * self._parts].max(axis=1)
        return period_s

    def _device_joules(self, labels: Labels) -> F64:
        fleet, parts = self.problem.fleet, self._parts
        busy_w = np.array([fleet.unit(unit).busy_w for unit in self.units])
        own = labels.spent[:, :parts] * busy_w + labels.spent[:, -2 * parts : -parts]
        idle_w = np.array([fleet.device(device).idle_w for device in self._devices()])
        joules: F64 = own @ self._belongs() + self._period_s(labels)[:, None] * idle_w
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


def best(cost: LayoutCost, ways: Sequence[Sequence[Way]], scale: Scale, most: int | None) -> Labels:
    """The costs worth keeping after the last block, from best to worst; none if no way keeps the memory limits.

    Args:
        cost: prices blocks.
        ways: of each block.
        scale: what counts.
        most: cost vectors kept for each layout; None: all that no other is as good as, which makes it exact.
    """
    found: dict[Layout, Labels] = {START: scale.zero(len(cost.media))}
    for index, choices in enumerate(ways):
        reached: dict[Layout, list[Labels]] = {}
        for entry, labels in found.items():
            for way in choices:
                effect = cost.effect(index, entry, way.splits)
                if np.isfinite(effect.busy_s).all():
                    reached.setdefault(effect.exit, []).append(labels.after(way, effect))
        found = {}
        for layout, several in reached.items():
            together = Labels.joined(several)
            fitting = together.only(scale.fitting(together))
            if len(fitting):
                found[layout] = scale.kept(fitting, most)
    return found.get((), scale.zero(len(cost.media)).only([]))


def total(cost: LayoutCost, effects: Sequence[Effect], way: Way, scale: Scale) -> Labels:
    """The cost of blocks one after another, as one label."""
    label = scale.zero(len(cost.media))
    for effect in effects:
        label = label.after(way, effect)
    return replace(label, paths=(Path(None, way),))


def _sums(effect: Effect) -> F64:
    return np.concatenate([effect.busy_s, effect.medium_s, effect.joules, effect.held_bytes])
