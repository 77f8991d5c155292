"""Simulated against really executed: plans on fleets made of throttled workers and imitated links.

    python -m bench.prediction_fleet [--quick] [--seconds 6] [--throttle pace] [--measure] [model …]

A fleet's devices are workers on this machine, each throttled to a share of a core (their time comes from what they
really compute, not from the estimate); its links are shaped. A plan's prediction rests on the model's op table (or,
with --measure, on its segments as measured here) and on four constants of this machine, which were measured on toy
models: nothing is fitted to these models and fleets. A row is a plan; the last line the errors of the period.

A shared machine drifts between profile and run. So the whole model is timed on one thread before and after each run,
by the thread's own CPU time, and the error is given twice: raw, and with the segments' seconds scaled by that drift
before the simulator is asked again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bench import _common as common
from shoal import catalog, fleet, plan
from shoal.cost import Costs, period_s
from shoal.errors import LimitError, PlanError
from shoal.graph import Graph
from shoal.measure import clocked
from shoal.plan import ModelRef, Plan, Wishes
from shoal.plan.costs import costs_of
from shoal.plan.lower import lower
from shoal.plan.refine import refined
from shoal.record import Run
from shoal.run import Settings, execute
from shoal.run.execute import model_of, pace_of
from shoal.run.handled import measure_handling
from shoal.run.throttle import way_of
from shoal.sim import simulate

MODELS = ("squeezenet", "shufflenet", "resnet50", "inception_v1")
SPEEDS = {  # devices → of which speeds; together at most 0.6 of two cores
    2: (0.5, 0.3),
    3: (0.45, 0.3, 0.2),
    4: (0.35, 0.3, 0.25, 0.15),
    6: (0.25, 0.25, 0.2, 0.2, 0.15, 0.1),
}
LINKS = {"1G": ("1 Gbit/s", "0.2 ms"), "100M": ("100 Mbit/s", "1 ms"), "20M": ("20 Mbit/s", "5 ms")}
BEHIND, ATTEMPTS = 0.02, 3  # of a run's length; beyond it somebody else had the processor, and it is run again
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
    parser.add_argument("--slower", type=float, default=1.0, help="divide all speeds by this: for a busy machine")
    parser.add_argument("--throttle", default="pace", help="pace, quota or auto")
    parser.add_argument("--measure", action="store_true", help="measure the plans' segments first")
    options = parser.parse_args()
    for sample in measure_handling():
        print(f"{sample.engine:6} {sample.subject:25} {sample.median_s * 1e6:10.4f} µs")
    heads = ("predicted", "obtained", "error", "drift", "error", "behind")
    widths = (12, 12, 7, 6, 7, 7)
    titles = " ".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
    print(f"{'model':13} {'strategy':13} devices  link {titles}")
    rows: list[tuple[float, float]] = []
    for name in options.models[:2] if options.quick else options.models:
        rows += of_model(name, QUICK if options.quick else CASES, options)
    figures: dict[str, float] = {"plans": len(rows)}
    for kind, errors in zip(("raw", "without drift"), np.abs(rows).T, strict=True):
        figures |= {f"{kind} median": float(np.median(errors)), f"{kind} p95": float(np.quantile(errors, 0.95))}
    print(", ".join(f"{key} {value:.1%}" for key, value in figures.items() if key != "plans"))
    print(json.dumps(figures))


def of_model(name: str, cases: tuple[Case, ...], options: argparse.Namespace) -> Iterator[tuple[float, float]]:
    """The errors of each case, the model's ops profiled now."""
    common.profile(name)
    loaded, reference = common.model(name)
    whole = Whole(loaded, reference)
    for case in cases:
        machines = machines_of(case, options.slower)
        costs = costs_of(loaded, machines, measure=False)
        try:
            decided = plan_of(loaded, reference, machines, costs, case, measure=options.measure)
        except (PlanError, LimitError) as fault:
            print(f"{name:13} {case.strategy:13} {case.devices:7} {case.link:>5} no such plan: {fault.message}")
            continue
        yield one(name, case, decided, whole, options)


def machines_of(case: Case, slower: float) -> fleet.Fleet:
    """The fleet of `case`, all its devices so many times slower."""
    bandwidth, latency = LINKS[case.link]
    devices = "".join(
        f'[devices.d{index}]\nboard = "this-machine"\nspeed = {speed / slower}\n'
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


class Whole:
    """The whole model on one thread of this process: how fast the machine is now against when it was profiled."""

    def __init__(self, loaded: Graph, reference: ModelRef) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        self._session = onnxruntime.InferenceSession(reference.path, options, providers=["CPUExecutionProvider"])
        self._feeds = common.inputs_of(loaded)
        one_core = common.one_core()
        self._profiled_s = float(
            costs_of(loaded, one_core, measure=False).op_seconds("left/cpu", "onnxruntime").sum()
        )

    def slowness(self) -> float:
        """Seconds now over seconds then."""
        took = clocked(lambda: self._session.run(None, dict(self._feeds)), 5, least_s=0.3, timer=time.thread_time)
        return took.median_s / self._profiled_s


def one(name: str, case: Case, decided: Plan, whole: Whole, options: argparse.Namespace) -> tuple[float, float]:
    """The errors of one plan's period, raw and without drift."""
    expected_s = decided.prediction.period_s
    items = round(min(MOST_ITEMS, max(LEAST_ITEMS, options.seconds / expected_s)))
    before = whole.slowness()
    run, behind = undisturbed(decided, items, options)
    drift = (before + whole.slowness()) / 2
    errors = (expected_s / run.period_s - 1, drifted_s(decided, drift) / run.period_s - 1)
    print(
        f"{name:13} {case.strategy:13} {len(decided.units):7} {case.link:>5} {expected_s * 1e3:9.2f} ms "
        f"{run.period_s * 1e3:9.2f} ms {errors[0]:+7.1%} {drift:6.2f} {errors[1]:+7.1%} {behind:7.1%}",
        flush=True,
    )
    return errors


def undisturbed(decided: Plan, items: int, options: argparse.Namespace) -> tuple[Run, float]:
    """A run in which workers got the processor when they needed it, or the best of a few, and how far behind."""
    settings = Settings(items, over="shaped", compare=False, throttle=way_of(options.throttle))
    found: list[tuple[float, int, Run]] = []
    for _ in range(ATTEMPTS):
        run = execute(decided, settings).run
        behind = (run.behind_s or 0.0) / (run.items * run.period_s)
        found.append((behind, len(found), run))
        if behind <= BEHIND:
            break
    return min(found)[2], min(found)[0]


def drifted_s(decided: Plan, drift: float) -> float:
    """The period with every segment's seconds times `drift`, by the simulator."""
    program = lower(model_of(decided), decided)
    tempo = pace_of(decided, program)
    tempo = replace(tempo, segments_s={name: seconds * drift for name, seconds in tempo.segments_s.items()})
    workload = decided.workload
    observed = simulate(program, tempo, catalog.make("program/drivers", "stream"), workload)
    return period_s(observed.answers, workload.window)


if __name__ == "__main__":
    main()
