"""Small fleets and routes to place experts by."""

from __future__ import annotations

from itertools import product

import numpy as np

from shoal.plan.experts import (
    Combine,
    Curve,
    ExpertFleet,
    ExpertProblem,
    ExpertShape,
    Host,
    Wire,
    clustered,
    flows,
    problem,
)
from shoal.store import RoutingTrace

SHAPE = ExpertShape(token_bytes=100, weight_bytes=1000, flop=1.0)
EVEN = Curve((1, 2), (1e-6, 2e-6))  # a microsecond a token


def trace(chosen: np.ndarray[tuple[int, ...], np.dtype[np.int64]], experts: int) -> RoutingTrace:
    """Of (tokens, layers, k); the first expert counts most."""
    weights = np.broadcast_to(np.arange(chosen.shape[-1], 0, -1), chosen.shape).astype(np.float32)
    return RoutingTrace(experts, chosen.astype(np.int16), weights, np.full(chosen.shape, -1, np.int16),
                        np.arange(len(chosen), dtype=np.int32))  # fmt: skip


def drawn(seed: int, tokens: int = 60, layers: int = 3, experts: int = 4, k: int = 2) -> RoutingTrace:
    """Some experts are chosen more often than others."""
    source = np.random.default_rng(seed)
    wanted = source.normal(size=(layers, experts)) + source.gumbel(size=(tokens, layers, experts))
    return trace(np.argsort(-wanted, axis=-1)[..., :k], experts)


def nodes(count: int, each: int, slots: int, curve: Curve = EVEN) -> ExpertFleet:
    """Slow between nodes."""
    return clustered(
        curve, count, each, slots_bytes=slots * SHAPE.weight_bytes, inside=Wire("inside", 1e9), between=Wire("between", 1e8)
    )  # fmt: skip


def unlike(seed: int, hosts: int, slots: int) -> ExpertFleet:
    """Hosts and wires of all speeds."""
    source = np.random.default_rng(seed)
    made = tuple(
        Host(str(at), Curve((1, 2), (each * 1e-6, 2e-6 * each)), slots * SHAPE.weight_bytes)
        for at, each in enumerate(source.uniform(0.5, 3, hosts))
    )
    pairs = [(one, other) for one, other in product(range(hosts), repeat=2) if one != other]
    wires = tuple(Wire(f"{pair}", float(source.uniform(3e7, 3e8))) for pair in pairs)
    ways = tuple(
        tuple((pairs.index((one, other)),) if one != other else () for other in range(hosts))
        for one in range(hosts)
    )
    return ExpertFleet(made, wires, ways)


def case(seed: int, combine: Combine, *, hosts: int = 2, slots: int = 7) -> ExpertProblem:
    """Two layers of four experts on unlike hosts."""
    return problem(flows(drawn(seed, layers=2), hosts), unlike(seed, hosts, slots), SHAPE, combine)
