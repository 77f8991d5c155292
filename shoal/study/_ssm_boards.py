"""Public models on boards that are not here: longest prompt, time and energy, from configurations and data sheets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.study import Finding, Shown, Table
from shoal.study._ssm_models import PAIRS, Pair

if TYPE_CHECKING:
    from shoal.llm.profile import Machine, Subject

HALF = 2  # bytes of float16
CARD, EDGE = "rtx-4090", "jetson-orin-nano-8gb"
LONG, SHORTS = 57_344, (256, 512, 1024, 2048, 4096, 8192)
EDGE_LENGTHS = (1024, 4096, 16_384)
BREAK_EVEN = 2048  # tokens from which the scan is quicker than attention: Dao and Gu 2024, figure 10, on an A100
WIDTH, STATE, CHUNK = 2048, 64, 256  # of the layer there: all heads, state of a channel, tokens of a chunk
# Shares of the data sheet's figures. Products: usual for large ones in half precision. Attention: FlashAttention-2 forward,
# causal, as its paper measures (A100: 50 to 73 %). Bandwidth: usual for element-wise kernels. The scan's follows.
GEMM, ATTENTION, BANDWIDTH = 0.7, 0.5, 0.8
CALL_S = 5e-6  # of a kernel, on a card; an embedded board's processor takes so much longer:
EDGE_CALLS = 4


@dataclass(frozen=True)
class Board:
    """A board's graphics processor, as a machine and by its power."""

    machine: Machine
    usable_bytes: float
    power_w: float


def scan_efficiency() -> float:
    """Share of the peak that a fused scan reaches, from the length at which it takes as long as attention.

    Both are of one width; attention does 2·width·tokens/2 multiply-accumulates a token.
    """
    scan = WIDTH * CHUNK + 2 * WIDTH * STATE + CHUNK * STATE
    return ATTENTION * scan / (WIDTH * BREAK_EVEN)


def simulated() -> Iterator[Shown]:
    """Both boards."""
    card, edge = _board(CARD, CALL_S), _board(EDGE, CALL_S * EDGE_CALLS)
    yield from _contexts(card)
    yield from _times(card)
    yield _edge_share(edge)
    yield Table(
        "Efficiencies put in", ("class", "arithmetic, % of the peak", "bytes, % of the bandwidth"),
        [(name, 100 * each.arithmetic, 100 * each.bandwidth) for name, each in card.machine.efficiency.items()],
        note=f"the scan's from its break-even with attention at {BREAK_EVEN} tokens (Dao and Gu 2024, figure 10)",
    )  # fmt: skip


def _board(name: str, call_s: float) -> Board:
    from shoal.fleet import board
    from shoal.llm.profile import Efficiency, Machine

    device = board(name)
    unit = next(each for each in device.units if each.name == "gpu")
    shares = {"gemm": Efficiency(GEMM, BANDWIDTH), "attention": Efficiency(ATTENTION, BANDWIDTH),
              "ssm_scan": Efficiency(scan_efficiency(), BANDWIDTH), "ssm_conv": Efficiency(1, BANDWIDTH),
              "elementwise": Efficiency(1, BANDWIDTH)}  # fmt: skip
    machine = Machine(name, unit.peak_flop_per_s["float16"], unit.memory_bytes_per_s, shares, call_s, HALF)
    return Board(machine, device.memory_limit_bytes, device.idle_w + unit.busy_w)


def _subjects(pair: Pair) -> tuple[Subject, Subject]:
    from shoal.llm.profile import Subject

    return Subject(*pair.attending), Subject(*pair.scanning, scan=256)


def _contexts(card: Board) -> Iterator[Shown]:
    from shoal.llm.profile import longest

    found = {
        whole: [
            tuple(longest(each, card.usable_bytes, HALF, all_logits=whole) for each in _subjects(pair))
            for pair in PAIRS
        ]
        for whole in (True, False)
    }
    ratios = {whole: [scan / attention for attention, scan in each] for whole, each in found.items()}
    last = f"with the last place's alone, where keys and values and not the vocabulary decide, {min(ratios[False]):.2f} to {max(ratios[False]):.2f}"
    yield Finding("context_card", max(ratios[True]), "modelled", len(PAIRS), (min(ratios[True]), max(ratios[True])),
                  "logits of all places, as a plain call gives them: they take most, so that vocabularies "
                  f"(152 or 128 against 50 thousand) bound the ratio; {last}. Interval: all pairs")  # fmt: skip
    rows: list[tuple[str | float, ...]] = [(pair.attending[0], pair.scanning[0], *all_of, *last_of) for pair, all_of, last_of in
            zip(PAIRS, found[True], found[False], strict=True)]  # fmt: skip
    columns = ("Transformer", "state-space", "tokens, all logits", "tokens, all logits (SSM)", "tokens, last logits",
               "tokens, last logits (SSM)")  # fmt: skip
    yield Table(f"Longest prompt that fits {CARD}", columns, rows)


def _times(card: Board) -> Iterator[Shown]:
    from shoal.llm.profile import Point, memory

    pairs = [(pair, *_subjects(pair)) for pair in PAIRS]
    seconds = [[card.machine.total_s(each, Point(LONG)) for each in both] for _, *both in pairs]
    ratios = [attention / scan for attention, scan in seconds]
    yield Finding(
        "ttft_card", max(ratios), "simulated", len(PAIRS), (min(ratios), max(ratios)), "interval: all pairs"
    )
    shorts = [max(card.machine.total_s(scan, Point(at)) / card.machine.total_s(attention, Point(at)) for at in SHORTS)
              for _, attention, scan in pairs]  # fmt: skip
    yield Finding(
        "short_card", max(shorts), "simulated", len(PAIRS), (min(shorts), max(shorts)), "interval: all pairs"
    )
    at = ratios.index(max(ratios))
    joules = [card.power_w * each for each in seconds[at]]
    yield Finding("energy_card", joules[0] / joules[1], "simulated", 1, None,
                  f"{joules[0]:.0f} J and {joules[1]:.0f} J: power at full load times time, so that it is the ratio of times")  # fmt: skip
    kept = [[memory(each, Point(LONG), HALF, all_logits=True).bytes for each in both] for _, *both in pairs]
    less = [100 * (1 - scan / attention) for attention, scan in kept]
    yield Finding("memory_card", max(less), "modelled", len(PAIRS), (min(less), max(less)), "interval: all pairs")
    rows: list[tuple[str | float, ...]] = [(pair.attending[0], pair.scanning[0], *both, ratio, short) for (pair, *_), both, ratio, short in
            zip(pairs, seconds, ratios, shorts, strict=True)]  # fmt: skip
    yield Table(f"Time to the first token on {CARD}",
                ("Transformer", "state-space", f"s at {LONG:,}", f"s at {LONG:,} (SSM)", "SSM quicker at it, ×",
                 "Transformer quicker when short, ×"), rows)  # fmt: skip


def _edge_share(edge: Board) -> Finding:
    """The share of scan and convolution in a prefill, the most over models and lengths that fit."""
    from shoal.llm.profile import Point, longest

    found = []
    for pair in PAIRS:
        subject = _subjects(pair)[1]
        for at in EDGE_LENGTHS:
            if at <= longest(subject, edge.usable_bytes, HALF):
                seconds = edge.machine.seconds(subject, Point(at))
                found.append(
                    100 * (seconds["ssm_scan"] + seconds["ssm_conv"]) / (sum(seconds.values()) - seconds["calls"])
                )
    why = "Mamba-2 with the fused scan; the published figure counts Mamba-1's sequential scan and gated norms too"
    return Finding("share_edge", max(found), "simulated", len(found), (min(found), max(found)), why)
