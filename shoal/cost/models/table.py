"""What was measured here, and for boards that are not here a data sheet's answer corrected by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.cost.contract import CostKey, CostModel, Costs
from shoal.cost.handling import Handling, handling_of, way_of
from shoal.cost.models.roofline import indices_of
from shoal.cost.reach import operating_point
from shoal.errors import PlanError
from shoal.fleet import Device, Fleet, Unit
from shoal.graph import Graph
from shoal.measure import bench_rate, machine_id, op_subject, segment_subject
from shoal.record import Estimate, Provenance, Sample

Array = NDArray[np.float64]

HERE = "this-machine"
FLOP_PER_S, BYTES_PER_S = 50e9, 10e9  # of a core whose benches are not known: only their ratio matters
# An op against its fallback, which assumes half the peak. Below: 2.25 times the peak, what Winograd's 3 × 3 saves;
# a bench that was disturbed would otherwise make boards faster than their data sheets. Above: a guard likewise.
SANE = (0.5 / 2.25, 10.0)


@dataclass(frozen=True)
class Table:
    """This machine by its samples; another board by T(op) = fallback there × measured here / fallback here.

    The fallback's figures for this machine use its benches on one thread, so that an op's own character (how well
    its engine does it) carries over, and the board's data sheet does the rest. An op that costs nothing here,
    because its engine fuses it into another, costs nothing there. A board's cores divide the work as Amdahl says.
    """

    fallback: str = "roofline"  # the model for what was never measured
    machine: str = ""  # whose samples count, as `machine_id` names it; empty: this one
    gemm_of_peak: float = 0.9  # what the bench reaches of a peak as data sheets state it: estimate, 0.8 to 0.95
    parallel_share: float = 0.95  # of an op that more cores divide: 2 threads measured 1.6 to 2.0 ×, mostly 1.9

    def over(self, graph: Graph, fleet: Fleet, samples: Sequence[Sample]) -> Costs:
        """Answers about `graph` on `fleet`; without samples they are the fallback's."""
        fallback: CostModel = catalog.make("cost/models", self.fallback)
        own = tuple(sample for sample in samples if sample.machine == (self.machine or machine_id()))
        return TableCosts(self, graph, fleet, own, fallback)


@dataclass(frozen=True, eq=False)
class TableCosts:
    """Answers about one graph on one fleet."""

    model: Table
    graph: Graph
    fleet: Fleet
    samples: tuple[Sample, ...]
    fallback: CostModel
    _ratios: dict[tuple[str, str, bool], Array | None] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def _fallback(self) -> Costs:
        return self.fallback.over(self.graph, self.fleet, self.samples)

    @cached_property
    def _segments(self) -> dict[tuple[str, str, str], list[Sample]]:
        """Samples of segments by subject, engine and format."""
        found: dict[tuple[str, str, str], list[Sample]] = {}
        for sample in self.samples:
            if sample.subject.startswith("segment:"):
                found.setdefault((sample.subject, sample.engine, sample.format), []).append(sample)
        return found

    @cached_property
    def _measured(self) -> dict[tuple[str, str, int], Array]:
        """Seconds of every op by engine, format and threads; NaN without a sample, inf where it was refused."""
        place = {op_subject(self.graph.identity, op.name): index for index, op in enumerate(self.graph.ops)}
        found = {} if self.graph.base is None else self._by_origin(self.graph.base)
        for sample in self.samples:
            if sample.subject in place:
                key = (sample.engine, sample.format, sample.threads)
                seconds = found.setdefault(key, np.full(len(self.graph.ops), np.nan))
                seconds[place[sample.subject]] = sample.median_s if sample.repeats else np.inf
        return found

    @cached_property
    def _whole(self) -> NDArray[np.bool_]:
        """Which ops are no part of another: a figure in proportion is no measurement."""
        return np.array([op.origin in ("", op.name) for op in self.graph.ops])

    def _by_origin(self, base: Graph) -> dict[tuple[str, str, int], Array]:
        """What was measured of whole ops, in proportion to the fallback's seconds of their parts here."""
        whole = dataclasses.replace(self, graph=base)
        unit = Unit("cpu", 1, {"float32": FLOP_PER_S}, BYTES_PER_S, 0.0, ("onnxruntime",))
        here = self._here_by_benches("onnxruntime") or Fleet((Device("here", HERE, (unit,), 1, 1, 0.0),))
        parts_s, whole_s = (
            self.fallback.over(graph, here, ()).op_seconds("here/cpu", "onnxruntime")
            for graph in (self.graph, base)
        )
        origin = np.array([base.position.get(op.origin, -1) for op in self.graph.ops])
        known = origin >= 0
        found = {}
        for key, seconds in whole._measured.items():
            found[key] = np.full(len(self.graph.ops), np.nan)
            found[key][known] = seconds[origin[known]] * parts_s[known] / whole_s[origin[known]]
        return found

    def estimate(self, key: CostKey) -> Estimate:
        """See `Costs.estimate`. Breakdown: the fallback's, scaled to the seconds."""
        base = self._fallback.estimate(key)
        seconds, provenance = self._segment_seconds(key) or self._ops_seconds(key)
        seconds += self._handling_s(key, seconds)
        scale = seconds / base.seconds if base.seconds else 0.0
        parts = {name: part * scale if name.endswith("_s") else part for name, part in base.breakdown.items()}
        busy_w = operating_point(key.unit, self.fleet.unit(key.unit), key.operating_point).busy_w
        estimate = Estimate(seconds, busy_w * seconds, base.resident_bytes, base.peak_bytes, provenance, parts)
        return self._with_memory(key, estimate)

    def op_seconds(self, unit: str, engine: str) -> Array:
        """See `Costs.op_seconds`.

        An engine without samples where another has some counts as unable to run: a data sheet's word against a
        measurement is no comparison. `estimate` still answers for it.
        """
        if self._measured and not any(name == engine for name, _, _ in self._measured):
            return np.full(len(self.graph.ops), np.inf)
        return self._op_seconds(CostKey((), unit, engine))[0]

    def of(self, graph: Graph) -> TableCosts:
        """See `Costs.of`."""
        return TableCosts(self.model, graph, self.fleet, self.samples, self.fallback)

    def _op_seconds(self, key: CostKey) -> tuple[Array, NDArray[np.bool_]]:
        """Seconds of each op, and which of them were measured just so."""
        if key.format == "float32" and not key.operating_point:
            base = self._fallback.op_seconds(key.unit, key.engine)
        else:
            base = self._each(self._fallback, key)
        if not np.isfinite(base).any():
            return base, np.zeros(base.shape, np.bool_)
        if self._is_here(key):
            return self._here(key, base)
        return self._elsewhere(key, base), np.zeros(base.shape, np.bool_)

    def _is_here(self, key: CostKey) -> bool:
        """Whether samples hold: this machine's own processor, at its stated speed or throttled as a whole."""
        device = self.fleet.device(key.unit)
        point = operating_point(key.unit, self.fleet.unit(key.unit), key.operating_point)
        return device.board == HERE and key.unit.endswith("/cpu") and point.speed == 1.0

    def _here(self, key: CostKey, base: Array) -> tuple[Array, NDArray[np.bool_]]:
        wanted = threads_of(self.fleet, key.unit)
        counts = [threads for engine, form, threads in self._measured if (engine, form) == (key.engine, key.format)]
        if not counts:
            return self._elsewhere(key, base), np.zeros(base.shape, np.bool_)
        nearest = min(counts, key=lambda count: (abs(count - wanted), count))
        seconds = self._measured[key.engine, key.format, nearest]
        known, speed = ~np.isnan(seconds), self.fleet.device(key.unit).speed
        return np.where(known, seconds / speed, base), known & self._whole & (nearest == wanted and speed == 1)

    def _elsewhere(self, key: CostKey, base: Array) -> Array:
        kind = (key.engine, key.format, self.fleet.device(key.unit).board == HERE)
        if kind not in self._ratios:
            self._ratios[kind] = self._against_fallback(*kind)
        ratio = self._ratios[kind]
        return base if ratio is None else base * ratio * self._undivided(key.unit)

    def _undivided(self, unit: str) -> float:
        """By how much a CPU's cores fall short of dividing the work evenly; figures from here know one thread."""
        cores = threads_of(self.fleet, unit) if unit.endswith("/cpu") else 1
        return self.model.parallel_share + cores * (1.0 - self.model.parallel_share)

    def _against_fallback(self, engine: str, number_format: str, is_here: bool) -> Array | None:
        """Measured seconds of each op on one thread here, over what the fallback says of here; 1 if unknown.

        Of another board it knows the data sheet alone, so for one of those it is shown no samples of here either.
        """
        seconds = self._measured.get((engine, number_format, 1))
        here = self._here_by_benches(engine)
        if seconds is None or here is None:
            return None
        samples = self.samples if is_here else ()
        expected = self.fallback.over(self.graph, here, samples).op_seconds("here/cpu", engine)
        ratio = np.clip(seconds / expected, *SANE)
        ratio[seconds == 0.0] = 0.0
        ratio[np.isnan(seconds)] = 1.0
        ratio[np.isinf(seconds)] = np.inf
        return ratio

    def _here_by_benches(self, engine: str) -> Fleet | None:
        """One thread of this machine as its benches found it."""
        rates = {
            name: max((bench_rate(sample) for sample in self.samples if _is_bench(sample, name)), default=0.0)
            for name in ("gemm", "stream")
        }
        if not all(rates.values()):
            return None
        peaks = {"float32": rates["gemm"] / self.model.gemm_of_peak}
        unit = Unit("cpu", 1, peaks, rates["stream"], 0.0, (engine,))
        return Fleet((Device("here", HERE, (unit,), 1, 1, 0.0),))

    def _ops_seconds(self, key: CostKey) -> tuple[float, Provenance]:
        indices = indices_of(self.graph, key.ops)
        seconds, measured = self._op_seconds(key)
        if not np.isfinite(seconds[indices]).all():  # refused as a whole, yet asked for: parts may well convert
            return self._fallback.estimate(key).seconds, "predicted"
        every = bool(measured[indices].all())
        return float(seconds[indices].sum()), "measured" if every else "predicted"

    def _segment_seconds(self, key: CostKey) -> tuple[float, Provenance] | None:
        if not self._is_here(key):
            return None
        wanted = threads_of(self.fleet, key.unit)
        for sample in self._samples_of(key):
            if sample.threads == wanted:
                speed = self.fleet.device(key.unit).speed
                return sample.median_s / speed, "measured" if speed == 1 else "predicted"
        return None

    def _handling_s(self, key: CostKey, ops_s: float) -> float:
        """What the worker spends beside the ops; of other boards nothing is known."""
        if key.traffic is None or not self._is_here(key):
            return 0.0
        speed = self.fleet.device(key.unit).speed
        return self._handling.seconds(ops_s * speed, key.traffic) / speed

    @cached_property
    def _handling(self) -> Handling:
        return handling_of(self.samples, way_of(self.fleet))

    def _samples_of(self, key: CostKey) -> list[Sample]:
        subject = segment_subject(self.graph.identity, key.ops)
        return self._segments.get((subject, key.engine, key.format), [])

    def _with_memory(self, key: CostKey, estimate: Estimate) -> Estimate:
        """`estimate` with measured memory in place of the formula's: an engine keeps the same on any machine."""
        runtime_bytes = round(estimate.breakdown["runtime_bytes"])
        for sample in self._samples_of(key):
            if sample.resident_bytes is not None and sample.peak_bytes is not None:
                return dataclasses.replace(
                    estimate,
                    resident_bytes=runtime_bytes + sample.resident_bytes,
                    peak_bytes=runtime_bytes + sample.peak_bytes,
                )
        return estimate

    def _each(self, costs: Costs, key: CostKey) -> Array:
        """What `costs` says of each op by itself, for a format or operating point of its own."""
        ops = [op.name for op in self.graph.ops]
        try:
            keys = (dataclasses.replace(key, ops=(name,)) for name in ops)
            return np.array([costs.estimate(each).seconds for each in keys])
        except PlanError:
            return np.full(len(ops), np.inf)


def threads_of(fleet: Fleet, unit: str) -> int:
    """How many threads a worker of `unit` has: the cores it is pinned to, or all of the unit."""
    device = fleet.device(unit)
    return len(device.cores) if device.cores else fleet.unit(unit).cores


def _is_bench(sample: Sample, name: str) -> bool:
    return sample.subject.startswith(f"bench:{name}:") and sample.threads == 1
