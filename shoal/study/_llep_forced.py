"""Forced routing through real workers: the same answers, and what a step takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median

import numpy as np
from numpy.typing import NDArray

from shoal.llm.expert_parallel import Mode, Step, Ways, Workers, even, workers
from shoal.llm.expert_parallel.experts import ACTIVATIONS, F32, I64, Expert
from shoal.study import Chart, Finding, Series, Shown, Table

SKEWS = ((0, 1), (30, 1), (50, 1), (80, 1), (95, 1), (95, 4), (95, 16))  # per cent of copies, into so many experts
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MODES: tuple[Mode, ...] = ("hub", "shards")
ENOUGH = 2.0  # a product is large enough where a row takes at most so many times the least


@dataclass(frozen=True)
class Layer:
    """Sizes of a layer of experts, and tokens through it."""

    experts: int
    width: int
    hidden: int
    tokens: int
    per_token: int = 2

    def weights(self, source: np.random.Generator) -> list[Expert]:
        """Of all experts."""
        sizes = (2 * self.hidden, self.width), (self.width, self.hidden)
        return [Expert(*(source.standard_normal(size, np.float32) / np.float32(16) for size in sizes)) for _ in range(self.experts)]  # fmt: skip


def forced(layer: Layer, per_cent: float, hot: int, source: np.random.Generator) -> I64:
    """(tokens, k) experts: each copy is drawn alone, so a token may meet the busy one in several of its places."""
    chance = np.full(layer.experts, (1 - per_cent / 100) / layer.experts)
    chance[:hot] += per_cent / 100 / hot
    return source.choice(layer.experts, (layer.tokens, layer.per_token), p=chance).astype(np.int64)


def least_rows(layer: Layer, seed: int) -> tuple[int, Table]:
    """How many tokens are worth a product of their own on this machine."""
    source = np.random.default_rng(seed)
    expert = layer.weights(source)[0]
    took = []
    for rows in ROWS:
        x = source.standard_normal((rows, layer.width), np.float32)
        took.append(min(_seconds(expert, x) for _ in range(10)) / rows)
    found = next(rows for rows, each in zip(ROWS, took, strict=True) if each <= ENOUGH * min(took))
    cells = [(rows, 1e6 * each) for rows, each in zip(ROWS, took, strict=True)]
    return found, Table("One expert: time of a row", ("rows", "µs a row"), cells,
                        f"least tokens of a chunk: {found}, where a row takes at most {ENOUGH:g} times the least")  # fmt: skip


def _seconds(expert: Expert, x: F32) -> float:
    begun_s = time.perf_counter()
    expert.answer(x, ACTIVATIONS["silu"])
    return time.perf_counter() - begun_s


def equal(layer: Layer, least: int, seed: int) -> Iterator[Shown]:
    """All kinds of routing, numbers of workers that share experts evenly and not, both modes."""
    source = np.random.default_rng(seed)
    held = layer.weights(source)
    x = source.standard_normal((layer.tokens, layer.width), np.float32)
    gates = source.random((layer.tokens, layer.per_token), np.float32)
    routes = {f"{per_cent} % into {hot}": forced(layer, per_cent, min(hot, layer.experts), source) for per_cent, hot in SKEWS}  # fmt: skip
    routes["all into one"] = np.zeros_like(routes["0 % into 1"])
    routes["only a third of the experts"] = source.integers(0, layer.experts // 3, (layer.tokens, layer.per_token))
    wanted = {name: one_process(held, x, chosen, gates) for name, chosen in routes.items()}
    rows = []
    for count in (2, 3):
        with workers(even(1, layer.experts, count)) as there:
            _hold(there, 0, held)
            for mode, name in product(MODES, ("plain", f"least_loaded:least={least}")):
                there.share(mode, name)
                off = max(_off(there.layer(0, x, chosen, gates), wanted[each]) for each, chosen in routes.items())
                steps = there.traffic.steps[-len(routes) :]
                moved = sum(int(step.weight_bytes.sum()) for step in steps) // held[0].bytes
                rows.append((f"{count} workers, {mode}, {name}", off, moved))
    yield Finding("equal", max(off for _, off, _ in rows), "measured", len(rows) * len(routes),
                  why=f"largest difference over largest value; {layer.experts} experts on 2 and 3 workers")  # fmt: skip
    yield Table("Forced routing against one process", ("workers", "off", "experts moved"), rows, ", ".join(routes))


def one_process(held: Sequence[Expert], x: F32, chosen: I64, gates: F32) -> NDArray[np.float64]:
    """The same as a sum over all experts of all tokens, most of which count nothing; float64."""
    counts = np.zeros((len(x), len(held)))
    np.add.at(counts, (np.arange(len(x))[:, None], chosen), gates)
    total, wide = np.zeros(x.shape), x.astype(np.float64)
    for each, count in zip(held, counts.T, strict=True):
        gate, up = np.split(wide @ each.gate_up.T, 2, axis=1)
        total += count[:, None] * (gate / (1 + np.exp(-gate)) * up @ each.down.T)
    return total


def _off(found: F32, wanted: NDArray[np.float64]) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def timed(layer: Layer, least: int, rounds: int, seed: int) -> Iterator[Shown]:
    """Steps of two workers by turns, standard and least loaded; memory in steps of their own."""
    source = np.random.default_rng(seed)
    held = layer.weights(source)
    x = source.standard_normal((layer.tokens, layer.width), np.float32)
    gates = source.random((layer.tokens, layer.per_token), np.float32)
    native, rows = even(1, layer.experts, 2), []
    with workers(native) as clocked, workers(native, ways=Ways(traced=True)) as traced:
        for there in (clocked, traced):
            _hold(there, 0, held)
        for per_cent, hot in SKEWS:
            given = x, forced(layer, per_cent, hot, source), gates
            steps = [*both(clocked, 0, given, least, rounds)]
            took = (median(step.seconds for step in each) for each in steps)
            peaks = (max(step.peak_bytes for step in each) for each in both(traced, 0, given, least, 1))
            rows.append((per_cent, hot, *took, *peaks, *(median(step.cpu_s for step in each) for each in steps)))
    gains = {(per_cent, hot): plain_s / spilt_s for per_cent, hot, plain_s, spilt_s, *_ in rows}
    even_bytes = rows[0][4]
    one = [row for row in rows if row[1] == 1]
    yield Finding("gain", gains[95, 1], "measured", rounds, why="medians; bound: 2, the number of workers")
    used = next(row[6] / row[7] for row in rows if row[:2] == (95, 1))
    yield Finding("gain_cpu", used, "measured", rounds, why="medians; waiting left out")
    yield Finding("rising", gains[95, 1] >= gains[50, 1] >= gains[0, 1], "measured", rounds)
    yield Finding("balanced", 100 * abs(gains[0, 1] - 1), "measured", rounds)
    yield Finding("memory", max(row[5] for row in rows) / even_bytes, "measured", len(rows),
                  why="most of any worker in a step, over that of standard steps with even routing; a worker's own experts left out")  # fmt: skip
    yield Finding("memory_plain", max(row[4] for row in rows) / even_bytes, "measured", len(rows))
    yield Table(
        "Two workers, forced routing",
        ("copies, %", "into experts", "standard, ms", "least loaded, ms", "gain, ×", "gain in processor time, ×", "standard, MB", "least loaded, MB"),
        [(per_cent, hot, 1e3 * a, 1e3 * b, a / b, e / f, c / 1e6, d / 1e6) for per_cent, hot, a, b, c, d, e, f in rows],
        "time and peak memory of the slower and the fuller worker; forced routing, not that of text",
    )  # fmt: skip
    yield Chart("Gain by imbalance, one busy expert", "copies to it, %", "gain, ×",
                (Series("measured", [row[0] for row in one], [row[2] / row[3] for row in one]),))  # fmt: skip


def both(there: Workers, layer: int, given: tuple[F32, I64, F32], least: int, rounds: int) -> Iterator[list[Step]]:
    """Steps in turn: the standard ones, then the least loaded ones."""
    names = "plain", f"least_loaded:least={least}"
    steps: dict[str, list[Step]] = {name: [] for name in names}
    for at in range(1 + rounds):
        for name in names if at % 2 else names[::-1]:
            there.share("shards", name)
            there.layer(layer, *given)
            if at:  # the first ones warm up
                steps[name].append(there.traffic.steps[-1])
    yield from steps.values()


def _hold(there: Workers, layer: int, held: Sequence[Expert]) -> None:
    for number, each in enumerate(held):
        there.hold(layer, number, each)
