"""Networks judged by their own answers in float32: at a size, and at a measured time."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.compress import Budget, Costs, allocate, measured, ties_of, total
from shoal.study._bench import Bench
from shoal.study._ohq_options import EIGHT, FOUR, Options, layers_in, only, pareto, timed_by
from shoal.study._ohq_rivals import drawn, greedy, uniform
from shoal.study._ohq_runs import Network, agreement, divergence, seconds
from shoal.study.contract import Finding, Shown, Table, untestable, words

if TYPE_CHECKING:
    from shoal.study.ohq import Ohq


WHY_CODED = (
    "float32 is no choice here: a convolution in float32 between two coded tensors is coded by onnxruntime itself, "
    "with one scale for all of its weights (seen with 1.31)"
)


def size(study: Ohq, bench: Bench, network: Network, options: Options) -> Iterator[Shown]:
    """As many bytes as one format everywhere; the first and the last layer have eight bits in all of them."""
    coded = only(options, words(study.formats), ends=EIGHT)
    count = sum(prod(each.shape) for each in layers_in(network))
    plain = network.answers(network.file({}))
    rows: list[tuple[str | float, ...]] = []
    ratios, gains = [], []
    for name in bench.each(words(study.sizes), "as many bytes as"):
        same = uniform(options, name) | dict.fromkeys((next(iter(options)), list(options)[-1]), EIGHT)
        most = total(options, same, "bits")
        chosen = {f"{name} everywhere": same, "programme": allocate(coded, Budget(bits=most))}
        if not rows:
            chosen |= {"greedy": greedy(coded, "bits", most), "random": drawn(coded, "bits", most, study.seed)}
        found = []
        for kind, formats in chosen.items():
            answers = network.answers(network.file(formats))
            found.append((divergence(plain, answers), agreement(plain, answers)))
            rows.append(
                (kind, total(options, formats, "bits") / count, total(options, formats, "loss"), *found[-1])
            )
        ratios.append(found[1][0] / found[0][0])
        gains.append(found[1][1] - found[0][1])
    columns = ("formats", "bits a weight", "sum of losses, nats", "KL of all together, nats", "same class, %")
    note = "losses are estimated on items of their own; that they add up is an assumption, and this is how far it holds"
    yield Table(f"{network.graph.name}, weights alone, {len(network.test)} items", columns, rows, note)
    yield pareto(options, coded, count)
    sizes = "the worst of the sizes; interval: all of them"
    yield Finding("size", max(ratios), "measured", len(ratios), (min(ratios), max(ratios)), sizes)
    yield Finding("size_top1", min(gains), "measured", len(gains), (min(gains), max(gains)), sizes)


def time(study: Ohq, bench: Bench, network: Network, options: Options) -> Iterator[Shown]:
    """Activations in eight bits too; what the layers cost is measured first."""
    bench.say("measuring the ops one by one")
    costs = measured(network.graph, (FOUR, EIGHT), EIGHT, most_s=study.probe_s)
    timed = timed_by(only(options, (FOUR, EIGHT)), costs)
    ties = ties_of(network.graph, list(timed))
    same = {f"{name} everywhere": uniform(timed, name) for name in (EIGHT, FOUR)}
    limits_s = {name: total(timed, each, "latency_s") for name, each in same.items()}
    chosen = same | {
        f"programme, time of {name}": allocate(timed, Budget(latency_s=limit_s * 1.0001), ties=ties)
        for name, limit_s in limits_s.items()
    }
    chosen["programme, weighed 0.6"] = allocate(timed, Budget(), ties=ties, alpha=0.6)
    plain = network.answers(network.file({}))
    files: dict[str, Path] = {}
    for name, each in chosen.items():
        alike = next((other for other in files if chosen[other] == each), "")
        files[name] = files[alike] if alike else network.file(each, EIGHT)
    bench.say("timing the networks in turn")
    of_file = seconds({str(file): file for file in files.values()}, study.rounds)
    whole = {name: of_file[str(file)] for name, file in files.items()}
    lost = {name: divergence(plain, network.answers(file)) for name, file in files.items()}
    off = {name: 100 * abs(costs.latency_s(each) / whole[name] - 1) for name, each in chosen.items()}
    rows: list[tuple[str | float, ...]] = [
        (name, *(sum(form == wanted for form in each.values()) for wanted in (EIGHT, FOUR)),
         costs.latency_s(each) * 1e3, whole[name] * 1e3, off[name], lost[name])
        for name, each in chosen.items()
    ]  # fmt: skip
    columns = ("formats", "int8", "int4", "predicted, ms", "measured, ms", "off, %", "KL, nats")
    yield Table(f"{network.graph.name}, activations in eight bits, one core", columns, rows, WHY_CODED)
    pairs = [(f"programme, time of {name}", name) for name in same]
    ratios, times = ([table[own] / max(table[other], 1e-12) for own, other in pairs] for table in (lost, whole))
    both = "the worse of the two formats; interval: both"
    yield Finding("time", max(ratios), "measured", len(network.test), (min(ratios), max(ratios)), both)
    yield Finding("time_kept", max(times), "measured", study.rounds, (min(times), max(times)), both)
    yield Finding(
        "predicted",
        max(off.values()),
        "measured",
        len(off),
        (min(off.values()), max(off.values())),
        "all in the table",
    )
    yield _slower(timed, costs, total(timed, same[f"{EIGHT} everywhere"], "latency_s"))


def _slower(timed: Options, costs: Costs, most_s: float) -> Finding:
    """Of four and eight bits alone."""
    coded = only(timed, (FOUR, EIGHT))
    slow = [op for op in coded if costs.of(op, FOUR).time_s >= costs.of(op, EIGHT).time_s]
    picked = [
        allocate(coded, Budget(latency_s=most_s * 1.0001)), allocate(coded, Budget(), alpha=0.6),
        allocate(coded, Budget(), alpha=0.0),
    ]  # fmt: skip
    right = all(each[op] == EIGHT for each in picked for op in slow)
    why = f"4 bits are no faster in {len(slow)} of {len(coded)} layers"
    return Finding("slower", right, "measured", len(slow), why=why) if slow else untestable("slower", why)
