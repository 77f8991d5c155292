"""The keys of `--json` for `run` and `simulate`: stable, more may be added."""

from __future__ import annotations

from typing import Any

from shoal.record import DeviceFigures, Prediction, Run
from shoal.report.figures import pick, provenance, relative_error, whole

_PREDICTED = ("throughput_items_per_s", "latency_s", "busy_s", "energy_j", "resident_bytes", "sent_bytes")


def summary(run: Run) -> dict[str, Any]:
    """`run` as the object `--json` prints; figures that are not known are None.

    `predicted` has the same keys, for as many items, with None for what a plan does not predict; it is None
    itself if nothing was predicted. `prediction_error` is (predicted - obtained) / obtained; latency is
    compared with the median. `goals` are what the plan was to make best, the first counting most.
    """
    figures = whole(run)
    return {
        "items": run.items,
        "throughput_items_per_s": pick(figures, "throughput_items_per_s").obtained,
        "latency_s": {share: pick(figures, f"latency_{share}_s").obtained for share in ("p50", "p99")},
        "offered_items_per_s": run.offered_items_per_s,
        "obtained_items_per_s": run.obtained_items_per_s,
        "outputs_match": run.outputs_match,
        "max_abs_difference": run.max_abs_difference,
        "provenance": _provenance(run),
        "devices": {name: _obtained(had) for name, had in run.devices.items()},
        "predicted": _predicted(run, run.prediction) if run.prediction else None,
        "prediction_error": {
            "period": pick(figures, "period_s").error,
            "latency": pick(figures, "latency_p50_s").error,
        },
        "goals": [
            {
                "goal": goal.name,
                "unit": goal.unit,
                "predicted": goal.predicted,
                "obtained": goal.obtained,
                "provenance": goal.provenance,
                "error": relative_error(goal.predicted, goal.obtained),
            }
            for goal in run.goals
        ],
    }


def _provenance(run: Run) -> dict[str, str]:
    derived = {key: provenance(run, key) for key in ("throughput_items_per_s", "latency_s")}
    return {**{key: got for key, got in derived.items() if got}, **run.provenance}


def _obtained(had: DeviceFigures) -> dict[str, float | None]:
    return {
        "busy_s": had.busy_s,
        "cpu_s": had.cpu_s,
        "energy_j": had.energy_j,
        "resident_bytes": had.resident_bytes,
        "weights_bytes": had.weights_bytes,
        "sent_bytes": had.sent_bytes,
        "received_bytes": had.received_bytes,
    }


def _predicted(run: Run, plan: Prediction) -> dict[str, Any]:
    """What the plan expected of a run of as many items.

    A plan has one latency, hence no 99th percentile; its memory is the peak it reckons with.
    """
    named = plan.energy_j.keys() | plan.memory_bytes.keys() | plan.sent_bytes.keys() | plan.busy_s.keys()
    names = [*run.devices, *sorted(named - run.devices.keys())]
    return {
        "items": run.items,
        "throughput_items_per_s": 1 / plan.period_s if plan.period_s > 0 else None,
        "latency_s": {"p50": pick(whole(run), "latency_p50_s").predicted, "p99": None},
        "outputs_match": None,
        "max_abs_difference": None,
        "provenance": dict.fromkeys(_PREDICTED, plan.provenance),
        "devices": {name: _expected(run, plan, name) for name in names},
    }


def _expected(run: Run, plan: Prediction, name: str) -> dict[str, float | None]:
    busy_s, energy_j = plan.busy_s.get(name), plan.energy_j.get(name)
    sent = plan.sent_bytes.get(name)
    return {
        "busy_s": None if busy_s is None else busy_s * run.items,
        "cpu_s": None,
        "energy_j": None if energy_j is None else energy_j * run.items,
        "resident_bytes": plan.memory_bytes.get(name),
        "weights_bytes": None,
        "sent_bytes": None if sent is None else sent * run.items,
        "received_bytes": None,
    }
