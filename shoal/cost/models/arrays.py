"""Units that are arrays of multipliers, which are not here: simulated product by product, in the format of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.cost import memory
from shoal.cost.contract import CostKey, CostModel, Costs
from shoal.cost.models.roofline import Roofline, indices_of
from shoal.cost.reach import operating_point
from shoal.fleet import Fleet, Unit
from shoal.formats import make
from shoal.graph import CodedProduct, Graph, coded_products, whole_numbers
from shoal.machines.arrays import Pace, Passed, array_of, pace_of, passed, takes
from shoal.record import Estimate, Sample

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Arrays:
    """Products with coded weights by `machines.arrays`; what else such a unit does, by its data sheet.

    Activations meet the codes in eight bits. A product in a format that has no multiplier is done by the rest of the
    unit, in float32, and so is one that is not coded.
    """

    rest: str = "table"  # the model of all other units

    def over(self, graph: Graph, fleet: Fleet, samples: Sequence[Sample]) -> Costs:
        """Answers about `graph` on `fleet`; samples are for the other units."""
        others: CostModel = catalog.make("cost/models", self.rest)
        return ArrayCosts(graph, fleet, others.over(graph, fleet, samples), Roofline().over(graph, fleet, ()))


@dataclass(frozen=True, eq=False)
class ArrayCosts:
    """Answers about one graph on one fleet."""

    graph: Graph
    fleet: Fleet
    rest: Costs  # of other units
    sheet: Costs  # of what such a unit does beside its array
    _found: dict[str, Mapping[str, Passed]] = field(default_factory=dict, init=False, repr=False)  # by unit

    def estimate(self, key: CostKey) -> Estimate:
        """See `Costs.estimate`. Breakdown: array_s, and the data sheet's for all else."""
        unit = self.fleet.unit(key.unit)
        if unit.macs is None:
            return self.rest.estimate(key)
        indices_of(self.graph, key.ops)
        done = self._products(key.unit)
        own = [done[name] for name in key.ops if name in done]
        others = tuple(name for name in key.ops if name not in done and name not in self._decodes(done))
        point = operating_point(key.unit, unit, key.operating_point)
        array_s = sum(each.seconds for each in own) / point.speed
        joules, parts = sum(each.joules for each in own), {"array_s": array_s}
        if others:
            beside = self.sheet.estimate(replace(key, ops=others))
            joules += beside.joules
            parts |= {name: part for name, part in beside.breakdown.items() if name.endswith("_s")}
        need = memory.footprint(self.graph, key.ops, key.engine)
        return Estimate(sum(parts.values()), joules, need.resident_bytes, need.peak_bytes, "simulated",
                        parts | need.breakdown)  # fmt: skip

    def op_seconds(self, unit: str, engine: str) -> Array:
        """See `Costs.op_seconds`. Decoding takes nothing: the array reads codes."""
        if self.fleet.unit(unit).macs is None:
            return self.rest.op_seconds(unit, engine)
        seconds = self.sheet.op_seconds(unit, engine).copy()
        if engine in self.fleet.unit(unit).engines:
            done = self._products(unit)
            for name, each in done.items():
                seconds[self.graph.position[name]] = each.seconds
            for name in self._decodes(done):
                seconds[self.graph.position[name]] = 0.0
        return seconds

    def of(self, graph: Graph) -> ArrayCosts:
        """See `Costs.of`."""
        return ArrayCosts(graph, self.fleet, self.rest.of(graph), self.sheet.of(graph))

    @cached_property
    def _coded(self) -> Mapping[str, CodedProduct]:
        return {each.op: each for each in coded_products(self.graph)}

    def _decodes(self, done: Mapping[str, Passed]) -> frozenset[str]:
        """The ops that decode for products which the array does, and for nothing else."""
        read = {each.decode for name, each in self._coded.items() if name not in done}
        return frozenset(self._coded[name].decode for name in done) - read

    def _products(self, unit: str) -> Mapping[str, Passed]:
        """What the array takes for each product that it does."""
        if unit not in self._found:
            each = ((name, self._passed(product, self.fleet.unit(unit))) for name, product in self._coded.items())
            self._found[unit] = {name: found for name, found in each if found is not None}
        return self._found[unit]

    def _passed(self, product: CodedProduct, unit: Unit) -> Passed | None:
        """None: the array does not take its format."""
        form, macs = make(product.format), unit.macs
        if macs is None or not takes(macs, form):
            return None
        numbers = whole_numbers(self.graph, product) if macs.multiplier else None
        pace = Pace() if numbers is None else pace_of(macs.multiplier, numbers)
        array = array_of(macs, form, unit.memory_bytes_per_s)
        places = self.graph.ops[self.graph.position[product.op]].macs // product.weights
        found = passed(array, product.format, (product.rows, product.columns), product.parts, places, pace)
        changed = array.switch_s if pace.clock != 1 else 0.0  # of the clock, before each such layer
        return replace(found, seconds=found.seconds + changed)
