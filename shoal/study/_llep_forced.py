"""Forced routing through real workers: the same answers, and what a step takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from shoal.llm.expert_parallel import Ways, Workers, even, workers
from shoal.llm.expert_parallel.experts import ACTIVATIONS, F32, I64, Expert, Parcel, answers
from shoal.study import Chart, Finding, Series, Shown, Table

SKEWS = ((0, 1), (30, 1), (50, 1), (80, 1), (95, 1), (95, 4), (95, 16))  # per cent of copies, into so many experts
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
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
    rows = [(rows, 1e6 * each) for rows, each in zip(ROWS, took, strict=True)]
    return found, Table("One expert: time of a row", ("rows", "µs a row"), rows,
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
    rows, worst = [], 0.0
    for count in (2, 3):
        for mode in ("hub", "shards"):
            for name in ("plain", f"least_loaded:least={least}"):
                off = 0.0
                with ExitStack() as stack:
                    there = _held(stack, layer, held, count, Ways(mode=mode, balancer=name))  # type: ignore[arg-type]  # both are modes
                    for chosen in routes.values():
                        alone = one_process(held, x, chosen, gates)
                        off = max(off, _off(there.layer(0, x, chosen, gates), alone))
                    moved = sum(int((step.weight_bytes > 0).sum()) for step in there.traffic.steps)
                rows.append((f"{count} workers, {mode}, {name}", off, moved))
                worst = max(worst, off)
    yield Finding("equal", worst, "measured", len(rows) * len(routes), why=f"largest difference over largest value; {layer.experts} experts on 2 and 3 workers")  # fmt: skip
    yield Table("Forced routing against one process", ("workers", "off", "links that carried weights"), rows,
                ", ".join(routes))  # fmt: skip


def one_process(held: Sequence[Expert], x: F32, chosen: I64, gates: F32) -> F32:
    """The same by one parcel to all experts; float32."""
    token = np.repeat(np.arange(len(x), dtype=np.int32), chosen.shape[1])
    parcel = Parcel(x, token, chosen.ravel().astype(np.int32), gates.ravel())
    return answers([parcel], dict(enumerate(held)), ACTIVATIONS["silu"])[0]


def _off(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def timed(layer: Layer, least: int, rounds: int, seed: int) -> Iterator[Shown]:
    """Steps of two workers by turns, standard and least loaded; memory in steps of their own."""
    source = np.random.default_rng(seed)
    held = layer.weights(source)
    x = source.standard_normal((layer.tokens, layer.width), np.float32)
    gates = source.random((layer.tokens, layer.per_token), np.float32)
    rows = []
    for per_cent, hot in SKEWS:
        chosen = forced(layer, per_cent, hot, source)
        took = both(layer, held, (x, chosen, gates), least, rounds)
        memory = both(layer, held, (x, chosen, gates), least, 1, traced=True)
        rows.append((per_cent, hot, *(median(each) for each in took), *(max(each) for each in memory)))
    gains = {(per_cent, hot): plain_s / spilt_s for per_cent, hot, plain_s, spilt_s, *_ in rows}
    even_bytes = rows[0][4]
    one = [row for row in rows if row[1] == 1]
    yield Finding("gain", gains[95, 1], "measured", rounds, why="medians; bound: 2, the number of workers")
    yield Finding("rising", gains[95, 1] >= gains[50, 1] >= gains[0, 1], "measured", rounds)
    yield Finding("balanced", 100 * abs(gains[0, 1] - 1), "measured", rounds)
    yield Finding("memory", max(row[5] for row in rows) / even_bytes, "measured", len(rows),
                  why="most of any worker in a step, over that of standard steps with even routing; a worker's own experts left out")  # fmt: skip
    yield Finding("memory_plain", max(row[4] for row in rows) / even_bytes, "measured", len(rows))
    yield Table(
        "Two workers, forced routing",
        ("copies, %", "into experts", "standard, ms", "least loaded, ms", "gain, ×", "standard, MB", "least loaded, MB"),
        [(per_cent, hot, 1e3 * a, 1e3 * b, a / b, c / 1e6, d / 1e6) for per_cent, hot, a, b, c, d in rows],
        "time and peak memory of the slower and the fuller worker; forced routing, not that of text",
    )  # fmt: skip
    yield Chart("Gain by imbalance, one busy expert", "copies to it, %", "gain, ×",
                (Series("measured", [row[0] for row in one], [row[2] / row[3] for row in one]),))  # fmt: skip


def both(
    layer: Layer,
    held: Sequence[Expert],
    given: tuple[F32, I64, F32],
    least: int,
    rounds: int,
    *,
    traced: bool = False,
) -> tuple[list[float], list[float]]:
    """Of steps in turn, standard and least loaded: seconds, or bytes of the fuller worker where memory is traced."""
    with ExitStack() as stack:
        pair = [
            _held(stack, layer, held, 2, Ways(mode="shards", balancer=name, traced=traced))
            for name in ("plain", f"least_loaded:least={least}")
        ]
        for at in range(1 + rounds):
            for there in pair if at % 2 else pair[::-1]:
                there.layer(0, *given)
        steps = [there.traffic.steps[1:] for there in pair]  # the first ones warm up
    plain_, spilt = ([float(max(each.peak_bytes for each in step.reports)) if traced else step.seconds for step in mine] for mine in steps)  # fmt: skip
    return plain_, spilt


def _held(stack: ExitStack, layer: Layer, held: Sequence[Expert], count: int, ways: Ways) -> Workers:
    there = stack.enter_context(workers(even(1, layer.experts, count), ways=ways))
    for number, each in enumerate(held):
        there.hold(0, number, each)
    return there
