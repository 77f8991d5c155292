"""Every way to cut on two cores, against a plain onnxruntime loop on one: throughput, and the latency of one item.

Run: python -m bench.cutting [--items 12] [--rounds 7] [--strategies frame,stage,…] [model …]

In each round the plain loop, two plain loops at once (what two cores can give, whatever cuts the work), and each
plan in turn run a block of items. Ratios are of the same round:

    gain     throughput of the plan over one plain loop
    latency  of one item alone, over the plain loop's
    limit    the gain if nothing but the busiest worker's own computing took time: what the cut itself allows
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench import _common as common
from bench._loops import Loop, periods_s
from shoal import catalog
from shoal.cost import period_s
from shoal.errors import PlanError
from shoal.graph import divide
from shoal.plan import Objective, Plan, Wishes, lower
from shoal.plan.written import with_files
from shoal.program import Workload
from shoal.record import Observed
from shoal.run import Coordinator, Settings
from shoal.run.execute import connected

WINDOW = 4
STRATEGIES = "frame,stage,tile,tile:depth=2,tile:depth=4,channel_out,channel_pair,mixed"
ENGINES = ("onnxruntime",)


def main() -> None:
    """Print a table per model, then all rounds as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["resnet50", "vgg19"])
    parser.add_argument("--items", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strategies", default=STRATEGIES)
    options = parser.parse_args()
    names = listed(options.strategies)
    rows = {name: of_model(name, names, options.items, options.rounds) for name in options.models}
    print(json.dumps(rows))


def listed(text: str) -> list[str]:
    """Strategies with their options: a comma that ends in an option belongs to the one before."""
    found: list[str] = []
    for part in text.split(","):
        if "=" in part and ":" not in part:
            found[-1] += f",{part}"
        else:
            found.append(part)
    return found


def of_model(name: str, strategies: list[str], items: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Ratios by plan and round."""
    common.profile(name)
    path = Path(common.model(name)[1].path)
    plans = {
        f"{strategy} for {goal}": plan
        for strategy in strategies
        for goal in ("throughput", "latency")
        if (plan := planned(name, strategy, goal)) is not None and not (strategy == "frame" and goal == "latency")
    }
    found: dict[str, dict[str, list[float]]] = {"two loops": {"gain": []}}
    found |= {key: {"gain": [], "latency": [], "limit": []} for key in plans}
    for _ in range(rounds):
        for key, plan in plans.items():
            one_s = periods_s([Loop(path, 0)], items)[0]
            with workers(name, plan) as coordinator:
                stream, alone = (blocks(name, coordinator, items, window) for window in (WINDOW * 2, 1))
            found[key]["gain"].append(one_s / period_s(stream.answers, WINDOW))
            found[key]["latency"].append(latency_s(alone) / one_s)
            found[key]["limit"].append(one_s / busiest_s(stream))
        one_s = periods_s([Loop(path, 0)], items)[0]
        both = periods_s([Loop(path, 0), Loop(path, 1)], items)
        found["two loops"]["gain"].append(sum(one_s / each for each in both))
    print(f"{name}: median (lowest…highest) of {rounds} rounds")
    for key, figures in found.items():
        print(f"  {key:32}", *(f"{what} {common.spread(each)}" for what, each in figures.items()), sep="  ")
    return found


def planned(name: str, strategy: str, goal: str) -> Plan | None:
    """The plan of that strategy over both cores; None if it cannot cut this model."""
    wishes = Wishes(strategy=strategy, engines=ENGINES, objective=Objective((goal,)))
    try:
        plans = [plan for plan in common.front(name, common.two_cores(), wishes).plans if len(plan.units) == 2]
    except PlanError as fault:
        print(f"  {strategy}: {fault.message}")
        return None
    key = (
        (lambda plan: plan.prediction.period_s)
        if goal == "throughput"
        else (lambda plan: plan.prediction.alone_latency_s)
    )
    return min(plans, key=key, default=None)


@contextmanager
def workers(name: str, plan: Plan) -> Iterator[Coordinator]:
    """The plan's workers, warm."""
    loaded, _ = common.model(name)
    divided = divide(loaded, plan.splits).graph
    program, folder = with_files(divided, lower(divided, plan))
    with ExitStack() as stack:
        yield stack.enter_context(connected(plan, program, folder, Settings(), None))


def blocks(name: str, coordinator: Coordinator, items: int, window: int) -> Observed:
    """What happened to a block of items."""
    loaded, _ = common.model(name)
    feeds: Mapping[str, Any] = common.inputs_of(loaded)
    driver = catalog.make("program/drivers", "stream")
    workload = Workload(items + 2 * WINDOW, window=window)
    return coordinator.run(driver, workload, lambda _: feeds, lambda *_: None).observed


def latency_s(observed: Observed) -> float:
    """Median seconds of one item alone."""
    return common.median([answer.answered_s - answer.arrived_s for answer in observed.answers[2:]])


def busiest_s(observed: Observed) -> float:
    """Computing seconds an item of the busiest worker."""
    return max(report.busy_s for report in observed.units.values()) / len(observed.answers)


if __name__ == "__main__":
    main()
