"""Whatever suits each layer: whole on one unit, tiled, or divided along its channels, by a DP over layouts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shoal.errors import PlanError
from shoal.graph import Split
from shoal.graph.flow import transfer_bytes
from shoal.plan.problem import Problem
from shoal.plan.shares import users_of
from shoal.plan.strategies._layout_cost import LayoutCost
from shoal.plan.strategies._layout_dp import Labels, Scale, best, total
from shoal.plan.strategies._layouts import Row, Way, row_of
from shoal.plan.strategies._parts import division_of, whole
from shoal.plan.strategies.channel_in import ChannelIn
from shoal.plan.strategies.channel_out import ChannelOut
from shoal.plan.strategies.channel_pair import ChannelPair
from shoal.plan.strategies.stage import Stage
from shoal.plan.strategies.tile import Tile
from shoal.plan.values import Division

EXACT_BLOCKS = 8  # up to so many blocks nothing is left out of the search
PURE = (  # what else is weighed, so that a mixture is never worse than the best of them
    Stage(), Tile(), Tile(depth=1), Tile("columns"), Tile("columns", 1), ChannelOut(), ChannelIn(), ChannelPair(),
)  # fmt: skip


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
    kept: int = 32  # cost vectors for each layout; all of them on nets of up to eight blocks

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
        pure = list(_pure(problem, shares)) if len(parts) > 1 else []
        every = [way for choices in ways for way in choices] + pure
        cost.prices.learn(split for way in every for split in way.splits)
        scale = scale_of(problem, units, problem.objective.goals)
        most = None if len(row.blocks) <= EXACT_BLOCKS else self.kept
        found = _best(cost, ways, pure, scale, most)
        if not len(found):  # nothing fits: what comes nearest tells the user what is lacking
            found = _best(cost, ways, pure, scale_of(problem, units, ("memory",), limited=False), most)
        if not len(found):
            raise _cannot_run(row, ways, cost)
        path = found.paths[0]
        assert path is not None
        return path.ways()

    def _splits(self, problem: Problem, shares: Sequence[float]) -> tuple[Split, ...]:
        return tuple(split for way in self.search(problem, shares) for split in way.splits)


def scale_of(problem: Problem, units: tuple[str, ...], goals: tuple[str, ...], limited: bool = True) -> Scale:
    """What counts; memory limits only where a whole copy and all tensors might not fit."""
    graph = problem.graph
    buffers = (problem.window + 1) * sum(tensor.bytes for tensor in graph.tensors.values())
    most = len(units) * (2 * graph.weights_bytes + buffers)
    tight = limited and any(problem.limit_bytes(unit) < most for unit in units)
    return Scale(problem, units, goals, tight)


def _best(
    cost: LayoutCost, ways: Sequence[Sequence[Way]], pure: Sequence[Way], scale: Scale, most: int | None
) -> Labels:
    """What the DP finds and what the pure strategies cost, from best to worst, within the limits."""
    several = [best(cost, ways, scale, most)]
    several += [total(cost, cost.effects(way.splits), way, scale) for way in pure]
    together = Labels.joined(several)
    fitting = together.only(scale.fitting(together))
    return fitting.only(scale.ranked(fitting))


def _pure(problem: Problem, shares: Sequence[float]) -> Iterator[Way]:
    """The pure strategies that can divide the graph with these shares."""
    for strategy in PURE:
        try:
            division = strategy.divide(problem, shares)
        except PlanError:
            continue
        yield Way(type(strategy).__name__, splits_of(problem, division))


def splits_of(problem: Problem, division: Division) -> tuple[Split, ...]:
    """Splits of every op of the graph, those that stay whole included."""
    by_op = {split.op: split for split in division.splits}
    owner = {}
    if not division.splits:
        owner = {op: part for part, group in enumerate(division.replicas[0].groups) for op in group.ops}
    shapes = ((op.name, problem.graph.tensors[op.name].shape) for op in problem.graph.ops)
    return tuple(by_op.get(name) or whole(name, shape, owner.get(name, 0)) for name, shape in shapes)


def _cannot_run(row: Row, ways: Sequence[Sequence[Way]], cost: LayoutCost) -> PlanError:
    for block in row.blocks:
        for op in block.ops:
            part = whole(op.name, row.graph.tensors[op.name].shape, 0).parts[0]
            if not any(seconds < float("inf") for seconds in cost.prices.work(op.name, part).seconds):
                return PlanError(f"op '{op.name}' ({op.kind}) can run on none of the units", had=", ".join(cost.units))
    return PlanError("no unit can run a whole block of layers", where=row.graph.name)
