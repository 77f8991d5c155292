"""A roofline with a roof for each level of this machine's memory, all of them measured by benches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.cost import memory
from shoal.cost.contract import CostKey, CostModel, Costs
from shoal.cost.models._rates import Rates, rates_of
from shoal.cost.models._traffic import Tile, Traffic, traffic_of
from shoal.cost.models.roofline import indices_of
from shoal.cost.models.table import HERE, threads_of
from shoal.cost.reach import operating_point, peak_flop_per_s
from shoal.errors import InputError, PlanError
from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.measure import machine_id
from shoal.record import Estimate, Sample

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Levels:
    """max(arithmetic / (peak · e_tile · e_wave) by class, bytes / bandwidth by level) + launch, summed over the ops.

    For this machine's processor, by its benches: the peak of products is `gemm`'s, of functions `sigmoid`'s, bandwidths
    are `cached`'s and `stream`'s, a launch is `launch`'s. Caches of several threads count as one. No op is measured.
    Of other boards levels are not known: the flat model answers, and so it does without benches.
    [Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009; a roof for each level: Yang, Kurth, Williams:
    Hierarchical Roofline analysis for GPUs, CCPE 32(20), 2020]
    """

    tile_rows: int = 12  # of the sums that a kernel keeps in registers: onnxruntime's AVX-512 one; AVX2: 6
    tile_columns: int = 32  # likewise: two vectors; AVX2: 16
    lanes: int = 16  # float32 values of a vector: AVX-512; AVX2: 8, NEON: 4
    fuses: bool = True  # whether what follows a product is done within it, as onnxruntime does
    launch_s: float = 0.0  # of an op; 0: as the bench found
    flat: str = "roofline"  # the model for what has no levels
    machine: str = ""  # whose samples count, as `machine_id` names it; empty: this one

    def __post_init__(self) -> None:
        for name in ("tile_rows", "tile_columns", "lanes"):
            if getattr(self, name) < 1:
                raise InputError("not a size", where="cost model 'levels'", needed=f"{name} ≥ 1",
                                 had=str(getattr(self, name)))  # fmt: skip
        if not self.launch_s >= 0:
            raise InputError(
                "not a time", where="cost model 'levels'", needed="launch_s ≥ 0", had=str(self.launch_s)
            )

    def over(self, graph: Graph, fleet: Fleet, samples: Sequence[Sample]) -> Costs:
        """Answers about `graph` on `fleet`, by the benches among the samples."""
        flat: CostModel = catalog.make("cost/models", self.flat)
        own = tuple(sample for sample in samples if sample.machine == (self.machine or machine_id()))
        return LevelsCosts(self, graph, fleet, own, flat.over(graph, fleet, samples))


@dataclass(frozen=True, eq=False)
class LevelsCosts:
    """Answers about one graph on one fleet."""

    model: Levels
    graph: Graph
    fleet: Fleet
    samples: tuple[Sample, ...]
    flat: Costs
    _asked: dict[int, Traffic] = field(default_factory=dict, init=False, repr=False)  # by threads

    def estimate(self, key: CostKey) -> Estimate:
        """See `Costs.estimate`. Breakdown: compute_s, a part for each level and overhead_s add up to the seconds."""
        rates = self._rates(key.unit)
        if rates is None:
            return self.flat.estimate(key)
        indices = indices_of(self.graph, key.ops)
        sides, launch_s = self._sides(key, rates)
        longest = np.argmax(sides, axis=0)
        spent = np.where(np.arange(len(sides))[:, None] == longest, sides, 0.0)[:, indices].sum(axis=1)
        names = ("compute_s", "functions_s", *(f"{name}_s" for name in rates.names))
        parts = dict(zip(names, map(float, spent), strict=True))
        parts["overhead_s"] = float(launch_s[indices].sum())
        seconds = sum(parts.values())
        need = memory.footprint(self.graph, key.ops, key.engine)
        busy_w = operating_point(key.unit, self.fleet.unit(key.unit), key.operating_point).busy_w
        return Estimate(
            seconds, busy_w * seconds, need.resident_bytes, need.peak_bytes, "predicted", parts | need.breakdown
        )

    def op_seconds(self, unit: str, engine: str) -> Array:
        """See `Costs.op_seconds`."""
        rates = self._rates(unit)
        if rates is None:
            return self.flat.op_seconds(unit, engine)
        try:
            sides, launch_s = self._sides(CostKey((), unit, engine), rates)
        except PlanError:
            return np.full(len(self.graph.ops), np.inf)
        seconds: Array = sides.max(axis=0) + launch_s
        return seconds

    def of(self, graph: Graph) -> LevelsCosts:
        """See `Costs.of`."""
        return LevelsCosts(self.model, graph, self.fleet, self.samples, self.flat.of(graph))

    def _rates(self, unit: str) -> Rates | None:
        here = self.fleet.device(unit).board == HERE and unit.endswith("/cpu")
        return rates_of(self.samples, threads_of(self.fleet, unit)) if here else None

    def _sides(self, key: CostKey, rates: Rates) -> tuple[Array, Array]:
        """Seconds each op needs for its products, its functions and each level, shape (2 + levels, ops); for its call."""
        unit, asked = self.fleet.unit(key.unit), self._traffic(rates)
        formed = peak_flop_per_s(key.unit, unit, key.engine, key.format)
        speed = self.fleet.device(key.unit).speed  # a throttled machine does everything so much slower
        computing = operating_point(key.unit, unit, key.operating_point).speed * speed
        peak = rates.flop_per_s * formed / peak_flop_per_s(key.unit, unit, key.engine, "float32") * computing
        moving = [asked_bytes / rate for asked_bytes, rate in zip(asked.bytes, rates.bytes_per_s, strict=True)]
        sides = np.stack([asked.flop / peak, asked.functions / (rates.functions_per_s * computing),
                          *(each / speed for each in moving)])  # fmt: skip
        return sides, asked.launches * (self.model.launch_s or rates.launch_s) / speed

    def _traffic(self, rates: Rates) -> Traffic:
        if rates.threads not in self._asked:
            model = self.model
            tile = Tile(model.tile_rows, model.tile_columns, model.lanes)
            self._asked[rates.threads] = traffic_of(
                self.graph, rates.capacities, tile, rates.threads, fuses=model.fuses
            )
        return self._asked[rates.threads]
