"""Both phases of a model on the small FPGA or on a laptop: four placements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shoal.machines.accelerators.tellme import Tellme
from shoal.machines.ternary_models import BITNET_700M, decode, prefill
from shoal.study._ternary_boards import Board, Spent
from shoal.study.contract import Finding, Shown, Table

if TYPE_CHECKING:
    from shoal.study._bench import Bench

LAPTOP, FPGA = "laptop-i7-1165g7", "kv260-ternary"
PROMPT, NEW = 64, 64  # tokens
LINK_BYTES_PER_S = 125e6  # a gigabit a second


def split(bench: Bench) -> Iterator[Shown]:
    """Time to the first token and energy of each; keys and values go over a link where the phases are apart."""
    machine, laptop, model = Tellme(), Board(bench, LAPTOP, "cpu", "int8"), BITNET_700M
    first, new = prefill(machine, model, PROMPT), decode(machine, model, PROMPT)
    prompts = {FPGA: Spent(first.seconds, first.joules), LAPTOP: laptop.tokens(model, PROMPT)}
    tokens = {FPGA: Spent(new.seconds, new.joules), LAPTOP: laptop.tokens(model, 1)}
    moved_s = 2 * PROMPT * model.width * model.layers / LINK_BYTES_PER_S
    rows = []
    for before, prompt in prompts.items():
        for after, token in tokens.items():
            seconds = prompt.seconds + (before != after) * moved_s
            rows.append((before, after, seconds, 1 / token.seconds, prompt.joules + NEW * token.joules))
    front = [(row[0], row[1]) for row in rows if not any(_better(other, row) for other in rows)]
    apart = [pair for pair in front if pair[0] != pair[1]]
    yield Finding("split", bool(apart), "simulated", len(rows),
                  why=f"on the front: {'; '.join(f'{one}, then {other}' for one, other in front)}; compared one by one, for no planner "
                      "here places phases on machines that are not here")  # fmt: skip
    yield Table(f"{PROMPT} tokens, then {NEW} new ones", ("prompt on", "new tokens on", "first token, s", "tokens/s", "J in all"), rows,
                "the laptop in int8 by its data sheet, above idle; a device that waits counts nothing")  # fmt: skip


def _better(one: tuple[str, str, float, float, float], other: tuple[str, str, float, float, float]) -> bool:
    """First token, rate and energy: nowhere worse, and not the same."""
    pairs = ((one[2], other[2]), (other[3], one[3]), (one[4], other[4]))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
