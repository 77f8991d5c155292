"""Chains at random, for tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shoal.plan.chain import Chain

F64 = NDArray[np.float64]


def random_chain(seed: int, pieces: int, units: int) -> Chain:
    """Whole figures, so that sums are exact; with gaps, memory limits, unlike links, shared devices."""
    rng = np.random.default_rng(seed)
    n, m = pieces, units

    def whole(low: int, high: int, *shape: int) -> F64:
        return rng.integers(low, high, shape).astype(np.float64)

    device_of = rng.integers(0, m, m) if rng.random() < 0.5 else np.arange(m)
    seconds = whole(1, 12, n, m) * whole(1, 5, m)
    seconds[rng.random((n, m)) < rng.choice([0.0, 0.1, 0.3])] = np.inf
    cut_bytes = whole(0, 8, n + 1)
    busy = cut_bytes[:, None, None] * whole(0, 4, m, m)
    hop = busy + whole(0, 5, m, m)
    hop[:, rng.random((m, m)) < 0.05] = np.inf
    limit = np.full(m, np.inf) if rng.random() < 0.4 else whole(30, 150, m)
    return Chain(
        seconds=seconds,
        joules=whole(0, 10, n, m) * whole(1, 4, m),
        weights_bytes=whole(0, 10, n, m),
        live_bytes=whole(0, 20, n, m),
        cut_bytes=cut_bytes,
        hop_s=hop,
        hop_busy_s=busy,
        send_j=whole(0, 3, m),
        recv_j=whole(0, 3, m),
        entry_s=whole(0, 4, m),
        exit_s=whole(0, 4, m),
        idle_w=rng.choice([0.0, 1.0, 2.0, 5.0], m)[device_of],
        device_of=device_of,
        base_bytes=whole(0, 15, m),
        memory_limit=limit[device_of],
        window=int(rng.integers(1, 4)),
    )


def real_chain(seed: int, pieces: int, units: int) -> Chain:
    """The same with figures that do round, no gaps and no limits."""
    chain, rng = random_chain(seed, pieces, units), np.random.default_rng(seed)
    seconds = (
        rng.lognormal(-5, 0.7, (pieces, 1)) * rng.lognormal(0, 0.6, units) * rng.uniform(0.8, 1.2, (pieces, units))
    )
    busy = chain.cut_bytes[:, None, None] * rng.uniform(1e-4, 2e-3, (units, units))
    return replace(
        chain,
        seconds=seconds,
        joules=seconds * rng.uniform(2, 15, units),
        weights_bytes=chain.weights_bytes + rng.random((pieces, 1)),
        hop_s=busy + 1e-3,
        hop_busy_s=busy,
        send_j=rng.uniform(0, 1e-2, units),
        memory_limit=np.full(units, np.inf),
    )


def alike_chain(seed: int, pieces: int, counts: tuple[int, ...]) -> Chain:
    """So many units of each kind, every one a device of its own, numbered at random."""
    chain, rng = random_chain(seed, pieces, len(counts)), np.random.default_rng(seed)
    kind = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    per_piece = {
        name: getattr(chain, name)[:, kind] for name in ("seconds", "joules", "weights_bytes", "live_bytes")
    }
    hops = {name: getattr(chain, name)[:, kind][:, :, kind] for name in ("hop_s", "hop_busy_s")}
    names = ("send_j", "recv_j", "entry_s", "exit_s", "base_bytes", "memory_limit")
    per_unit = {name: getattr(chain, name)[kind] for name in names}
    devices = {"device_of": np.arange(len(kind)), "idle_w": rng.choice([0.0, 1.0, 5.0], len(counts))[kind]}
    limits = {"memory_limit": rng.choice([np.inf, 60.0, 120.0], len(counts))[kind]}
    return replace(chain, **per_piece, **hops, **{**per_unit, **devices, **limits})
