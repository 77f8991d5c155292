"""Published shapes on flash, simulated: the same decisions as in real runs, on routes of the small models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.compress.nested import FITTED, GROUP, LEAST, MOST, plane_of
from shoal.compress.nested_fit import SERVED
from shoal.llm.offload.bit_router import CLASSES, NORMAL, by_weight
from shoal.llm.offload.nested import needs_of
from shoal.llm.offload.nested_records import Copies, Layout, Planes
from shoal.plan.expert_loading import in_turn, order_of
from shoal.sim.shelf import SimulatedStore
from shoal.store import POLICIES, Key, RoutingTrace, TierFigures, pages
from shoal.study._d2moe_runs import ROUTED, Engine

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """Experts of a published model."""

    name: str
    layers: int  # simulated: all are alike
    experts: int
    per_token: int
    width: int
    hidden: int

    @property
    def weights(self) -> int:
        """Of one expert."""
        return 3 * self.width * self.hidden


@dataclass(frozen=True)
class Device:
    """What multiplies, and what is read; inputs, not claims."""

    memory_bytes_per_s: float
    flops: float
    flash: TierFigures

    def expert_s(self, shape: Shape, tokens: int, bits: int) -> float:
        """The longer of reading its codes from memory and multiplying."""
        return max(shape.weights * bits / 8 / self.memory_bytes_per_s, 2 * shape.weights * tokens / self.flops)

    def attention_s(self, shape: Shape) -> float:
        """Of a layer: four square matrices of two bytes a weight, read once."""
        return 8 * shape.width**2 / self.memory_bytes_per_s


@dataclass(frozen=True, eq=False)
class Routes:
    """What requests go through, step by step."""

    chosen: I64  # (steps, layers, requests, k)
    weights: NDArray[np.float32]
    foreseen: I64  # -1: nobody knows
    limits: RoutingTrace  # for thresholds


SHAPES = (Shape("Mixtral-8x7B", 8, 8, 2, 4096, 14336), Shape("OLMoE-1B-7B", 4, 64, 8, 2048, 1024))


def plane_bytes(shape: Shape, number: int) -> int:
    """Of one plane's record."""
    bits = LEAST if not number else 1
    groups = shape.weights // GROUP
    return pages(shape.weights * bits // 8 + groups * ((0 if number else 4) + (number + LEAST in FITTED)))


def copy_bytes(shape: Shape, bits: int) -> int:
    """Of a record that holds a width alone."""
    return pages(shape.weights * bits // 8 + shape.weights // GROUP * (4 + (bits in FITTED)))


def sizes_of(shape: Shape, layout: Layout) -> dict[Key, int]:
    """Of all records."""
    places = [(layer, expert) for layer in range(shape.layers) for expert in range(shape.experts)]
    if isinstance(layout, Copies):
        return {Key(*each, bits): copy_bytes(shape, bits) for each in places for bits in SERVED}
    return {
        Key(*each, number): plane_bytes(shape, number) for each in places for number in range(plane_of(MOST) + 1)
    }


def routes(shape: Shape, found: RoutingTrace, places: int, requests: int, steps: int) -> Routes:
    """Recorded routes for so many layers, those of the small model again and again.

    A shape of more experts takes them from as many layers at once, each with experts of its own: of a token's choices in
    each the weightiest, in equal parts.
    """
    joint = shape.experts // found.experts
    most = shape.per_token // joint
    rows = [np.arange(steps) + places * each for each in range(requests)]
    at = np.stack(rows, 1)  # (steps, requests): numbers of tokens
    first = np.argsort(-found.weights, axis=2, kind="stable")[:, :, :most]
    sorted_ = {
        name: np.take_along_axis(getattr(found, name), first, 2) for name in ("chosen", "weights", "foreseen")
    }

    def layer(name: str, number: int) -> NDArray[np.float64]:
        parts = []
        for each in range(joint):
            values = sorted_[name][:, (number + each) % found.layers][at].astype(np.float64)
            shift = each * found.experts if name != "weights" else 0
            parts.append(np.where(values < 0, values, values + shift))
        return np.concatenate(parts, axis=2)

    stacks = {name: np.stack([layer(name, number) for number in range(shape.layers)], 1) for name in sorted_}
    chosen = stacks["chosen"].astype(np.int64)
    flat = {
        name: each.transpose(0, 2, 1, 3).reshape(-1, shape.layers, shape.per_token) for name, each in stacks.items()
    }
    limits = RoutingTrace(shape.experts, flat["chosen"].astype(np.int16), flat["weights"].astype(np.float32),
                          flat["foreseen"].astype(np.int16), np.zeros(len(flat["chosen"]), np.int32))  # fmt: skip
    return Routes(chosen, stacks["weights"].astype(np.float32), stacks["foreseen"].astype(np.int64), limits)


def simulated(
    shape: Shape, given: Routes, engine: Engine, device: Device, budget_bytes: int
) -> tuple[float, float]:
    """Tokens a second, and seconds of bubbles."""
    layout: Layout = Planes() if engine.nest else Copies()
    sizes = sizes_of(shape, layout)
    store = SimulatedStore(tuple(sizes.items()), budget_bytes, catalog.make(POLICIES, engine.policy), device.flash)
    thresholds = by_weight(given.limits, CLASSES).classes[NORMAL]
    order = order_of(engine.order)

    expected = int(CLASSES[NORMAL]) if engine.bits == ROUTED else int(engine.bits)  # of what is foreseen

    def bits(layer: int, weights: NDArray[np.float32]) -> I64:
        return thresholds.bits(layer, weights) if engine.bits == ROUTED else np.full(weights.shape, expected)

    steps, layers, requests, _ = given.chosen.shape
    for step in range(steps):
        for layer in range(layers):
            weights, ahead = given.weights[step, layer], list[Key]()
            if engine.ahead and layer + 1 < layers:
                foreseen = given.foreseen[step, layer + 1]
                known = np.where(foreseen < 0, shape.experts, foreseen)
                later = needs_of(layer + 1, known, np.full(known.shape, expected), shape.experts, layout)
                ahead = [key for need, _ in sorted(later, key=lambda each: -each[0].tokens) for key in need.keys]
            needs = needs_of(layer, given.chosen[step, layer], bits(layer, weights), shape.experts, layout)
            most = {need.part: wide for need, wide in needs}
            store.work(device.attention_s(shape))
            for need, _ in in_turn(store, [need for need, _ in needs], order, sizes, ahead):
                store.work(device.expert_s(shape, need.tokens, most[need.part]))
    return steps * requests / store.now_s, store.told().stall_s


ENGINES = (
    Engine("FIFO, INT8", "8"),
    Engine("FIFO, INT4", "4"),
    Engine("LRU, INT8", "8", policy="lru"),
    Engine("hottest first, copies", ROUTED, "hottest", "coldest_plane", ahead=True),
    Engine("hottest first, planes", ROUTED, "hottest", "coldest_plane", ahead=True, nest=True),
)


def compared(
    shape: Shape, learned: RoutingTrace, device: Device, requests: int, steps: int, share: float
) -> list[tuple[float, float]]:
    """Tokens a second and seconds of bubbles of every engine, within a share of what the experts take in INT8."""
    texts = np.unique(learned.documents)
    requests = min(requests, len(texts))
    given = routes(shape, learned, learned.tokens // len(texts), requests, steps)
    budget_bytes = int(share * shape.layers * shape.experts * copy_bytes(shape, 8))
    return [simulated(shape, given, engine, device, budget_bytes) for engine in ENGINES]
