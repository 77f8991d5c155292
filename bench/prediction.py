"""Predicted period, latency and bytes against measured ones, over the plans of several models on two cores.

Run: python -m bench.prediction [--items 40] [model …]
"""

from __future__ import annotations

import argparse
import json

from bench import _common as common
from shoal.plan import Plan
from shoal.run import Settings, execute


def main() -> None:
    """Print a line per plan, then the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["resnet50", "squeezenet", "inception_v2", "densenet121"])
    parser.add_argument("--items", type=int, default=40)
    options = parser.parse_args()
    print(f"{'model':14} {'units':24} {'period':>18} {'latency':>18} {'bytes':>6}")
    rows = [
        one(name, plan, options.items)
        for name in options.models
        for plan in common.front(name, common.two_cores()).plans
    ]
    periods, latencies = ([abs(row[key]) for row in rows] for key in ("period_error", "latency_error"))
    print(f"median error of the period {common.median(periods):.1%}, of the latency {common.median(latencies):.1%}")
    print(json.dumps({"plans": len(rows), "period": common.median(periods), "latency": common.median(latencies)}))


def one(name: str, plan: Plan, items: int) -> dict[str, float]:
    """Errors of one plan."""
    run = execute(plan, Settings(items=items, compare=False)).run
    latency_s = sorted(run.latencies_s)[len(run.latencies_s) // 2]
    predicted = plan.prediction
    sent = {device: figures.sent_bytes for device, figures in run.devices.items()}
    exact = all(sent[device] == size * items for device, size in predicted.sent_bytes.items())
    errors = {
        "period_error": predicted.period_s / run.period_s - 1,
        "latency_error": predicted.latency_s / latency_s - 1,
    }
    print(
        f"{name:14} {' → '.join(plan.units):24} {run.period_s * 1e3:9.2f} ms {errors['period_error']:+6.1%} "
        f"{latency_s * 1e3:9.2f} ms {errors['latency_error']:+6.1%} {'exact' if exact else 'DIFFER':>6}",
        flush=True,
    )
    return errors


if __name__ == "__main__":
    main()
