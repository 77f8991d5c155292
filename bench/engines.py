"""One core, the engine chosen by measurement: shoal against plain onnxruntime, in alternating rounds.

Run: python -m bench.engines [--items 20] [--rounds 3] [model …]
Also shows the overhead of one stage: with onnxruntime chosen, throughput over a plain loop's is its ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import json

from bench import _common as common
from shoal.errors import LimitError
from shoal.plan import Wishes
from shoal.run import Settings, execute


def main() -> None:
    """Print a table and a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["squeezenet", "shufflenet", "resnet50", "vgg19"])
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("throughput over a plain onnxruntime loop on the same core; median (lowest…highest) of the rounds")
    rows = {name: one(name, options.items, options.rounds) for name in options.models}
    print(json.dumps(rows))


def one(name: str, items: int, rounds: int) -> dict[str, object]:
    """Ratios of each engine's plan for one model."""
    loaded, reference = common.model(name)
    feeds = common.inputs_of(loaded)
    chosen = common.front(name, common.one_core()).plan
    plans = {"chosen": chosen}
    for engine in ("onnxruntime", "ncnn"):
        with contextlib.suppress(LimitError):  # ncnn cannot run every model
            plans[engine] = common.front(name, common.one_core(), Wishes(engines=(engine,))).plan
    ratios: dict[str, list[float]] = {key: [] for key in plans}
    for _ in range(rounds):
        plain_s = common.onnxruntime_period_s(reference.path, feeds, items)
        for key, plan in plans.items():
            run = execute(plan, Settings(items=items, compare=False)).run
            ratios[key].append(plain_s / run.period_s)
    engine = ", ".join(group.engine for group in chosen.replicas[0].groups)
    print(
        f"{name:14} chose {engine:12}",
        *(f"{key} {common.spread(values)}" for key, values in ratios.items()),
        sep="  ",
    )
    return {"chose": engine} | {key: common.median(values) for key, values in ratios.items()}


if __name__ == "__main__":
    main()
