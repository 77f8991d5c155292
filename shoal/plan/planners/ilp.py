"""Placements of any shape by integer programmes: the best period, with a bound on how far from it one may be."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from shoal.errors import PlanError
from shoal.plan.blocks import blocks_of
from shoal.plan.chain import Score
from shoal.plan.chain_solve import solve
from shoal.plan.chains import line_of
from shoal.plan.choices import units_engines
from shoal.plan.placement import Assessor
from shoal.plan.planners._placing import Goal, Placing
from shoal.plan.planners._pool import feasible_front
from shoal.plan.planners._site import Row, Site
from shoal.plan.problem import Candidates, Problem
from shoal.plan.values import Group
from shoal.search import Milp
from shoal.units import format_seconds

OTHERS: tuple[Goal, ...] = ("latency", "energy", "memory")
SLACKS = (1.0, inf, 1.2, 1.5, 1.05, 2.0, 3.0)  # periods over the best one within which the others are made least
SAME = 1e-6  # the solver's tolerance, and room for it
ATTEMPTS = 6  # answers to one question that turn out too large for a memory, before it is given up
START_EPSILON = 0.05  # the consecutive plan to start from need not be exact
START_S = 5.0  # nor waited for
COLUMN = {"latency": 0, "period": 1, "traffic": 1, "energy": 2, "memory": 3}  # of the scores

log = logging.getLogger("shoal.plan")


@dataclass(frozen=True)
class Ilp:
    """HiGHS integer programmes over a unit for each block of ops, in the figures of the cost model.

    First the least period, beginning from the best consecutive plan, then the least traffic at that; then, with
    periods of at most so much more, the least latency, energy and memory (ε-constraints). What comes out is scored
    by the cost model; how far each answer may be from the best is logged. The answers are the same each time unless
    a time limit cut one short. [ε-constraint: Haimes et al., 1971; y ≤ x as in the strong formulation of facility
    location: Balinski, 1965]
    """

    time_limit_s: float = 5.0  # of each programme, of which there are 2 + 3 · points; cut short: the best so far
    points: int = 2  # how many of the periods 1, any, 1.2, 1.5, 1.05, 2 and 3 times the best
    gap: float = 0.01  # how near to the best the other goals must be known to be, relative; the period: 0

    def __post_init__(self) -> None:
        if not (self.time_limit_s > 0 and 0 <= self.points <= len(SLACKS) and self.gap >= 0):
            needed = f"time_limit_s > 0, points 0 to {len(SLACKS)}, gap ≥ 0"
            raise PlanError("options that ask for nothing", where="ilp", needed=needed, had=repr(self))

    def search(self, problem: Problem) -> Candidates:
        """Points of the front over latency, period, largest energy and largest memory; the best period among them.

        Raises:
            MissingExtra: highspy is not installed.
        """
        Milp().solve()  # says what is missing before any work is done
        return Candidates.joined([self._on(problem, engines) for engines in units_engines(problem)])

    def _on(self, problem: Problem, engines: Sequence[str]) -> Candidates:
        site = Site(problem, blocks_of(problem), tuple(engines))
        if not np.isfinite(site.seconds).any(axis=1).all():
            return feasible_front(problem, [])
        asker = _Asker(site, self.time_limit_s, self.gap)
        asker.ask("period", inf)
        if not asker.feasible:  # what the model of memory leaves out was too much
            asker.ask("memory", inf)
        if asker.feasible:
            best_s = min(each.period_s for each in asker.feasible.values()) * (1 + SAME)
            asker.ask("traffic", best_s)
            for slack in SLACKS[: self.points]:
                for goal in OTHERS:
                    asker.ask(goal, best_s * slack)
        return feasible_front(problem, [asker.groups(row) for row in asker.feasible])


class _Asker:
    """Asks one question after another, each beginning with the best answer so far."""

    def __init__(self, site: Site, time_limit_s: float, gap: float) -> None:
        self._site, self._time_limit_s, self._gap = site, time_limit_s, gap
        self._assessor = Assessor(site.ops)
        self._floor_s = 0.0  # no period is shorter
        self.feasible: dict[Row, Score] = {}
        for row in _consecutive(site):
            self._judge(row)

    def ask(self, goal: Goal, period_limit_s: float) -> None:
        """Look for the least `goal` within a period; what is found and keeps the limits becomes `feasible`.

        The programme knows a lower bound of memory. If its answer does not fit, what the bound lacked there is kept
        free, and the question is asked again: from then on it may miss answers.
        """
        spare: dict[str, float] = {}
        for _ in range(ATTEMPTS):
            row = self._answer(goal, period_limit_s, spare)
            lacking = {} if row is None or self._judge(row) else self._lacking(row)
            if not lacking:
                return
            spare |= {name: max(lack, spare.get(name, 0.0)) for name, lack in lacking.items()}

    def _answer(self, goal: Goal, period_limit_s: float, spare: Mapping[str, float]) -> Row | None:
        placing = Placing(self._site, goal, (self._floor_s, period_limit_s), spare)
        start, gap = self._start(goal, period_limit_s), 0.0 if goal == "period" else self._gap
        row, found = placing.solve(start, self._time_limit_s, gap)
        if goal == "period" and not spare and found.status != "infeasible":
            self._floor_s = max(0.0, found.bound * placing.unit_s * (1 - SAME))
        log.info(
            "ilp: least %s, period within %s: %s in %s, gap %.2g %%",
            goal, format_seconds(period_limit_s), found.status, format_seconds(found.seconds), 100 * found.gap,
        )  # fmt: skip
        return row

    def groups(self, row: Row) -> tuple[Group, ...]:
        """Over ops."""
        return self._site.groups(row)

    def _judge(self, row: Row) -> bool:
        """Whether a placement keeps the limits, all figures told by the cost model."""
        verdict = self._assessor.assess(self.groups(row))
        if verdict.excess == 0:
            self.feasible[row] = verdict.score
        return verdict.excess == 0

    def _start(self, goal: Goal, period_limit_s: float) -> Row | None:
        """The best placement that is known."""
        able = [row for row, score in self.feasible.items() if score.period_s <= period_limit_s]
        return min(able, key=lambda row: (self.feasible[row][COLUMN[goal]], row), default=None)

    def _lacking(self, row: Row) -> dict[str, float]:
        """By how much the programme's memory is too small, on devices that were given too much and their likes."""
        told, site = self._site.memory_bytes(row), self._site
        used = self._assessor.device_bytes(self.groups(row))
        full = {name: used[name] - told[name] for name in used if used[name] > site.problem.limit_bytes(name)}
        classes = [{site.devices[unit] for unit in alike} for alike in site.alike]
        return {
            name: max(full[other] for other in full if other in devices)
            for devices in classes
            if devices & set(full)
            for name in devices
        }


def _consecutive(site: Site) -> list[Row]:
    """The consecutive division of the least period, as far as blocks can be divided so."""
    line = line_of(site.ops, site.engines)
    found = solve(line.chain, goals=("period",), epsilon=START_EPSILON, time_limit_s=START_S)
    owners = [
        {op: site.units.index(group.unit) for group in line.groups(site.ops, division) for op in group.ops}
        for division in found.groups
    ]
    return [tuple(owner[block] for block in site.blocks.members) for owner in owners]
