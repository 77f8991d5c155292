"""Why a plan is as it is, in sentences: why each cut is there, and what one device alone would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shoal.plan.chain import Groups, Score, evaluate, feasible
from shoal.plan.chains import Line
from shoal.plan.placement import Assessor
from shoal.plan.problem import Problem
from shoal.plan.turns import together
from shoal.plan.values import Group
from shoal.units import format_bytes, format_seconds

ALIKE = 0.005  # relative change below which a figure counts as the same
FEW = 3  # states of a unit that are named one by one


@dataclass(frozen=True, eq=False)
class Explainer:
    """What sentences about the plans of one problem rest on."""

    problem: Problem
    line: Line
    scores: NDArray[np.float64]  # of all plans found, shape (plans, 4)

    def reasons(self, groups: Sequence[Group]) -> tuple[str, ...]:
        """Sentences about the plan with these groups."""
        here = Assessor(self.problem).assess(groups).score
        units = list(dict.fromkeys(group.unit for group in groups))
        if len(units) == 1:
            return (self._only(units[0], here),)
        division = self.line.division(self.problem, groups)
        if division is None:
            return (self._scattered(groups), *self._states(groups), *self._alone(here))
        return (*self._cuts(division), *self._states(groups), *self._alone(here))

    def _states(self, groups: Sequence[Group]) -> list[str]:
        """Where carried tensors are kept, and what items wait for those that leave their unit."""
        leaving, waits_s = Assessor(self.problem).rounds(groups)
        apart = {over.carried.input: over for over in leaving if over.source != over.target}
        owner = {op: group.unit for group in groups for op in group.ops}
        graph = self.problem.graph
        found = []
        staying: dict[str, list[str]] = {}
        for each in graph.carried:
            if each.input in apart:
                source, target = apart[each.input].source, apart[each.input].target
                size = format_bytes(apart[each.input].bytes)
                found.append(f"the state '{each.input}' goes back from {source} to {target}, {size} an item")
            else:
                unit = owner[graph.ops[graph.producer[each.output]].name]
                staying.setdefault(unit, []).append(each.input)
        for unit, states in staying.items():
            if len(states) > FEW:
                found.append(f"{len(states)} states, '{states[0]}' … '{states[-1]}', stay on {unit}")
            else:
                found += [f"the state '{name}' stays on {unit}" for name in states]
        if apart and waits_s:
            found.append(f"an item waits for the state of the one before: {format_seconds(waits_s)} at least")
        return found

    def _scattered(self, groups: Sequence[Group]) -> str:
        text = ", ".join(f"{len(group.ops)} on {group.unit}" for group in together(groups))
        return f"ops are placed in groups that are not consecutive ({text}): no cut to compare with its neighbours"

    def _cuts(self, division: Groups) -> list[str]:
        chain, units = self.line.chain, self.problem.units
        here = evaluate(chain, division)
        found = []
        for place, (before, after) in enumerate(pairwise(division)):
            cut, a, b = self.line.cuts[after[0] - 1], before[2], after[2]
            inside = chain.device_of[a] == chain.device_of[b]
            taking = "within the device" if inside else f"in {format_seconds(float(chain.hop_s[after[0], a, b]))}"
            crossing = f"{format_bytes(cut.bytes)} from {units[a]} to {units[b]} {taking}"
            text = f"cut after '{', '.join(cut.tensors)}': {crossing}"
            moves = [self._moved(division, place, step, here) for step in (-1, 1)]
            found.append("; ".join([text, *(move for move in moves if move)]))
        return found

    def _moved(self, division: Groups, place: int, step: int, here: Score) -> str:
        """What moving the cut after group `place` by one piece would change."""
        first, second = division[place], division[place + 1]
        border = second[0] + step
        if not first[0] < border < second[1]:
            return ""
        moved = (*division[:place], (first[0], border, first[2]), (border, *second[1:]), *division[place + 2 :])
        which = "one cut earlier" if step < 0 else "one cut later"
        if not feasible(self.line.chain, moved):
            return f"{which} does not fit"
        there = evaluate(self.line.chain, moved)
        changes = _changes(there, here)
        return f"{which}: {', '.join(changes) if changes else 'the same'}"

    def _only(self, unit: str, here: Score) -> str:
        """What more units would bring to a plan with one."""
        period_s = float(self.scores[:, 1].min())
        if len(self.problem.units) == 1:
            return f"{unit} is the only unit there is"
        if period_s >= here.period_s * (1 - ALIKE):
            return f"one device is enough: no division found gives more items a second than {unit} alone"
        return (
            f"{unit} alone, without a cut: dividing brings the period from {format_seconds(here.period_s)} "
            f"down to {format_seconds(period_s)} at best"
        )

    def _alone(self, here: Score) -> list[str]:
        """The best single unit beside a plan that uses several."""
        chain = self.line.chain
        singles = [((0, chain.pieces, unit),) for unit in range(chain.units)]
        fitting = [single for single in singles if feasible(chain, single)]
        if not fitting:
            return ["no device can hold the whole model alone"]
        best = min(fitting, key=lambda single: evaluate(chain, single))
        alone, name = evaluate(chain, best), self.problem.units[best[0][2]]
        text = (
            f"{name} alone: period {format_seconds(alone.period_s)} instead of {format_seconds(here.period_s)}, "
            f"latency {format_seconds(alone.latency_s)} instead of {format_seconds(here.latency_s)}"
        )
        if alone.period_s > here.period_s or alone.latency_s > here.latency_s:
            return [text]
        return [
            text,
            f"one device alone beats the fleet: {name} is quicker in both; this plan gains energy or memory only",
        ]


def _changes(there: Score, here: Score) -> list[str]:
    names = (("period", there.period_s, here.period_s), ("latency", there.latency_s, here.latency_s))
    return [
        f"{name} {(after / before - 1) * 100:+.1f}%"
        for name, after, before in names
        if abs(after / before - 1) > ALIKE
    ]
