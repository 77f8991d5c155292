"""What the cards with a ternary core give: published models, what each figure of the description moves, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil, inf
from typing import Any

import numpy as np

from shoal.errors import InputError, LimitError, ModelError
from shoal.fleet import board
from shoal.formats import ternary
from shoal.machines.accelerators.tereffic import Tereffic
from shoal.machines.ternary_models import (
    MATMUL_FREE_370M,
    MATMUL_FREE_2700M,
    Decoding,
    TernaryDecoder,
    decoding,
)
from shoal.study._ternary_layers import TernaryLayer, through
from shoal.study.contract import Chart, Finding, Note, Series, Shown, Table

HOSTS = ("server-epyc-9654", "server-xeon-6338", "desktop-ryzen-7700x")
DDR_BYTES_PER_S = 38.4e9  # two channels of DDR4-2400, beside a card's HBM


def resident() -> Tereffic:
    """As described: two cards that hold their weights."""
    return Tereffic()


def streaming() -> Tereffic:
    """One card that streams them from its HBM."""
    return Tereffic(weights="hbm", cards=1)


def published(streams: int) -> Iterator[Shown]:
    """Tokens a second and a watt of both models; how many streams share what."""
    small, large = decoding(resident(), MATMUL_FREE_370M), decoding(streaming(), MATMUL_FREE_2700M)
    for key, found in (("resident", small), ("streamed", large)):
        yield Finding(key, found.tokens_per_s, "simulated", why=f"without the head; {found.watts:.1f} W")
        yield Finding(f"{key}_watt", found.tokens_per_s / found.watts, "simulated", why=_parts(found))
    pair = decoding(resident(), MATMUL_FREE_370M, 2).tokens_per_s / small.tokens_per_s
    yield Finding("pair", pair, "simulated", why="one stream waits for one card after the other")
    yield from _batched(large, streams)
    yield _heads()
    yield _basic(large)


def moves() -> Iterator[Shown]:
    """One figure after another, against the formulas."""
    rows, right = [], []
    for name, machine, model in _changes():
        obtained, wanted = decoding(machine, model).tokens_per_s, _formula(machine, model)
        right.append(abs(obtained / wanted - 1) < 0.02)
        rows.append((name, model.name, obtained, wanted, 100 * (obtained / wanted - 1)))
    yield Finding("moves", all(right), "simulated", len(rows), why="within 2 % of the formulas in each case")
    yield Table("Figures changed, one stream", ("", "model", "tokens/s", "formula", "off, %"), rows,
                "formula: the longer of layers · (Σ ⌈inputs/P⌉·⌈outputs/P⌉ + 36) / clock and bytes / rate, and links")  # fmt: skip


def layers_exact(layers: list[TernaryLayer]) -> Iterator[Shown]:
    """Trained layers through the core, tile by tile, in three packings and on several shapes of tile."""
    rows, exact, off = [], [], 0
    for layer in layers:
        for machine in (Tereffic(), Tereffic(packing="2"), Tereffic(packing="8"),
                        Tereffic(inputs_at_once=32, outputs_at_once=40), replace(streaming(), hbm_channels=1)):  # fmt: skip
            ran, same = through(machine, layer, 2)
            tiles = ceil(layer.inputs / machine.inputs_at_once) * ceil(layer.outputs / machine.outputs_at_once)
            formula = 2 * tiles + machine.fill_cycles
            exact.append(same)
            if machine.weights == "resident":
                off = max(off, abs(ran.cycles - formula))
            if machine == Tereffic():
                rows.append(
                    (layer.name, f"{layer.inputs} × {layer.outputs}", ran.cycles, formula, ran.counters["weights"])
                )
    yield Finding(
        "layer", all(exact), "simulated", len(exact), why="three packings, two shapes of tile, streamed and not"
    )
    yield Finding("cycles", off, "simulated", len(exact))
    yield Table("Trained layers through the core, two rows of activations", ("layer", "inputs × outputs", "cycles",
                "formula", "bytes read"), rows)  # fmt: skip


def refusals() -> Iterator[Finding]:
    """Weights that are not ternary, bytes that hold no five of them, models that need more cards."""
    layer = TernaryLayer("spoilt", np.array([[0, 1], [2, -1]], np.int8), np.float32(0.5))
    told = [_said(lambda: resident().compiled(layer.call(1)), ModelError, "tensor 'spoilt.weight'"),
            _said(lambda: ternary.fives(np.array([243], np.uint8)), InputError, "at most 242")]  # fmt: skip
    yield Finding("refused", all(told), "computed", len(told))
    eight = Tereffic(packing="8")
    needed = ceil(MATMUL_FREE_370M.layers / (eight.capacity_bytes // (MATMUL_FREE_370M.ternary_weights // 24)))
    said = _said(lambda: decoding(eight, MATMUL_FREE_370M), LimitError, f"needed {needed} cards")
    yield Finding("eight", said, "computed", why=f"{needed} cards are needed")


def _said(asked: Any, kind: type[Exception], words: str) -> bool:
    try:
        asked()
    except kind as fault:
        return words in str(fault)
    return False


def _parts(found: Decoding) -> str:
    return "mJ a token: " + ", ".join(f"{name} {1e3 * each:.2g}" for name, each in found.energy_j.items() if each)


def _batched(one: Decoding, streams: int) -> Iterator[Shown]:
    """Streams meet a tile together until computing takes longer than loading."""
    counts = range(1, streams + 1)
    found = [decoding(streaming(), MATMUL_FREE_2700M, count) for count in counts]
    knee = next(
        (count for count, each in zip(counts, found, strict=True) if each.busy_s[0] >= 0.97 * each.token_s), inf
    )
    wanted = one.token_s / one.busy_s[0]
    yield Finding("knee", abs(min(knee, streams) - wanted), "simulated", len(found),
                  why=f"computing decides from {knee} streams; loading over computing of one: {wanted:.1f}")  # fmt: skip
    cards = [decoding(resident(), MATMUL_FREE_370M, count) for count in counts]
    yield Chart("Streams", "streams", "tokens/s over one stream's", tuple(
        Series(name, list(counts), [each.tokens_per_s / some[0].tokens_per_s for each in some])
        for name, some in (("2.7B from HBM, one card", found), ("370M on two cards", cards))
    ))  # fmt: skip


def _heads() -> Table:
    """What the last product adds where a host does it, in int8, as fast as its memory gives the weights."""
    rows: list[tuple[str | float, ...]] = []
    for name in HOSTS:
        rate = board(name).units[0].memory_bytes_per_s
        row: list[str | float] = [name, rate / 1e9]
        for machine, model in ((resident(), MATMUL_FREE_370M), (streaming(), MATMUL_FREE_2700M)):
            row.append(decoding(machine, model, head_s=model.head_weights / rate).tokens_per_s)
        rows.append(tuple(row))
    return Table("With the head on a host", ("host", "its memory, GB/s", "370M, tokens/s", "2.7B, tokens/s"), rows,
                 "the figures above leave it out: 32,000 symbols in int8 take as long as many ternary layers")  # fmt: skip


def _basic(large: Decoding) -> Table:
    """The same core with weights in int8 from DDR4, and in fewer bits."""
    rows = []
    for name, change in (("ternary in 1.6 bits, HBM", {}), ("ternary in 2 bits, HBM", {"packing": "2"}),
                         ("int8, HBM", {"packing": "8"}), ("int8, DDR4", {"packing": "8", "hbm_bytes_per_s": DDR_BYTES_PER_S})):  # fmt: skip
        found = decoding(replace(streaming(), **change), MATMUL_FREE_2700M)
        rows.append((name, found.tokens_per_s, large.tokens_per_s / found.tokens_per_s, found.joules))
    return Table("2.7B on one card by what a weight takes", ("", "tokens/s", "slower, ×", "J a token"), rows)


def _changes() -> Iterator[tuple[str, Tereffic, TernaryDecoder]]:
    yield "as described", resident(), MATMUL_FREE_370M
    yield "200 MHz", replace(resident(), clock_hz=200e6), MATMUL_FREE_370M
    yield "64 inputs at once", replace(resident(), inputs_at_once=64), MATMUL_FREE_370M
    yield "no filling", replace(resident(), fill_cycles=0), MATMUL_FREE_370M
    yield "three cards", replace(resident(), cards=3), MATMUL_FREE_370M
    yield "links of 20 µs", replace(resident(), link_s=20e-6), MATMUL_FREE_370M
    yield "as described", streaming(), MATMUL_FREE_2700M
    yield "200 MHz", replace(streaming(), clock_hz=200e6), MATMUL_FREE_2700M
    yield "16 channels", replace(streaming(), hbm_channels=16), MATMUL_FREE_2700M
    yield "450 MHz: HBM's own rate", replace(streaming(), clock_hz=450e6), MATMUL_FREE_2700M
    yield "two bits a weight", replace(streaming(), packing="2"), MATMUL_FREE_2700M
    yield "8 inputs at once", replace(streaming(), inputs_at_once=8), MATMUL_FREE_2700M


def _formula(machine: Tereffic, model: TernaryDecoder) -> float:
    """Tokens a second of one stream, in closed form."""
    tiles = sum(ceil(each.inputs / machine.inputs_at_once) * ceil(each.outputs / machine.outputs_at_once)
                for each in model.matrices)  # fmt: skip
    compute_s = model.layers * (tiles + 6 * machine.fill_cycles) / machine.clock_hz
    if machine.weights == "hbm":
        rate = min(machine.hbm_bytes_per_s, machine.hbm_channels * 32 * machine.clock_hz)
        return 1 / max(compute_s, model.ternary_weights / machine.stored.weights / rate)
    hops = 2 * (machine.cards - 1)
    return 1 / (compute_s + hops * (machine.link_s + model.width / machine.link_bytes_per_s))


def said() -> Note:
    """What is not read but chosen."""
    return Note("Clock and width of the core are derived from the abstract of the paper's first version, not read; the pipeline's "
                "filling of 6 cycles is a choice; nothing else is fitted. Embedding and head are not on the cards. The second "
                "version's 727 tokens/s would take 369 GB/s of HBM, its 16,300 another clock or width.")  # fmt: skip
