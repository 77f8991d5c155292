"""What a planner is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.cost import CostKey, Costs
from shoal.engines import engine_name, machine_of
from shoal.errors import PlanError
from shoal.fleet import Fleet
from shoal.graph import Graph, Split, divide
from shoal.plan.values import Division, Group, Objective
from shoal.program import Item
from shoal.search import front


@dataclass(frozen=True)
class Problem:
    """A graph to be divided between units, with everything that is known about the cost of doing so."""

    graph: Graph
    fleet: Fleet
    objective: Objective
    costs: Costs
    window: int
    units: tuple[str, ...]  # those that may be used, "device/unit"
    pins: Mapping[str, str] = field(default_factory=dict)  # op → device or unit it must run on
    engines: tuple[str, ...] = ()  # allowed ones; empty: whatever a unit offers
    pattern: tuple[Item, ...] = (Item(),)  # the kinds of items that come, in turn

    def allowed(self, op: str, unit: str) -> bool:
        """Whether the user's pins let `unit` run `op`."""
        pinned = self.pins.get(op)
        return pinned is None or pinned in (unit, unit.partition("/")[0])

    def engines_of(self, unit: str) -> tuple[str, ...]:
        """The engines that may run on `unit`, the preferred one first.

        Raises:
            PlanError: there is none.
        """
        found = usable_engines(self.graph, self.fleet, unit, self.engines)
        if not found:
            offered = ", ".join(self.fleet.unit(unit).engines) or "none"
            raise PlanError(f"no allowed engine on '{unit}'", needed=", ".join(self.engines) or None, had=offered)
        return found

    def op_seconds(self, unit: str, engine: str) -> NDArray[np.float64]:
        """Seconds of each op, shape (ops,); inf where it cannot run or a pin forbids it."""
        seconds = self.costs.op_seconds(unit, engine).copy()
        for op in self.pins:
            if not self.allowed(op, unit):
                seconds[self.graph.position[op]] = np.inf
        return seconds

    def busy_w(self, unit: str) -> float:
        """Watts that `unit` draws above idle while it computes; of a simulated one, what its ops draw on the average."""
        described, engine = self.fleet.unit(unit), self.engines_of(unit)[0]
        if machine_of(engine) is None and described.macs is None:
            return described.busy_w
        able = np.isfinite(self.costs.op_seconds(unit, engine))
        ops = tuple(op.name for op, there in zip(self.graph.ops, able, strict=True) if there)
        whole = self.costs.estimate(CostKey(ops, unit, engine)) if ops else None
        return whole.joules / whole.seconds if whole and whole.seconds else described.busy_w

    def divided(self, splits: tuple[Split, ...]) -> Problem:
        """The same question about the graph divided so; a pin of an op holds for all its parts."""
        if not splits:
            return self
        graph = divide(self.graph, splits).graph
        pins = {op.name: self.pins[op.origin] for op in graph.ops if op.origin in self.pins}
        return replace(self, graph=graph, costs=self.costs.of(graph), pins=pins)

    def limit_bytes(self, device: str) -> int:
        """The memory a plan may use on `device` (or the device of a unit): its own limit or the objective's."""
        limit = self.fleet.device(device).memory_limit_bytes
        return min(limit, self.objective.memory_limit_bytes or limit)


def usable_engines(graph: Graph, fleet: Fleet, unit: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """The engines of `unit` that we have and that are among `allowed` (empty: all), the preferred one first.

    Without packed weights `native` is onnxruntime, and is left out unless it is asked for.
    """
    ours = set(catalog.names("engines"))
    if not graph.packed and "native" not in allowed:
        ours.discard("native")
    offered = fleet.unit(unit).engines
    return tuple(
        text
        for text in offered
        if engine_name(text) in ours and (not allowed or {text, engine_name(text)} & set(allowed))
    )


@dataclass(frozen=True)
class Candidates:
    """Placements of the whole graph, with the planner's own estimate of each."""

    placements: tuple[tuple[Group, ...], ...]
    scores: NDArray[np.float64]  # (placements, 4): latency s, period s, largest energy J, largest memory B
    exact: bool  # nothing better exists under the cost model
    splits: tuple[Split, ...] = ()  # placements and scores are of the graph divided so

    def only(self, indices: Sequence[int]) -> Candidates:
        """The candidates at `indices`."""
        placements = tuple(self.placements[i] for i in indices)
        return replace(self, placements=placements, scores=self.scores[list(indices)])

    @staticmethod
    def joined(several: Sequence[Candidates]) -> Candidates:
        """The front of all of them; exact if they are one, and that is."""
        if len(several) == 1:
            return several[0]
        placements = [groups for each in several for groups in each.placements]
        scores = np.concatenate([each.scores for each in several])
        kept = front(scores)
        return Candidates(tuple(placements[i] for i in kept), scores[kept], exact=False)


class Planner(Protocol):
    """A technique of `plan/planners`."""

    def search(self, problem: Problem) -> Candidates:
        """Placements worth having; none if no placement keeps the limits.

        Raises:
            PlanError: the problem contradicts itself.
        """


class Strategy(Protocol):
    """A technique of `plan/strategies`."""

    def divide(self, problem: Problem, shares: Sequence[float]) -> Division:
        """A division in which unit i of the problem does `shares[i]` of the work, none where that is zero.

        Raises:
            PlanError: the graph cannot be divided so; names the op, the limit and the nearest that can.
        """

    def transfer_bytes(self, problem: Problem, shares: Sequence[float]) -> int:
        """Payload bytes between units for one item: the strategy's closed formula, worked out without a rewrite."""


@runtime_checkable
class Varied(Strategy, Protocol):
    """A strategy with options that a search had better try than guess."""

    def variants(self) -> Sequence[Strategy]:
        """Itself with every setting worth trying of the options that the user left open."""
