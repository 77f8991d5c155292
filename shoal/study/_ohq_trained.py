"""Networks trained on digits, judged by their accuracy: at a size, on a modelled device, and by the clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shoal.compress import Budget, allocate, measured, total
from shoal.study._bench import Bench
from shoal.study._digits import Digits, accuracy, surprise
from shoal.study._ohq_options import (
    EIGHT,
    FLOAT,
    FOUR,
    layers_in,
    modelled,
    only,
    options_of,
    quickest,
    tau,
    timed_by,
)
from shoal.study._ohq_rivals import uniform
from shoal.study._ohq_runs import Network, seconds
from shoal.study.contract import Chart, Finding, Series, Shown, Table, untestable

if TYPE_CHECKING:
    from shoal.study.ohq import Ohq

GROUPED = ("int2g32", "int4g32", "int8g32")  # of the perceptron: groups as the kernels have them


def accuracies(study: Ohq, bench: Bench, network: Network, test: Digits) -> Iterator[Shown]:
    """At a size, and at a modelled time."""
    options = options_of(network, ("int2", "int3", FOUR, EIGHT), study.sensitivity)
    coded = modelled(only(options, ("int2", "int3", FOUR, EIGHT), ends=EIGHT), network)
    full = modelled(options, network)

    def right(formats: Mapping[str, str]) -> float:
        return 100 * accuracy(network.answers(network.file(formats)), test.labels)

    ends = dict.fromkeys((next(iter(options)), list(options)[-1]), EIGHT)
    plain, three, eight = right({}), uniform(options, "int3") | ends, uniform(options, EIGHT)
    most = total(options, three, "bits")
    own = allocate(coded, Budget(bits=most))
    found = {"float32": plain, "int3 everywhere": right(three), "programme": right(own)}
    yield Table("Digits CNN in as many bytes", ("formats", "accuracy, %"), list(found.items()))
    yield Finding("digits", found["programme"] - found["int3 everywhere"], "measured", len(test.labels))
    whole_s, rows = total(full, eight, "latency_s"), []
    least = total(coded, quickest(coded), "latency_s") / whole_s
    for step in bench.each(range(study.steps), "time of the modelled device"):
        share = least + (1 - least) * (step + 1) / study.steps
        formats = allocate(coded, Budget(latency_s=share * whole_s * 1.0001))
        rows.append((100 * (1 - total(coded, formats, "latency_s") / whole_s), right(formats)))
    yield Chart("Digits CNN on a device with time ∝ bits", "time below int8, %", "accuracy, %",
                (Series("programme", [row[0] for row in rows], [row[1] for row in rows]),))  # fmt: skip
    kept = [below for below, accurate in rows if plain - accurate <= 1.0]
    why = f"of {study.steps} plans swept over the time; multiply-accumulates × bits of the weights"
    yield Finding("device", max(kept, default=0.0), "modelled", len(rows), why=why)


def rank(bench: Bench, network: Network, test: Digits) -> Iterator[Shown]:
    """Each layer alone in two and three bits: what measures say against what is lost."""
    tried, layers = ("int2", "int3"), [layer.op for layer in layers_in(network)]
    answers = network.answers(network.file({}))
    plain, floor = accuracy(answers, test.labels), surprise(answers, test.labels)
    lost, risen = [], []
    for op in bench.each(layers, "single layer"):
        for name in tried:
            found = network.answers(network.file({op: name} | {each: FLOAT for each in layers if each != op}))
            lost.append(plain - accuracy(found, test.labels))
            risen.append(surprise(found, test.labels) - floor)
    rows = []
    for measure in ("masked", "kl", "output", "qsnr", "fisher", "hessian"):
        options = options_of(network, tried, measure)
        said = [each.loss for op in layers for each in options[op]]
        rows.append((measure, tau(said, lost), tau(said, risen)))
    yield Table("Kendall's τ with the true loss of single layers", ("measure", "of accuracy", "of cross-entropy"), rows,
                "hessian is HAWQ's; layers in two and three bits, ranked together")  # fmt: skip
    yield Finding(
        "rank",
        rows[0][1],
        "measured",
        len(lost),
        why=f"HAWQ's: {rows[-1][1]:.2f}; against cross-entropy {rows[0][2]:.2f}",
    )


def faster(study: Ohq, network: Network, test: Digits) -> Iterator[Shown]:
    """Products of one row, which run on packed codes."""
    costs = measured(network.graph, GROUPED, engine=network.engine, most_s=study.probe_s)
    timed = timed_by(options_of(network, GROUPED, study.sensitivity), costs)
    same = {name: uniform(timed, name) for name in GROUPED}
    eight_s, least_s = (total(timed, each, "latency_s") for each in (same[GROUPED[-1]], quickest(timed)))
    if least_s > 0.9 * eight_s:
        yield untestable("faster", f"the quickest formats take {least_s / eight_s:.0%} of int8's time here")
        return
    own = allocate(timed, Budget(latency_s=max(0.8 * eight_s, 1.0001 * least_s)))
    chosen = {"float32": uniform(timed, FLOAT), **same, "programme": own}
    files = {name: network.file(each) for name, each in chosen.items()}
    whole = seconds(files, study.rounds, network.engine)
    rows = [
        (
            name,
            costs.latency_s(each) * 1e6,
            whole[name] * 1e6,
            100 * accuracy(network.answers(files[name]), test.labels),
        )
        for name, each in chosen.items()
    ]
    yield Table(f"Perceptron 64 → {study.width} → {study.width} → 10, one core",
                ("formats", "predicted, µs", "measured, µs", "accuracy, %"), rows)  # fmt: skip
    below = 100 * (1 - whole["programme"] / whole[GROUPED[-1]])
    yield Finding("faster", below, "measured", study.rounds, why=f"formats: {', '.join(own.values())}")
