"""Units that are machines which are not here: each op as a run of the machine's model, made once and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.cost import memory
from shoal.cost.contract import CostKey, CostModel, Costs
from shoal.cost.reach import operating_point
from shoal.engines import machine_of
from shoal.errors import PlanError
from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.machines.accelerators import Call, Taken, calls, price
from shoal.record import Estimate, Sample

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Machines:
    """Asks the machine where a unit's engine is "simulated:machine=…"; of other units another model answers.

    Ops that only give bytes another shape, or decode weights, take nothing on a machine.
    """

    rest: str = "table"  # the model of all other units

    def over(self, graph: Graph, fleet: Fleet, samples: Sequence[Sample]) -> Costs:
        """Answers about `graph` on `fleet`; samples are for the other units."""
        others: CostModel = catalog.make("cost/models", self.rest)
        return MachineCosts(graph, fleet, others.over(graph, fleet, samples))


@dataclass(frozen=True, eq=False)
class MachineCosts:
    """Answers about one graph on one fleet."""

    graph: Graph
    fleet: Fleet
    rest: Costs

    def estimate(self, key: CostKey) -> Estimate:
        """See `Costs.estimate`. Breakdown: each component's joules as "…_j", cycles, and the parts of memory.

        What the machine draws for being on is the device's idle power, and not counted again.
        """
        machine = machine_of(key.engine)
        if machine is None:
            return self.rest.estimate(key)
        point = operating_point(key.unit, self.fleet.unit(key.unit), key.operating_point)
        taken = [self._taken(machine, name, key.unit) for name in key.ops]
        need = memory.footprint(self.graph, key.ops, key.engine)
        parts = _together(taken) | need.breakdown
        seconds = sum(each.seconds for each in taken) / point.speed
        joules = sum(each.dynamic_j for each in taken)
        return Estimate(seconds, joules, need.resident_bytes, need.peak_bytes, "simulated", parts)

    def op_seconds(self, unit: str, engine: str) -> Array:
        """See `Costs.op_seconds`."""
        machine = machine_of(engine)
        if machine is None:
            return self.rest.op_seconds(unit, engine)
        if engine not in self.fleet.unit(unit).engines:
            return np.full(len(self.graph.ops), np.inf)
        return np.array([_seconds(self._price(machine, op.name)) for op in self.graph.ops])

    def of(self, graph: Graph) -> MachineCosts:
        """See `Costs.of`."""
        return MachineCosts(graph, self.fleet, self.rest.of(graph))

    @cached_property
    def _calls(self) -> Mapping[str, Call]:
        return {each.name: each for each in calls(self.graph.model)}

    @cached_property
    def _prices(self) -> dict[tuple[str, str], Taken]:
        return {}

    def _price(self, machine: str, name: str) -> Taken:
        if name not in self._calls:  # an op that only decodes a weight
            return Taken(0.0, 0, {}, {})
        if (machine, name) not in self._prices:
            self._prices[machine, name] = price(machine, self._calls[name])
        return self._prices[machine, name]

    def _taken(self, machine: str, name: str, unit: str) -> Taken:
        found = self._price(machine, name)
        if found.refusal:
            raise PlanError(f"unsupported op '{name}': {found.refusal}", where=unit)
        return found


def _seconds(taken: Taken) -> float:
    return np.inf if taken.refusal else taken.seconds


def _together(taken: Sequence[Taken]) -> dict[str, float]:
    found = {"cycles": float(sum(each.cycles for each in taken))}
    for each in taken:
        for name, joules in each.energy_j.items():
            found[f"{name}_j"] = found.get(f"{name}_j", 0.0) + joules
    return found
