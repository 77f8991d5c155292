"""The figures of a report, each as obtained and as predicted, with how it was got.

Tables, pages and `--json` all read these, so they cannot disagree. Energy and bytes are totals of the run in
`DeviceFigures` and per item in `Prediction`; comparisons are per item.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from shoal.record import DeviceFigures, Goal, Provenance, Run
from shoal.report.text import Kind, error, in_unit

TOLERANCE = 1e-4  # of the largest reference magnitude: what "equal outputs" means


@dataclass(frozen=True)
class Figure:
    """One figure of a run or of one of its devices, in the SI unit of its kind."""

    key: str
    label: str
    kind: Kind
    obtained: float | None
    provenance: Provenance | None
    predicted: float | None = None

    @property
    def error(self) -> float | None:
        """How far the prediction lies from what was obtained, as a share of it; above 0 it was too high."""
        return relative_error(self.predicted, self.obtained)


def relative_error(predicted: float | None, obtained: float | None) -> float | None:
    """(predicted - obtained) / obtained, or None where either is missing or nothing was obtained."""
    if predicted is None or obtained is None or obtained == 0:
        return None
    value = (predicted - obtained) / abs(obtained)
    return value if isfinite(value) else None


def quantile(values: Iterable[float], share: float) -> float | None:
    """The `share` quantile (0 to 1) with linear interpolation; values that are not finite do not count."""
    ordered = sorted(v for v in values if isfinite(v))
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def whole(run: Run) -> tuple[Figure, ...]:
    """The figures of the whole run: throughput, period, latencies, energy an item, the fullest memory."""
    plan = run.prediction
    return (
        Figure(
            "throughput_items_per_s",
            "throughput",
            "items/s",
            run.throughput_items_per_s or None,
            provenance(run, "throughput_items_per_s"),
            1 / plan.period_s if plan and plan.period_s > 0 else None,
        ),
        Figure(
            "period_s",
            "period",
            "s",
            run.period_s if run.period_s > 0 else None,
            provenance(run, "period_s"),
            plan.period_s if plan else None,
        ),
        Figure(
            "latency_p50_s",
            "latency p50",
            "s",
            quantile(run.latencies_s, 0.5),
            provenance(run, "latency_s"),
            _predicted_latency(run),
        ),
        Figure("latency_p99_s", "latency p99", "s", quantile(run.latencies_s, 0.99), provenance(run, "latency_s")),
        _energy_per_item(run),
        _fullest_memory(run),
    )


def device(run: Run, name: str) -> tuple[Figure, ...]:
    """The figures of the device called `name`."""
    had, plan = run.devices[name], run.prediction
    memory, memory_key = _memory(had)
    return (
        Figure("busy_s", "busy time", "s", had.busy_s, provenance(run, "busy_s")),
        Figure(
            "utilisation",
            "utilisation",
            "share",
            _utilisation(run, had),
            provenance(run, "busy_s"),
            _predicted_utilisation(run, name),
        ),
        Figure("cpu_s", "CPU time", "s", had.cpu_s, provenance(run, "cpu_s")),
        Figure(
            "energy_per_item_j",
            "energy per item",
            "J",
            _per_item(run, had.energy_j),
            provenance(run, "energy_j"),
            _planned(plan.energy_j if plan else None, name),
        ),
        Figure("energy_j", "energy", "J", had.energy_j, provenance(run, "energy_j")),
        Figure("resident_bytes", "resident memory", "B", had.resident_bytes, provenance(run, "resident_bytes")),
        Figure(
            "peak_bytes",
            "peak memory",
            "B",
            memory,
            provenance(run, memory_key),
            _planned(plan.memory_bytes if plan else None, name),
        ),
        Figure("weights_bytes", "weights", "B", had.weights_bytes, provenance(run, "weights_bytes")),
        Figure("sent_bytes", "sent", "B", had.sent_bytes, provenance(run, "sent_bytes")),
        Figure(
            "sent_per_item_bytes",
            "sent per item",
            "B",
            _per_item(run, had.sent_bytes),
            provenance(run, "sent_bytes"),
            _planned(plan.sent_bytes if plan else None, name),
        ),
        Figure("received_bytes", "received", "B", had.received_bytes, provenance(run, "received_bytes")),
        Figure("items", "items", "count", _items(run, name), None),
    )


def pick(figures: Sequence[Figure], key: str) -> Figure:
    """The figure whose key is `key`."""
    return next(figure for figure in figures if figure.key == key)


_SAME_SOURCE = {
    "throughput_items_per_s": ("period_s",),
    "period_s": ("throughput_items_per_s",),
    "latency_s": ("latencies_s", "latency_p50_s"),
    "peak_bytes": ("resident_bytes",),
    "received_bytes": ("sent_bytes",),
}


def provenance(run: Run, key: str) -> Provenance | None:
    """How the figure `key` was got, under its own name or that of the figure it is derived from."""
    for name in (key, *_SAME_SOURCE.get(key, ())):
        if name in run.provenance:
            return run.provenance[name]
    return None


def goals(run: Run) -> dict[str, str]:
    """What the plan was to make best, and in words what of that was predicted and came out."""
    return {goal.name: _against(goal) for goal in run.goals}


def _against(goal: Goal) -> str:
    predicted = f"predicted {in_unit(goal.predicted, goal.unit)}"
    if goal.obtained is None:
        return f"{predicted}; this run cannot tell what came of it"
    off = error(relative_error(goal.predicted, goal.obtained))
    return f"{predicted}, obtained {in_unit(goal.obtained, goal.unit)} ({goal.provenance or 'derived'}), {off}"


def allowed_difference(run: Run) -> float | None:
    """The largest difference from the undivided model that still counts as equal."""
    return None if run.reference_magnitude is None else TOLERANCE * run.reference_magnitude


def verdict(run: Run) -> str:
    """Whether the outputs are those of the undivided model, in words, with the differences behind it."""
    if run.outputs_match is None:
        return "not compared with the undivided model"
    known = (("largest difference", run.max_abs_difference), ("allowed", allowed_difference(run)))
    details = ", ".join(f"{label} {value:.2g}" for label, value in known if value is not None)
    return ("match" if run.outputs_match else "DIFFER") + (f" ({details})" if details else "")


def _predicted_latency(run: Run) -> float | None:
    """The median under the workload; of a single item, which never queues, that in an empty pipe."""
    plan = run.prediction
    if plan is None:
        return None
    return plan.alone_latency_s if run.items == 1 else plan.latency_s


def _energy_per_item(run: Run) -> Figure:
    total = sum(had.energy_j for had in run.devices.values()) if run.devices else None
    planned = sum(run.prediction.energy_j.values()) if run.prediction and run.prediction.energy_j else None
    return Figure(
        "energy_per_item_j",
        "energy per item",
        "J",
        _per_item(run, total),
        provenance(run, "energy_j"),
        planned,
    )


def _fullest_memory(run: Run) -> Figure:
    found = [(bytes_, key) for bytes_, key in map(_memory, run.devices.values()) if bytes_ is not None]
    bytes_, key = max(found, default=(None, "peak_bytes"))
    planned = max(run.prediction.memory_bytes.values(), default=None) if run.prediction else None
    return Figure("peak_bytes", "peak memory (max)", "B", bytes_, provenance(run, key), planned)


def _memory(had: DeviceFigures) -> tuple[int | None, str]:
    """The most a device held and the field that says so: its peak, or what was resident if no peak is known."""
    if had.peak_bytes is not None:
        return had.peak_bytes, "peak_bytes"
    return had.resident_bytes, "resident_bytes"


def _per_item(run: Run, total: float | None) -> float | None:
    return total / run.items if total is not None and run.items > 0 else None


def _planned(by_device: Mapping[str, float] | None, name: str) -> float | None:
    return by_device.get(name) if by_device else None


def _utilisation(run: Run, had: DeviceFigures) -> float | None:
    """Busy share of a period, over all units: in steady state, so that filling the pipe does not dilute it."""
    period_s = run.period_s if run.period_s > 0 else (quantile(run.latencies_s, 0.5) or 0.0)
    if run.items <= 0 or period_s <= 0:
        return None
    return had.busy_s / run.items / period_s / max(1, len(had.units))


def _predicted_utilisation(run: Run, name: str) -> float | None:
    plan = run.prediction
    if plan is None or plan.period_s <= 0 or name not in plan.busy_s:
        return None
    return plan.busy_s[name] / plan.period_s / max(1, len(run.devices[name].units))


def _items(run: Run, name: str) -> int | None:
    """Items the device computed for; unknown once spans were dropped."""
    if run.spans_dropped:
        return None
    return len({s.item for s in run.spans if s.kind == "run" and s.unit.partition("/")[0] == name})
