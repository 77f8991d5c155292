"""Eight accelerators that are not here: layers of three models under forced routing, and a whole model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shoal.cost.expert_layer import Accelerator, ExpertShape, LayerCost, layer_cost
from shoal.plan.balancers.contract import I64, Assignment, Balancer, Devices
from shoal.plan.balancers.eplb import Eplb
from shoal.plan.balancers.least_loaded import LeastLoaded
from shoal.plan.balancers.plain import Plain
from shoal.plan.balancers.random_spill import RandomSpill
from shoal.study import Finding, Note, Shown, Table

DEVICES = 8
SHAPES = {  # a layer, and tokens of each device
    "gpt-oss-120b": (ExpertShape(128, 4, 2880, 2880), 32768),
    "DeepSeek-V3": (ExpertShape(256, 8, 7168, 2048), 16384),
    "Kimi-K2": (ExpertShape(384, 8, 7168, 2048), 16384),
}
SKEWS = ((0, 1), *((per_cent, hot) for hot in (1, 4, 16) for per_cent in (30, 50, 80, 95)))
# Attention of gpt-oss-120b: 64 heads of 64, 8 of keys and values; every second layer sees only the last 128 tokens.
WIDTH, HEADS, KEPT, HEAD, WINDOW = 2880, 64, 8, 64, 128
RECORDED = (20.0, 32.5)  # % of a layer's copies at its busiest expert and device, published for gpt-oss-20b


@dataclass(frozen=True)
class Machine:
    """Eight devices with the experts of one model in order."""

    shape: ExpertShape
    device: Accelerator

    @property
    def devices(self) -> Devices:
        """As a balancer sees them."""
        native = np.arange(self.shape.experts, dtype=np.int64) * DEVICES // self.shape.experts
        copy_s = self.shape.copy_flops / (self.device.flops_per_s * self.device.share)
        return Devices(native, np.full(DEVICES, 1 / copy_s), self.shape.expert_bytes / self.device.link_bytes_per_s)

    def cost(self, counts: I64, balancer: Balancer, past: Sequence[I64] = ()) -> tuple[LayerCost, Assignment]:
        """Of a layer's pass."""
        plan = balancer.assign(counts.sum(0), self.devices, past)
        moves = np.array(plan.moves, np.int64).reshape(-1, 3)
        return layer_cost(self.shape, self.device, counts, np.array(plan.chunks), plan.native, moves), plan


def layers(device: Accelerator, least: int, seed: int) -> Iterator[Shown]:
    """Standard over least loaded, by model and imbalance."""
    rows = []
    for name, (shape, tokens) in SHAPES.items():
        machine = Machine(shape, device)
        for per_cent, hot in SKEWS:
            counts = _counts(shape, tokens, per_cent, hot, seed)
            (plain, _), (spilt, plan) = (machine.cost(counts, each) for each in (Plain(), LeastLoaded(least=least)))
            rows.append((name, per_cent, hot, 1e3 * plain.seconds, 1e3 * spilt.seconds, plain.seconds / spilt.seconds,
                         plain.peak_bytes / spilt.peak_bytes, len(plan.moves)))  # fmt: skip
    worst = [row for row in rows if row[1:3] == (95, 1)]
    gains = [row[5] for row in worst]
    slower = [row[3] / even[3] for row, even in zip(worst, (row for row in rows if row[1] == 0), strict=True)]
    yield Finding("simulated_low", min(gains), "simulated", len(gains), (min(gains), max(gains)), "interval: three models")  # fmt: skip
    yield Finding("simulated_high", max(gains), "simulated", len(gains), (min(gains), max(gains)), "interval: three models")  # fmt: skip
    yield Finding("simulated_even", max(row[5] for row in rows if row[1] == 0), "simulated", len(gains))
    yield Finding("simulated_text", gains[0], "simulated", 1, why="gpt-oss-120b, 95 % into one")
    yield Finding("simulated_plain", slower[0], "simulated", 1, why="gpt-oss-120b, 95 % into one")
    yield Finding("simulated_memory", max(row[6] for row in rows), "simulated", len(rows))
    yield Table(
        "Eight devices, simulated",
        (
            "model",
            "copies, %",
            "into experts",
            "standard, ms",
            "least loaded, ms",
            "ratio, ×",
            "memory, ×",
            "moves",
        ),
        rows,
        "copies are drawn alone: a token may meet the busy expert in several of its places, else one expert could have no "
        "more than one copy in k",
    )


def rivals(device: Accelerator, least: int, seed: int) -> Iterator[Shown]:
    """Other ways to balance, at 80 % into four of gpt-oss-120b, with the past right and wrong."""
    shape, tokens = SHAPES["gpt-oss-120b"]
    machine, counts = Machine(shape, device), _counts(shape, tokens, 80, 4, seed)
    right, wrong = counts.sum(0), np.roll(counts.sum(0), shape.experts // 2)
    ways: dict[str, tuple[Balancer, I64]] = {
        "standard": (Plain(), right), "least loaded": (LeastLoaded(least=least), right),
        "α = 1.5": (LeastLoaded(least=least, slack=1.5), right), "random spill": (RandomSpill(seed), right),
        "two replicas a device, right past": (Eplb(2), right), "… other past": (Eplb(2), wrong),
    }  # fmt: skip
    rows = []
    for name, (balancer, past) in ways.items():
        cost, plan = machine.cost(counts, balancer, [past])
        held = cost.peak_bytes + (2 * shape.expert_bytes if isinstance(balancer, Eplb) else 0)
        rows.append((name, 1e3 * cost.seconds, len(plan.moves), held / 1e9))
    best = min(row[1] for row in rows if row[0] != "least loaded")
    yield Finding("rivals", best / rows[1][1], "simulated", len(rows) - 1, why="soonest of the others over least loaded")  # fmt: skip
    yield Table("Ways to balance, 80 % into four experts", ("way", "layer, ms", "moves", "peak, GB"), rows)


def whole(device: Accelerator, least: int, context: int, seed: int) -> Iterator[Shown]:
    """gpt-oss-120b with the imbalance recorded on text: attention of each device's own tokens, then experts."""
    shape, tokens = SHAPES["gpt-oss-120b"]
    on_first = shape.experts // DEVICES
    chance = np.full(shape.experts, (1 - RECORDED[1] / 100) / (shape.experts - on_first))
    chance[:on_first] = (RECORDED[1] - RECORDED[0]) / 100 / (on_first - 1)
    chance[0] = RECORDED[0] / 100
    counts = np.random.default_rng(seed).multinomial(tokens * shape.per_token, chance, DEVICES)
    plain, spilt = (Machine(shape, device).cost(counts, each)[0].seconds for each in (Plain(), LeastLoaded(least=least)))  # fmt: skip
    products = 2 * WIDTH * HEAD * (2 * HEADS + 2 * KEPT)
    seen = (context / 2 + WINDOW) / 2  # tokens, mean of both kinds of layers
    attention_s = tokens * (products + 4 * HEADS * HEAD * seen) / (device.flops_per_s * device.share)
    why = f"a layer: attention {1e3 * attention_s:.1f} ms, experts {1e3 * plain:.1f} and {1e3 * spilt:.1f} ms"
    for key in ("whole_low", "whole_high"):
        yield Finding(key, (attention_s + plain) / (attention_s + spilt), "simulated", 1, why=why)
    yield Note(f"The whole model is that of its layers: {context} tokens of context, nothing else counted.")


def _counts(shape: ExpertShape, tokens: int, per_cent: float, hot: int, seed: int) -> I64:
    """(devices, experts): copies of each expert among each device's tokens."""
    chance = np.full(shape.experts, (1 - per_cent / 100) / shape.experts)
    chance[:hot] += per_cent / 100 / hot
    return np.random.default_rng(seed).multinomial(tokens * shape.per_token, chance, DEVICES)
