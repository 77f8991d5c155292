"""Predicted period, latency and bytes against measured ones, over the plans of several models on two cores.

Run: python -m bench.prediction [--items 40] [model …]

A shared machine drifts between profile and run. So each run stands between two plain loops over the whole model
on one core, and the error is given twice: raw, and with the prediction scaled by what the machine lost or gained
since the profile (mean of the two loops over the profile's own time for the whole model).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench import _common as common
from bench._loops import Loop, periods_s
from shoal.plan import Plan
from shoal.plan.costs import costs_of
from shoal.run import Settings, execute

LOOP_ITEMS = 15


def main() -> None:
    """Print a line per plan, then the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["resnet50", "squeezenet", "inception_v2", "densenet121"])
    parser.add_argument("--items", type=int, default=40)
    options = parser.parse_args()
    print(f"{'model':12} {'units':20} {'measured':>10} {'raw':>7} {'drift':>6} {'period':>7} {'latency':>8}  bytes")
    rows = [row for name in options.models for row in of_model(name, options.items)]
    medians = {key: common.median([abs(row[key]) for row in rows]) for key in ("raw", "period", "latency")}
    print("median error: " + ", ".join(f"{key} {value:.1%}" for key, value in medians.items()))
    print(json.dumps({"plans": len(rows)} | medians))


def of_model(name: str, items: int) -> list[dict[str, float]]:
    """Errors of the plans of one model's front, its ops profiled now."""
    common.profile(name, ("onnxruntime",))
    loaded, reference = common.model(name)
    machines = common.two_cores()
    whole_s = float(costs_of(loaded, machines, measure=False).op_seconds("left/cpu", "onnxruntime").sum())
    front = common.front(name, machines, common.Wishes(engines=("onnxruntime",)))
    loop = Loop(Path(reference.path), 0)
    rows, before_s = [], periods_s([loop], LOOP_ITEMS)[0]
    for plan in front.plans:
        row, before_s = one(name, plan, items, whole_s, loop, before_s)
        rows.append(row)
    return rows


def one(
    name: str, plan: Plan, items: int, whole_s: float, loop: Loop, before_s: float
) -> tuple[dict[str, float], float]:
    """Errors of one plan, and the plain loop's period after it."""
    run = execute(plan, Settings(items=items, compare=False)).run
    after_s = periods_s([loop], LOOP_ITEMS)[0]
    drift = (before_s + after_s) / 2 / whole_s
    latency_s = sorted(run.latencies_s)[len(run.latencies_s) // 2]
    errors = {
        "raw": plan.prediction.period_s / run.period_s - 1,
        "period": plan.prediction.period_s * drift / run.period_s - 1,
        "latency": plan.prediction.latency_s * drift / latency_s - 1,
    }
    sent = {device: figures.sent_bytes for device, figures in run.devices.items()}
    exact = all(sent[device] == size * items for device, size in plan.prediction.sent_bytes.items())
    print(
        f"{name:12} {' → '.join(plan.units):20} {run.period_s * 1e3:7.2f} ms {errors['raw']:+7.1%} {drift:6.2f} "
        f"{errors['period']:+7.1%} {errors['latency']:+8.1%}  {'exact' if exact else 'DIFFER'}",
        flush=True,
    )
    return errors, after_s


if __name__ == "__main__":
    main()
