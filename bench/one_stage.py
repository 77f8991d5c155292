"""One shoal stage on one core over shared memory, against a plain onnxruntime loop on that core.

Run: python -m bench.one_stage [--items 100] [--rounds 5] [model …]
Both take turns within a round; the ratio is taken in each round. Above 1 shoal is faster.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench import _common as common
from bench._loops import Loop, periods_s
from shoal.plan import Wishes
from shoal.run import Settings, execute


def main() -> None:
    """Print a line per model, then all as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["squeezenet", "shufflenet", "resnet50", "vgg19"])
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("throughput over a plain onnxruntime loop's; median (lowest…highest) of the rounds")
    rows = {name: one(name, options.items, options.rounds) for name in options.models}
    print(json.dumps(rows))


def one(name: str, items: int, rounds: int) -> dict[str, object]:
    """The ratio for one model, with what it is made of."""
    _, reference = common.model(name)
    plan = common.front(name, common.one_core(), Wishes(engines=("onnxruntime",))).plan
    plain_s: list[float] = []
    stage_s: list[float] = []
    for number in range(rounds):
        plain_s += periods_s([Loop(Path(reference.path), 0)], items)
        stage_s.append(execute(plan, Settings(items=items, compare=number == 0)).run.period_s)
    ratios = [plain / stage for plain, stage in zip(plain_s, stage_s, strict=True)]
    print(f"{name:14} {common.spread(ratios)}  plain {common.median(plain_s) * 1e3:.2f} ms", flush=True)
    return {"ratio": common.median(ratios), "ratios": ratios, "plain_s": plain_s, "stage_s": stage_s}


if __name__ == "__main__":
    main()
