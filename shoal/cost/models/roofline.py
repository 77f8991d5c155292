"""The data sheet's answer: an op takes as long as its arithmetic or its bytes, whichever is longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shoal.cost import memory
from shoal.cost.contract import CostKey, Costs
from shoal.cost.models._work import Work, work_of
from shoal.cost.reach import operating_point, peak_flop_per_s
from shoal.errors import PlanError
from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.record import Estimate, Sample

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Roofline:
    """max(2·MACs / (peak · efficiency), bytes / (bandwidth · efficiency)) + overhead, summed over the ops.

    Grouped and depthwise convolutions, pooling and element-wise ops come out bound by memory of themselves: they
    do little arithmetic on each byte. [Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009]
    """

    compute_efficiency: float = 0.5  # of the peak: estimate for float32 convolutions on CPUs
    memory_efficiency: float = 0.7  # of the stated bandwidth: estimate
    op_overhead_s: float = (
        5e-6  # an engine's call of one op: estimate, ten times the 0.5 µs measured on a server core
    )
    arithmetic: str = ""  # the format whose peaks hold for ops in float32, "float16"; empty: float32

    def over(self, graph: Graph, fleet: Fleet, samples: Sequence[Sample]) -> Costs:
        """Answers about `graph` on `fleet`; samples are not looked at."""
        return RooflineCosts(self, graph, fleet)


@dataclass(frozen=True, eq=False)
class RooflineCosts:
    """Answers about one graph on one fleet."""

    model: Roofline
    graph: Graph
    fleet: Fleet

    @cached_property
    def _work(self) -> Work:
        return work_of(self.graph)

    def estimate(self, key: CostKey) -> Estimate:
        """See `Costs.estimate`. Breakdown: compute_s, memory_s and overhead_s add up to the seconds."""
        unit = self.fleet.unit(key.unit)
        indices = indices_of(self.graph, key.ops)
        compute_s, memory_s = self._sides(key)
        compute_s, memory_s = compute_s[indices], memory_s[indices]
        bound = compute_s >= memory_s
        parts = {
            "compute_s": float(compute_s[bound].sum()),
            "memory_s": float(memory_s[~bound].sum()),
            "overhead_s": len(indices) * self._overhead_s(key.unit),
        }
        seconds = sum(parts.values())
        need = memory.footprint(self.graph, key.ops, key.engine)
        busy_w = operating_point(key.unit, unit, key.operating_point).busy_w
        return Estimate(
            seconds, busy_w * seconds, need.resident_bytes, need.peak_bytes, "predicted", parts | need.breakdown
        )

    def op_seconds(self, unit: str, engine: str) -> Array:
        """See `Costs.op_seconds`."""
        try:
            compute_s, memory_s = self._sides(CostKey((), unit, engine))
        except PlanError:
            return np.full(len(self.graph.ops), np.inf)
        seconds: Array = np.maximum(compute_s, memory_s) + self._overhead_s(unit)
        return seconds

    def of(self, graph: Graph) -> RooflineCosts:
        """See `Costs.of`."""
        return RooflineCosts(self.model, graph, self.fleet)

    def _overhead_s(self, unit: str) -> float:
        return self.model.op_overhead_s / self.fleet.device(unit).speed

    def _sides(self, key: CostKey) -> tuple[Array, Array]:
        """Seconds each op needs for its arithmetic, and for its bytes."""
        unit = self.fleet.unit(key.unit)
        form = (self.model.arithmetic or key.format) if key.format == "float32" else key.format
        peak = peak_flop_per_s(key.unit, unit, key.engine, form)
        peak *= operating_point(key.unit, unit, key.operating_point).speed
        speed = self.fleet.device(key.unit).speed  # a throttled machine does everything so much slower
        return (
            self._work.flop / (peak * self.model.compute_efficiency * speed),
            self._work.bytes / (unit.memory_bytes_per_s * self.model.memory_efficiency * speed),
        )


def indices_of(graph: Graph, ops: Sequence[str]) -> list[int]:
    """Where `ops` stand in `graph`.

    Raises:
        PlanError: the graph has no such op.
    """
    unknown = [name for name in ops if name not in graph.position]
    if unknown:
        raise PlanError(f"no op '{unknown[0]}'", where=graph.name)
    return [graph.position[name] for name in ops]
