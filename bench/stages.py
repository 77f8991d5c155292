"""One stage on one core, and two stages on two, over shared memory, against a plain onnxruntime loop on one core.

Run: python -m bench.stages [--items 20] [--rounds 15] [model …]

All workers stay up; blocks of items of each take turns, so that a machine whose speed drifts treats them alike.
Ratios are taken in each round:

    one       throughput of one stage on core 0 over the plain loop's there
    two       throughput of two stages on cores 0 and 1 over the plain loop's
    utilised  of `two`: share of the period that its busier worker computes, slowed by the pipe or not. What the two
              halves reach without a pipe is another question: `bench.pipeline` asks it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import onnxruntime

from bench import _common as common
from shoal import catalog
from shoal.cost import period_s
from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.plan import Plan, Wishes, lower
from shoal.plan.written import with_files
from shoal.program import Workload
from shoal.record import Observed
from shoal.run import Coordinator, Settings
from shoal.run.execute import connected

WINDOW = 4


def main() -> None:
    """Print a line per model, then all as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["squeezenet", "shufflenet", "resnet50", "vgg19"])
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print("over a plain onnxruntime loop on one core: median (lowest…highest) of the rounds")
    print(json.dumps({name: of_model(name, options.items, options.rounds) for name in options.models}))


def of_model(name: str, items: int, rounds: int) -> dict[str, list[float]]:
    """The ratios of one model, by round."""
    common.profile(name)
    loaded, reference = common.model(name)
    feeds = common.inputs_of(loaded)
    session = _session(reference.path)
    rows: dict[str, list[float]] = {"one": [], "two": [], "utilised": []}
    with ExitStack() as stack:
        one = stack.enter_context(_workers(loaded, _fastest(name, common.one_core(), 1)))
        two = stack.enter_context(_workers(loaded, _fastest(name, common.two_cores(), 2)))
        for _ in range(rounds):
            plain_s = _plain_s(session, feeds, items)
            alone, both = (_stream(coordinator, feeds, items) for coordinator in (one, two))
            rows["one"].append(plain_s / period_s(alone.answers, WINDOW))
            rows["two"].append(plain_s / period_s(both.answers, WINDOW))
            rows["utilised"].append(_utilised(both))
    print(f"{name:12}", *(f"{key} {common.spread(values)}" for key, values in rows.items()), sep="  ", flush=True)
    return rows


def _fastest(name: str, machines: Fleet, units: int) -> Plan:
    """The plan over so many units with the shortest predicted period."""
    plans = common.front(name, machines, Wishes(engines=("onnxruntime",))).plans
    return min((plan for plan in plans if len(plan.units) == units), key=lambda plan: plan.prediction.period_s)


@contextmanager
def _workers(loaded: Graph, plan: Plan) -> Iterator[Coordinator]:
    program, folder = with_files(loaded, lower(loaded, plan))
    with connected(plan, program, folder, Settings(), None) as coordinator:
        yield coordinator
        coordinator.stop()


def _stream(coordinator: Coordinator, feeds: dict[str, object], items: int) -> Observed:
    driver = catalog.make("program/drivers", "stream")
    workload = Workload(items + 2 * WINDOW, window=WINDOW)
    return coordinator.run(driver, workload, lambda _: feeds, lambda *_: None).observed


def _utilised(observed: Observed) -> float:
    """Computing time an item of the busiest unit over the period, both of the steady part of the run."""
    items = range(WINDOW, len(observed.answers) - WINDOW)
    busy_s = {
        unit: sum(
            s.end_s - s.start_s for s in observed.spans if s.kind == "run" and s.unit == unit and s.item in items
        )
        for unit in observed.units
    }
    return max(busy_s.values()) / len(items) / period_s(observed.answers, WINDOW)


def _session(path: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _plain_s(session: onnxruntime.InferenceSession, feeds: dict[str, object], items: int) -> float:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        session.run(None, feeds)
        began_s = time.perf_counter()
        for _ in range(items):
            session.run(None, feeds)
        return (time.perf_counter() - began_s) / items
    finally:
        os.sched_setaffinity(0, allowed)


if __name__ == "__main__":
    main()
