"""Whatever suits each layer: whole on one unit, tiled, or divided along its channels, by a DP over layouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from shoal.cost import runtime_bytes, weights_factor
from shoal.errors import PlanError
from shoal.graph import Graph, Split
from shoal.graph.divide import HOME
from shoal.graph.flow import transfer_bytes
from shoal.plan.problem import Problem
from shoal.plan.shares import users_of
from shoal.plan.strategies._channels import by_channels
from shoal.plan.strategies._layout_cost import LayoutCost
from shoal.plan.strategies._layout_dp import Labels, Scale, best, total
from shoal.plan.strategies._layouts import Row, Way, row_of
from shoal.plan.strategies._parts import division_of, whole
from shoal.plan.strategies.channel_in import ChannelIn
from shoal.plan.strategies.channel_out import ChannelOut
from shoal.plan.strategies.channel_pair import ChannelPair
from shoal.plan.strategies.stage import Stage
from shoal.plan.strategies.tile import AXES, stack_of, tiled
from shoal.plan.values import GOALS, Division, Group

EXACT_BLOCKS = 8  # up to so many blocks nothing is left out of the search
MANY = 5000  # cost vectors of one layout: more than so few blocks have between two or three units


@dataclass(frozen=True)
class Mixed:
    """Every block of layers divided in the way that makes the whole best, changes of layout counted.

    A block is what lies between two places where a single tensor is alive: a layer with its activation in a chain,
    a residual or inception block elsewhere. It serves the first goal of the objective: latency is that of one item
    alone, throughput and energy are those of a stream. Whole items in turn are not weighed: that is `frame`.
    """

    exchange_s: float = 2e-4  # of every message besides its link's latency: a hop between two processes, measured
    boundary_s: float = 5e-5  # that a message keeps either end busy: a session more to call, measured
    fusion: int = 8  # blocks at most that are tiled at once, their edges computed twice
    kept: int = 32  # cost vectors for each layout; all that may matter on nets of up to eight blocks
    slack: float = 0.01  # of throughput, energy or memory, given up for a shorter latency

    def divide(self, problem: Problem, shares: Sequence[float]) -> Division:
        """See `Strategy.divide`. Shares are those of the layers that are divided; others are whole where they suit.

        Raises:
            PlanError: shares that do not fit the units, or an op that none of them can run.
        """
        return division_of(problem, [unit for unit, _ in users_of(problem, shares)], self._splits(problem, shares))

    def transfer_bytes(self, problem: Problem, shares: Sequence[float]) -> int:
        """Of each tensor what a part reads and has not made, and partial sums."""
        return transfer_bytes(problem.graph, self._splits(problem, shares))

    def search(self, problem: Problem, shares: Sequence[float]) -> tuple[Way, ...]:
        """The way chosen for each block, or the single one of all if a pure strategy is better.

        Raises:
            PlanError: as `divide`.
        """
        users = users_of(problem, shares)
        units, parts = tuple(unit for unit, _ in users), [share for _, share in users]
        row = row_of(problem.graph)
        cost = LayoutCost(problem, units, row, self.exchange_s, self.boundary_s)
        ways = row.ways(parts, self.fusion)
        pure = pure_ways(problem, shares) if len(parts) > 1 else []
        every = [way for choices in ways for way in choices] + pure
        cost.prices.learn(split for way in every for split in way.splits)
        scale = scale_of(problem, units, problem.objective.goals, self.slack)
        found = self._best(cost, ways, pure, scale)
        if found is None:  # nothing fits: what comes nearest tells the user what is lacking
            found = self._best(cost, ways, pure, replace(scale, goals=("memory",), tight=False))
        if found is None:
            raise _cannot_run(row, cost)
        return found

    def _best(
        self, cost: LayoutCost, ways: Sequence[Sequence[Way]], pure: Sequence[Way], scale: Scale
    ) -> tuple[Way, ...] | None:
        """The best that the DP finds, or a pure strategy if that is better; None if nothing keeps the limits."""
        single = [total(cost, cost.effects(way.splits), way, scale) for way in pure]
        alone = scale.possible(Labels.joined([scale.zero(len(cost.media)).only([]), *single]))
        limit = float(scale.first(alone).min(initial=np.inf))
        found = Labels.joined([best(cost, ways, scale, self.kept, limit), alone])
        if len(ways) <= EXACT_BLOCKS:  # once more for the first goal, knowing what is to be beaten
            lowest = float(scale.first(found).min(initial=np.inf))
            found = Labels.joined([found, best(cost, ways, replace(scale, slack=0.0), MANY, lowest)])
        if not len(found):
            return None
        path = found.paths[scale.chosen(found, limit)]
        assert path is not None
        return path.ways()

    def _splits(self, problem: Problem, shares: Sequence[float]) -> tuple[Split, ...]:
        return tuple(split for way in self.search(problem, shares) for split in way.splits)


def scale_of(problem: Problem, units: tuple[str, ...], goals: tuple[str, ...], slack: float) -> Scale:
    """What counts, throughput for goals not known here; memory limits only where copies of all might not fit."""
    graph = problem.graph
    engines = [problem.engines_of(unit)[0] for unit in units]
    copies = sum(runtime_bytes(engine) + weights_factor(engine) * graph.weights_bytes for engine in engines)
    tensors = (problem.window + 1) * len(units) ** 2 * sum(tensor.bytes for tensor in graph.tensors.values())
    tight = any(problem.limit_bytes(unit) < copies + tensors for unit in units)
    return Scale(problem, units, tuple(goal for goal in goals if goal in GOALS) or GOALS[1:2], tight, slack)


def pure_ways(problem: Problem, shares: Sequence[float]) -> list[Way]:
    """The pure strategies that can divide the graph with these shares, each as one way for all of it."""
    graph = problem.graph
    parts = [share for _, share in users_of(problem, shares)]
    tiles = {
        f"tile:axis={name},depth={depth}": partial(_tiled, graph, axis, parts, depth)
        for name, axis in AXES.items()
        for depth in (0, 1)
    }
    makers: dict[str, Callable[[], Sequence[Split]]] = {
        "stage": lambda: _staged(graph, Stage().divide(problem, shares).replicas[0].groups),
        **tiles,
        "channel_out": lambda: by_channels(graph, parts, ChannelOut().by_input),
        "channel_in": lambda: by_channels(graph, parts, ChannelIn().by_input),
        "channel_pair": lambda: by_channels(graph, parts, ChannelPair().by_input),
    }
    found = []
    for name, splits in makers.items():
        with suppress(PlanError):
            found.append(Way(name, all_of(graph, splits())))
    return found


def all_of(graph: Graph, splits: Sequence[Split]) -> tuple[Split, ...]:
    """Splits of every op of the graph: those given, and others whole at home."""
    by_op = {split.op: split for split in splits}
    return tuple(by_op.get(op.name) or whole(op.name, graph.tensors[op.name].shape, HOME) for op in graph.ops)


def _tiled(graph: Graph, axis: int, parts: Sequence[float], depth: int) -> tuple[Split, ...]:
    stack, _ = stack_of(graph, axis, parts)
    return tiled(graph, stack, axis, parts, depth)


def _staged(graph: Graph, groups: Sequence[Group]) -> list[Split]:
    return [whole(op, graph.tensors[op].shape, part) for part, group in enumerate(groups) for op in group.ops]


def _cannot_run(row: Row, cost: LayoutCost) -> PlanError:
    for block in row.blocks:
        for op in block.ops:
            part = whole(op.name, row.graph.tensors[op.name].shape, 0).parts[0]
            if not any(seconds < float("inf") for seconds in cost.prices.work(op.name, part).seconds):
                return PlanError(
                    f"op '{op.name}' ({op.kind}) can run on none of the units", had=", ".join(cost.units)
                )
    return PlanError("no unit can run a whole block of layers", where=row.graph.name)
