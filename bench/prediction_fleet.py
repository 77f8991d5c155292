"""Simulated against really executed: plans on fleets made of throttled workers and imitated links.

    python -m bench.prediction_fleet [--quick] [--seconds 6] [--throttle pace] [--measure] [model …]

A fleet's devices are workers on this machine, each throttled to a share of a core (their time comes from what they
really compute, not from the estimate); its links are shaped. A plan's prediction rests on the model's op table (or,
with --measure, on its segments as measured here) and on four constants of this machine, which were measured on toy
models: nothing is fitted to these models and fleets. A row is a plan; the last line the errors of the period.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench import _common as common
from shoal import fleet, plan
from shoal.cost import Costs
from shoal.errors import LimitError, PlanError
from shoal.graph import Graph
from shoal.plan import ModelRef, Plan, Wishes
from shoal.plan.costs import costs_of
from shoal.plan.refine import refined
from shoal.run import Settings, execute
from shoal.run.handled import measure_handling
from shoal.run.throttle import way_of

MODELS = ("squeezenet", "shufflenet", "resnet50", "inception_v1")
SPEEDS = {  # devices → of which speeds; together at most 0.6 of two cores
    2: (0.5, 0.3),
    3: (0.45, 0.3, 0.2),
    4: (0.35, 0.3, 0.25, 0.15),
    6: (0.25, 0.25, 0.2, 0.2, 0.15, 0.1),
}
LINKS = {"1G": ("1 Gbit/s", "0.2 ms"), "100M": ("100 Mbit/s", "1 ms"), "20M": ("20 Mbit/s", "5 ms")}
LEAST_ITEMS, MOST_ITEMS = 16, 150


@dataclass(frozen=True)
class Case:
    """A way to divide a model over a fleet."""

    strategy: str
    devices: int
    link: str


# Each model meets every strategy, each strategy several fleets and links.
CASES = (
    Case("stage", 2, "1G"), Case("stage", 3, "20M"), Case("stage", 4, "100M"), Case("stage", 6, "1G"),
    Case("frame", 3, "100M"), Case("tile:depth=1", 2, "1G"), Case("tile:depth=3", 3, "100M"),
    Case("channel_out", 2, "1G"), Case("channel_pair", 3, "1G"), Case("mixed", 2, "100M"),
)  # fmt: skip
QUICK = (Case("stage", 3, "100M"), Case("tile:depth=3", 2, "1G"), Case("stage", 2, "20M"))


def main() -> None:
    """Print a line per plan, then the errors."""
    parser = argparse.ArgumentParser(description="periods as simulated and as really executed")
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--quick", action="store_true", help="six plans only")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each run")
    parser.add_argument("--throttle", default="pace", help="pace, quota or auto")
    parser.add_argument("--measure", action="store_true", help="measure the plans' segments first")
    options = parser.parse_args()
    for sample in measure_handling():
        print(f"{sample.engine:6} {sample.subject:25} {sample.median_s * 1e6:10.4f} µs")
    print(
        f"{'model':13} {'strategy':13} {'devices':>7} {'link':>5} {'predicted':>12} {'obtained':>12} {'error':>7}"
    )
    errors = []
    for name in options.models[:2] if options.quick else options.models:
        for error in of_model(name, QUICK if options.quick else CASES, options):
            errors.append(abs(error))
    figures = {"plans": len(errors), "median": np.median(errors), "p95": np.quantile(errors, 0.95)}
    print(f"error of the period: median {figures['median']:.1%}, 95th percentile {figures['p95']:.1%}")
    print(json.dumps(figures))


def of_model(name: str, cases: tuple[Case, ...], options: argparse.Namespace) -> Iterator[float]:
    """The error of each case, the model's ops profiled now."""
    common.profile(name)
    loaded, reference = common.model(name)
    for case in cases:
        machines = machines_of(case)
        costs = costs_of(loaded, machines, measure=False)
        try:
            decided = plan_of(loaded, reference, machines, costs, case, measure=options.measure)
        except (PlanError, LimitError) as fault:
            print(f"{name:13} {case.strategy:13} {case.devices:7} {case.link:>5} no such plan: {fault.message}")
            continue
        yield one(name, case, decided, options)


def machines_of(case: Case) -> fleet.Fleet:
    """The fleet of `case`."""
    bandwidth, latency = LINKS[case.link]
    devices = "".join(
        f'[devices.d{index}]\nboard = "this-machine"\nspeed = {speed}\n'
        for index, speed in enumerate(SPEEDS[case.devices])
    )
    return fleet.loads(f'{devices}[default_link]\nbandwidth = "{bandwidth}"\nlatency = "{latency}"\n')


def plan_of(
    loaded: Graph, reference: ModelRef, machines: fleet.Fleet, costs: Costs, case: Case, *, measure: bool
) -> Plan:
    """The plan that uses as many of the devices as its strategy can."""
    shares = () if case.strategy == "stage" else tuple(device.speed for device in machines.devices)
    wishes = Wishes(strategy=case.strategy, shares=shares, engines=("onnxruntime",))
    front = plan.search(loaded, reference, machines, costs, wishes)
    if measure:
        front = refined(loaded, front)
    return max(front.plans, key=lambda each: (len(each.units), -each.prediction.period_s))


def one(name: str, case: Case, decided: Plan, options: argparse.Namespace) -> float:
    """The error of one plan's period."""
    expected_s = decided.prediction.period_s
    items = round(min(MOST_ITEMS, max(LEAST_ITEMS, options.seconds / expected_s)))
    settings = Settings(items, over="shaped", compare=False, throttle=way_of(options.throttle))
    run = execute(decided, settings).run
    error = expected_s / run.period_s - 1
    print(
        f"{name:13} {case.strategy:13} {len(decided.units):7} {case.link:>5} {expected_s * 1e3:9.2f} ms "
        f"{run.period_s * 1e3:9.2f} ms {error:+7.1%}",
        flush=True,
    )
    return error


if __name__ == "__main__":
    main()
