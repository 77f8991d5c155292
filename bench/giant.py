"""Seconds to plan and to simulate a model of 671 billion parameters over sixteen unlike devices, without its weights.

Run: OMP_NUM_THREADS=1 python -m bench.giant   (both entries, fp8; the two commands together may take 30 s)

The bound is a period that no plan can pass: any share of any block on any device, each as full as its memory allows,
no time between them. Plans of consecutive blocks stay well above it in decode: they cannot keep what every token reads
on the quick devices and experts on the roomy ones.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.optimize import linprog

from shoal import catalog
from shoal.fleet import Fleet, load
from shoal.llm.outlook import Outlook, Pace
from shoal.llm.planning import plan_entry
from shoal.plan import Plan, Wishes
from shoal.plan.costs import nominal
from shoal.run.simulated import simulated
from tests.llm.configs import DEEPSEEK_V3

FLEET = Path(__file__).parents[1] / "examples" / "fleets" / "sixteen_unlike.toml"
ENTRIES = ("prefill:tokens=1024,weights=fp8", "decode:context=4096,weights=fp8")
AIM_S = 30.0


def least_period_s(plan: Plan, fleet: Fleet) -> float:
    """The bound: a linear programme over shares of blocks on units, whose largest busy time is least."""
    graph = catalog.make("llm/blocks", plan.model.entry).graph(plan.model.path)
    units, ops = fleet.unit_names, graph.ops
    seconds = np.array([nominal(graph, fleet).op_seconds(unit, "onnxruntime") for unit in units])
    held = np.array([sum(graph.weights[name].bytes for name in op.weights) for op in ops], dtype=float)
    count = len(units) * len(ops)
    cost = np.append(np.zeros(count), 1.0)  # the last variable is the period, in milliseconds
    whole = np.hstack([np.tile(np.eye(len(ops)), len(units)), np.zeros((len(ops), 1))])
    rows = np.kron(np.eye(len(units)), np.ones(len(ops)))
    busy = np.hstack([rows * 1e3 * seconds.reshape(-1), -np.ones((len(units), 1))])
    full = np.hstack([rows * np.tile(held, len(units)) / 2**30, np.zeros((len(units), 1))])
    limits = [fleet.device(unit).memory_limit_bytes / 2**30 for unit in units]
    found = linprog(cost, np.vstack([busy, full]), [*[0.0] * len(units), *limits], whole, np.ones(len(ops)))
    return float(found.fun) / 1e3


def main() -> None:
    """Both entries, one after the other."""
    fleet, total_s = load(FLEET), 0.0
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(DEEPSEEK_V3))
        print(
            f"{'entry':<10}{'plan s':>8}{'simulate s':>12}{'period ms':>11}{'alone ms':>10}{'bound ms':>10}  devices"
        )
        for entry in ENTRIES:
            began = time.perf_counter()
            plan = plan_entry(config, entry, fleet, Wishes()).plan
            planned = time.perf_counter()
            seen = Outlook(plan, Pace.of(simulated(plan, 32)))
            done = time.perf_counter()
            total_s += done - began
            row = f"{seen.entry:<10}{planned - began:>8.2f}{done - planned:>12.2f}{1e3 * seen.pace.period_s:>11.2f}"
            bound = 1e3 * least_period_s(plan, fleet)
            print(f"{row}{1e3 * seen.pace.alone_s:>10.2f}{bound:>10.2f}  {len(plan.units)}", flush=True)
    print(f"together {total_s:.1f} s, aim {AIM_S:g} s")
    sys.exit(total_s > AIM_S)


if __name__ == "__main__":
    main()
