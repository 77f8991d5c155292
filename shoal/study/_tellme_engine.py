"""What the engine of tables gives: both phases of a published model, what moves them, tiles in URAM, orders of attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

import numpy as np

from shoal.errors import LimitError
from shoal.machines.accelerators._tellme_attention import F64, ORDERS, attended, visited
from shoal.machines.accelerators.tellme import ADDS, Tellme
from shoal.machines.ternary_models import BITNET_700M, Phase, decode, prefill
from shoal.study._ternary_layers import TernaryLayer, through
from shoal.study.contract import Chart, Finding, Note, Series, Shown, Table

PROMPTS = (64, 128)  # tokens
SEEN = 128  # tokens before a new one
LONG = 1024
TABLE_LUTS, LANE_LUTS = (10, 20), (8, 14)  # of a look-up of three weights; of a lane that selects and adds one
MODEL = BITNET_700M


def published() -> Iterator[Shown]:
    """Time to the first token, and of each one after it."""
    machine = Tellme()
    first = {tokens: prefill(machine, MODEL, tokens) for tokens in PROMPTS}
    for tokens, found in first.items():
        yield Finding(f"ttft_{tokens}", found.seconds, "simulated", why=_parts(found))
    new = decode(machine, MODEL, SEEN)
    yield Finding("decode", 1 / new.seconds, "simulated", why=f"after {SEEN} tokens; {_parts(new)}")
    watts = (new.joules / new.seconds, first[PROMPTS[0]].joules / first[PROMPTS[0]].seconds)
    yield Finding("watt", max(watts), "simulated", why=f"decoding {watts[0]:.2f} W, a prompt {watts[1]:.2f} W")
    yield _said()
    yield from _prompts(machine)


def moves() -> Iterator[Shown]:
    """Half of the look-ups, another port, and others."""
    rows: list[tuple[str | float, ...]] = []
    found = {}
    for name, machine in (("as described", Tellme()), ("two outputs at once", Tellme(outputs_at_once=2)),
                          ("two ports", Tellme(ports=2)), ("200 MHz", Tellme(clock_hz=200e6)),
                          ("128 lanes for prompts", Tellme(prefill_lanes=128)), ("URAM of 128 blocks", Tellme(urams=128))):  # fmt: skip
        found[name] = tuple(prefill(machine, MODEL, each) for each in PROMPTS), decode(machine, MODEL, SEEN)
        first, new = found[name]
        rows.append(
            (name, *(each.seconds for each in first), 1 / new.seconds, 1 / decode(machine, MODEL, LONG).seconds)
        )
    first_s = (prefill(Tellme(), MODEL, each, head="engine").seconds for each in PROMPTS)
    rows.append(
        (
            "head by the engine, ternary",
            *first_s,
            *(1 / decode(Tellme(), MODEL, each, "engine").seconds for each in (SEEN, LONG)),
        )
    )
    usual, half, ports = (found[name] for name in ("as described", "two outputs at once", "two ports"))
    yield Finding("half_ttft", half[0][1].seconds / usual[0][1].seconds, "simulated")
    yield Finding("half_decode", 100 * (half[1].seconds / usual[1].seconds - 1), "simulated")
    yield Finding("ports_decode", usual[1].seconds / ports[1].seconds, "simulated")
    yield Finding("ports_ttft", 100 * abs(ports[0][1].seconds / usual[0][1].seconds - 1), "simulated")
    yield Table("Figures changed", ("", *(f"first of {each}, s" for each in PROMPTS), f"tokens/s after {SEEN}",
                f"tokens/s after {LONG}"), rows)  # fmt: skip


def tiles() -> Iterator[Shown]:
    """Of each matrix: what lies in URAM at once, and whether loading or computing takes longer."""
    machine, rows = Tellme(), []
    for each in MODEL.matrices:
        parts = list(machine.tiles(each.name, each.inputs, each.outputs))
        tile = parts[0].stop - parts[0].start
        (job,) = machine.jobs(each.name, each.inputs, tile, 1)
        rows.append((each.name, f"{each.inputs} × {each.outputs}", tile, len(parts), machine.buffers.needed(tile, each.inputs),
                     job.load, job.work, job.load / job.work))  # fmt: skip
    held = all(2 * row[4] <= machine.urams for row in rows)
    yield Finding("tiles", held and _refused(machine), "computed", len(rows) + 1)
    yield Table("Tiles in URAM", ("matrix", "inputs × outputs", "rows of a tile", "tiles", "blocks of 64, twice", "load, cycles",
                "a token, cycles", "load over token"), rows,
                "computing decides where a prompt has more tokens than the last column says")  # fmt: skip


def orders(seed: int) -> Iterator[Shown]:
    """The same attention in three orders, and what each loads."""
    queries, keys, values = np.random.default_rng(seed).standard_normal((3, 120, 64))
    found = {order: attended(queries, keys, values, 16, order) for order in ORDERS}
    apart = max(float(np.abs(found[order] - _at_once(queries, keys, values)).max()) for order in ORDERS)
    yield Finding(
        "orders", apart, "computed", len(ORDERS), why="120 tokens in blocks of 16, against attention in one go"
    )
    machine, rows, fewer = Tellme(), [], []
    for tokens in (64, 128, 256, 512, 1024):
        each = {order: visited(ceil(tokens / machine.block_tokens), order, machine.kept_blocks) for order in ORDERS}
        fewer.append(each["reversed"].loads <= each["forward"].loads)
        seconds = {order: prefill(machine, MODEL, tokens, order).attention_s for order in ORDERS}
        rows.append(
            (
                tokens,
                *(
                    value
                    for order in ORDERS
                    for value in (each[order].tiles, each[order].loads, 1e3 * seconds[order])
                ),
            )
        )
    yield Finding("loads", all(fewer), "computed", len(fewer))
    yield Table("Attention over a prompt", ("tokens", *(f"{order}: {what}" for order in ORDERS for what in ("tiles", "loads", "ms"))),
                rows, f"blocks of {machine.block_tokens} tokens, {machine.kept_blocks} of them kept on the chip, the newest at first; "
                "what reversing saves is what is there already")  # fmt: skip


def layers_exact(layers: list[TernaryLayer]) -> Iterator[Shown]:
    """Trained layers through the tables, and what was counted."""
    machine, exact, counted, rows = Tellme(), [], [], []
    for layer in layers:
        for each in (machine, Tellme(tables=5, outputs_at_once=3), Tellme(tile_rows=16)):
            ran, same = through(each, layer, 2)
            wanted = each.counted(layer.name, layer.inputs, layer.outputs, 2)
            exact.append(same)
            counted.append(ran.counters == wanted and ran.trace[-1].end + each.fill_cycles == ran.cycles)
            if each is machine:
                steps = each.buffers.steps(layer.inputs) * ceil(layer.outputs / each.outputs_at_once)
                work = sum(span.end - span.begin for span in ran.trace if span.part == "engine")
                counted.append(work == each.build_cycles + 2 * steps)
                rows.append((layer.name, f"{layer.inputs} × {layer.outputs}", ran.counters["table"] / ADDS, ran.counters["lookup"],
                             work, ran.cycles, each.buffers.needed(layer.outputs, layer.inputs)))  # fmt: skip
    yield Finding("layer", all(exact), "simulated", len(exact), why="three shapes of engine and tile")
    yield Finding("counted", all(counted), "simulated", len(counted))
    yield Table("Trained layers through the tables, two rows of activations", ("layer", "inputs × outputs", "tables", "look-ups",
                "cycles of the engine", "cycles in all", "URAM blocks"), rows)  # fmt: skip


def look_up_tables() -> Table:
    """What three weights take of programmable logic, by ways of multiplying."""
    return Table("Three weights a cycle", ("", "look-up tables, least", "most", "DSPs"), [
        ("a look-up in 14 sums of 10 bits", *TABLE_LUTS, 0), ("three lanes that select and add", *(3 * each for each in LANE_LUTS), 0),
        ("three products of int8", 0, 0, 3),
    ], "estimates of structure: 64 bits in a look-up table of six inputs, 8 to 14 of them for a lane with its share of the tree")  # fmt: skip


def _said() -> Note:
    return Note("Clock, tables, outputs at once and one port of 128 bits are fixed in the description so that 64 tokens take 0.45 s; lanes "
                "of attention and the processors' rate, which reads the head in int8, are chosen from structure. Nothing else is "
                "fitted.")  # fmt: skip


def _prompts(machine: Tellme) -> Iterator[Shown]:
    """From which prompt on the engine decides and not its port."""
    tokens = (1, 2, 3, 4, 5, 6, 8, 12, 16, 32, 64, 128)
    found = [prefill(machine, MODEL, each) for each in tokens]
    crossed = next(each for each in range(1, 65) if prefill(machine, MODEL, each).linear_s >= found[0].load_s)
    yield Finding("crossed", crossed, "simulated", len(tokens))
    curves = {"until the first token": [each.seconds for each in found], "computing": [each.linear_s for each in found],
              "loading": [each.load_s for each in found]}  # fmt: skip
    yield Chart("Prompts", "tokens", "s", tuple(Series(name, tokens, taken) for name, taken in curves.items()),
                log_x=True, log_y=True)  # fmt: skip


def _parts(found: Phase) -> str:
    return (f"computing {found.linear_s:.3g} s, loading {found.load_s:.3g} s beside it, attention {found.attention_s:.2g} s, "
            f"head {found.head_s:.2g} s")  # fmt: skip


def _refused(machine: Tellme) -> bool:
    """Whether too large a tile is refused, and the largest that is named is one that fits."""
    most = machine.buffers.largest(4096)
    try:
        list(replace(machine, tile_rows=most + 1).tiles("down", 4096, 1536))
    except LimitError as fault:
        fits = list(replace(machine, tile_rows=most).tiles("down", 4096, 1536))
        return f"has {most} of" in str(fault.hint) and bool(fits)
    return False


def _at_once(queries: F64, keys: F64, values: F64) -> F64:
    scores = queries @ keys.T / np.sqrt(queries.shape[1])
    scores[np.triu_indices(len(scores), 1)] = -np.inf
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(weights @ values / weights.sum(axis=1, keepdims=True))
