"""Costs of devices that are slower or faster than they were taken to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.cost.contract import CostKey, Costs
from shoal.graph import Graph
from shoal.record import Estimate


@dataclass(frozen=True)
class ScaledCosts:
    """What `inner` says, with the seconds (and with them the joules) of each device times its factor."""

    inner: Costs
    factors: Mapping[str, float]  # by device; 1 for those not named

    def estimate(self, key: CostKey) -> Estimate:
        """See `Costs.estimate`."""
        found, factor = self.inner.estimate(key), self._factor(key.unit)
        parts = {name: part * factor if name.endswith("_s") else part for name, part in found.breakdown.items()}
        return replace(found, seconds=found.seconds * factor, joules=found.joules * factor, breakdown=parts)

    def op_seconds(self, unit: str, engine: str) -> NDArray[np.float64]:
        """See `Costs.op_seconds`."""
        return self.inner.op_seconds(unit, engine) * self._factor(unit)

    def of(self, graph: Graph) -> ScaledCosts:
        """See `Costs.of`."""
        return replace(self, inner=self.inner.of(graph))

    def _factor(self, unit: str) -> float:
        return self.factors.get(unit.partition("/")[0], 1.0)
