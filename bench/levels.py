"""Latency of light models on one core: measured, by the flat roofline, by a roof for each level, and by the ops' table.

    python -m bench.levels [--items 20] [--rounds 5] [model …]

First this machine's entry is filled by all benches, as `shoal probe` does, and that is timed. Then rounds: the benches
on the first core, which are all that the roofs know of it, and beside them a plain loop of each model there. For a
shared machine drifts; so each round's roofs are held against its own loops. The table knows each op, profiled once
before the rounds.

`sheet` is the flat roofline with its efficiencies, on the machine's entry as the benches fill it; `flat` is `levels`
that was shown no caches; `levels` all of them; `table` what was measured of each op. Rows are medians over the rounds of
predicted over measured, less one; the last that of their absolute values over the models. Then where `levels` puts the
time, and the ops whose seconds in the table it misses most.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence

from bench import _common as common
from shoal import catalog
from shoal.cost import CostKey, Costs
from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.measure import bench_samples, load_table, machine_id, table_path
from shoal.measure.probe import bench_texts, device_of
from shoal.record import Sample

MODELS = ("squeezenet", "shufflenet", "inception_v1", "resnet50", "densenet121", "vgg19")
WAYS = {"sheet": "roofline", "flat": "levels", "levels": "levels", "table": "table"}
UNIT, CORE = "left/cpu", 0
AIM, AIM_S = 0.20, 300.0
WORST = 6  # ops that are shown


def main() -> None:
    """Print a row a model; the status says whether the aims are met."""
    parser = argparse.ArgumentParser(description="latency by a roof for each level of memory")
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--items", type=int, default=20, help="of a loop")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    begun_s = time.perf_counter()
    bench_samples()
    probe_s = time.perf_counter() - begun_s
    print(f"the machine's entry was filled in {probe_s:.1f} s (aim: {AIM_S:.0f})")
    os.sched_setaffinity(0, {CORE})
    tables = {name: profiled(name) for name in options.models}
    rounds = [one_round(tables, options.items) for _ in range(options.rounds)]
    errors = shown(rounds, options.models)
    for name in options.models:
        explain(name, tables[name], benches())
    print(json.dumps({"probe_s": probe_s, "median_error": errors}))
    sys.exit(not (errors["levels"] <= AIM and probe_s <= AIM_S))


def benches() -> tuple[Sample, ...]:
    """Of one thread, run now."""
    return tuple(catalog.make("measure/benches", text).run(1) for text in bench_texts())


def profiled(name: str) -> tuple[Sample, ...]:
    """Of each op of a model, taken now."""
    common.profile(name)
    return load_table(table_path(common.model(name)[0].identity)).of(machine_id()).samples


def one_round(tables: Mapping[str, Sequence[Sample]], items: int) -> dict[str, dict[str, float]]:
    """Seconds an item of each model, measured and by each way."""
    found, known = {}, benches()
    for name, ops in tables.items():
        graph, reference = common.model(name)
        measured_s = common.onnxruntime_period_s(reference.path, common.inputs_of(graph), items, CORE)
        key = CostKey(tuple(graph.position), UNIT)
        found[name] = {way: costs(graph, way, known, ops).estimate(key).seconds for way in WAYS}
        found[name]["measured"] = measured_s
    return found


def costs(graph: Graph, way: str, known: Sequence[Sample], ops: Sequence[Sample]) -> Costs:
    """What a way says of a model on the first core."""
    shown = [each for each in known if not (way == "flat" and each.subject.startswith("bench:cached:"))]
    shown += ops if way == "table" else ()
    made: Costs = catalog.make("cost/models", WAYS[way]).over(graph, here(known), shown)
    return made


def here(known: Sequence[Sample]) -> Fleet:
    """The first core as its benches fill it."""
    (device,) = common.one_core().devices
    (unit,) = device_of(known).units
    return Fleet((dataclasses.replace(device, units=(dataclasses.replace(unit, cores=1),)),))


def shown(rounds: Sequence[Mapping[str, Mapping[str, float]]], models: Sequence[str]) -> dict[str, float]:
    """Print errors; the medians of their absolute values, by way."""
    print(f"{'model':14}{'measured, ms':>26}" + "".join(f"{way:>24}" for way in WAYS))
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for name in models:
        each = [one[name] for one in rounds]
        line = f"{name:14}{common.spread([1e3 * one['measured'] for one in each]):>26}"
        for way in WAYS:
            errors = [one[way] / one["measured"] - 1 for one in each]
            found[way].append(abs(common.median(errors)))
            line += f"{_percent(errors):>24}"
        print(line)
    medians = {way: common.median(errors) for way, errors in found.items()}
    print(f"{'median |error|':40}" + "".join(f"{medians[way]:>24.0%}" for way in WAYS))
    return medians


def explain(name: str, ops: Sequence[Sample], known: Sequence[Sample]) -> None:
    """Where `levels` puts the time of a model, and the kinds of op whose seconds in the table it misses most."""
    graph, _ = common.model(name)
    model, table = costs(graph, "levels", known, ops), costs(graph, "table", known, ops)
    found = model.estimate(CostKey(tuple(graph.position), UNIT))
    parts = {key: part / found.seconds for key, part in found.breakdown.items() if key.endswith("_s") and part}
    print(f"\n{name}: " + ", ".join(f"{key.removesuffix('_s')} {part:.0%}" for key, part in parts.items()))
    pairs = zip(
        graph.ops, model.op_seconds(UNIT, "onnxruntime"), table.op_seconds(UNIT, "onnxruntime"), strict=True
    )
    missed: dict[str, list[float]] = {}
    for op, said_s, took_s in pairs:
        row = missed.setdefault(op.kind, [0.0, 0.0])
        row[0] += said_s
        row[1] += took_s
    for kind, (said_s, took_s) in sorted(missed.items(), key=lambda row: -abs(row[1][0] - row[1][1]))[:WORST]:
        print(f"  {kind:20} said {said_s * 1e3:8.3f} ms, table {took_s * 1e3:8.3f} ms")


def _percent(errors: Sequence[float]) -> str:
    return f"{common.median(errors):+.0%} ({min(errors):+.0%}…{max(errors):+.0%})"


if __name__ == "__main__":
    main()
