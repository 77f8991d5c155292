"""How much layers tell of each other, and made-up routes of which the best placement is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from shoal.llm.expert_parallel.curve import measured_curve
from shoal.plan.experts import Curve, Dependency, ExpertShape, Wire, clustered, dependency, flows, placed, problem
from shoal.plan.experts._values import I64
from shoal.store import NOBODY, RoutingTrace
from shoal.study.contract import Finding, Shown, Table

SHAPE = ExpertShape(token_bytes=100, weight_bytes=1000, flop=1.0)
TOKEN_S, PORT = 1e-6, Wire("port", 1e9)
BUSY, IDLE = 30, 10  # tokens of experts
DEVICES = 4


def dependencies(traces: Mapping[str, RoutingTrace]) -> Iterator[Shown]:
    """Of real routes, and of the same tokens shuffled."""
    found = {name: dependency(trace) for name, trace in traces.items()}
    every = [each for several in found.values() for each in several]
    ratios = [each.bits / each.null_bits for each in every]
    yield Finding(
        "dependency", min(ratios), "computed", len(ratios), (min(ratios), max(ratios)), "interval: all layers"
    )
    shuffled = [each for trace in traces.values() for each in _shuffled(trace)]
    yield Finding("warned", not any(each.found for each in shuffled), "computed", len(shuffled))
    rows = [
        (name, each.layer + 1, each.bits, each.null_bits) for name, several in found.items() for each in several
    ]
    yield Table("Mutual information of the first experts of layers that follow each other",
                ("model", "layer", "bits", "bits of shuffled tokens"), rows)  # fmt: skip


def _shuffled(trace: RoutingTrace) -> tuple[Dependency, ...]:
    source = np.random.default_rng(1)
    orders = [source.permutation(trace.tokens) for _ in range(trace.layers)]
    chosen, weights = (
        np.stack([each[order, at] for at, order in enumerate(orders)], 1) for each in (trace.chosen, trace.weights)
    )
    return dependency(replace(trace, chosen=chosen, weights=weights))


def optimum(layers: int = 4) -> Iterator[Shown]:
    """Pairs of a busy and an idle expert whose tokens stay together from layer to layer, under new names in each.

    No device can have less than a quarter of the tokens of a layer, and the first layer's come from all devices evenly.
    """
    fleet = clustered(Curve((1, 2), (TOKEN_S, 2 * TOKEN_S)), 1, DEVICES, slots_bytes=2 * layers * SHAPE.weight_bytes,
                      inside=PORT, between=PORT)  # fmt: skip
    each = BUSY + IDLE
    crossing_s = each * (1 - 1 / DEVICES) * SHAPE.token_bytes / PORT.bytes_per_s
    least_s = layers * each * TOKEN_S + crossing_s
    asked = problem(flows(_routes(_chain(layers), 2 * DEVICES), DEVICES), fleet, SHAPE, "stay")
    names = ("contiguous", "lpt", "communication", "joint:time_limit_s=10", "ilp:time_limit_s=10")
    over = {name.partition(":")[0]: placed(name, asked).objective_s / least_s for name in names}
    yield Finding("optimum", over["ilp"], "computed", 1)
    yield Table("Made-up chain: objective over the optimum", ("placement", "×"), list(over.items()))


def _chain(layers: int) -> I64:
    """(tokens, layers) experts; expert e is paired with e + 4."""
    source, path = (
        np.random.default_rng(0),
        [np.repeat(np.arange(2 * DEVICES), [BUSY] * DEVICES + [IDLE] * DEVICES)],
    )
    for _ in range(layers - 1):
        pairs, turned = source.permutation(DEVICES), source.integers(2, size=DEVICES)
        renamed = np.concatenate([pairs + DEVICES * turned, pairs + DEVICES * (1 - turned)])
        path.append(renamed[path[-1]])
    return np.stack(path, 1)


def third(experts: int = 20, tokens: int = 2000) -> Iterator[Shown]:
    """Four devices, of which the last takes three times as long for each token."""
    trace = _routes(np.random.default_rng(1).integers(experts, size=(tokens, 1)), experts)
    fleet = clustered(Curve((1, 2), (TOKEN_S, 2 * TOKEN_S)), 1, DEVICES, slots_bytes=experts * SHAPE.weight_bytes,
                      inside=PORT, between=PORT)  # fmt: skip
    slow = replace(fleet.hosts[-1], curve=Curve((1, 2), (3 * TOKEN_S, 6 * TOKEN_S)))
    asked = problem(flows(trace, DEVICES), replace(fleet, hosts=(*fleet.hosts[:-1], slow)), SHAPE)
    loads = trace.loads()[0]
    given = np.bincount(placed("ilp:time_limit_s=10", asked).placement.array[0], loads, minlength=DEVICES)
    off = abs(given[-1] - given[:-1].mean() / 3) / loads.max()
    yield Finding(
        "third", off, "computed", 1, why=f"tokens of each device: {', '.join(f'{each:g}' for each in given)}"
    )


def _routes(chosen: I64, experts: int) -> RoutingTrace:
    """One expert a token."""
    routes = chosen[..., None].astype(np.int16)
    return RoutingTrace(experts, routes, np.ones(routes.shape, np.float32), np.full_like(routes, NOBODY),
                        np.zeros(len(routes), np.int32))  # fmt: skip


def curve(width: int, hidden: int) -> Iterator[Shown]:
    """What few tokens take on one core, whose weights are read for one as for many."""
    found = measured_curve(width, hidden)
    one, eight = (found.seconds[found.tokens.index(each)] for each in (1.0, 8.0))
    yield Finding("curve", eight / (8 * one), "measured", 1, why="median of each; processor time of one thread")
    yield Table(f"An expert of {width} × {hidden} here", ("tokens", "µs", "µs a token"),
                [(each, 1e6 * took, 1e6 * took / each) for each, took in zip(found.tokens, found.seconds, strict=True)])  # fmt: skip
