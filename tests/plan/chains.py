"""Random chains of unlike units for the tests of the chain planners."""

from __future__ import annotations

import numpy as np

from shoal.plan.chain import Chain


def random_chain(seed: int, pieces: int, units: int) -> Chain:
    """A chain of integer figures, so that sums are exact: with gaps, limits, unlike links, shared devices."""
    rng = np.random.default_rng(seed)
    n, m = pieces, units
    device_of = np.arange(m)
    if rng.random() < 0.5:
        device_of = rng.integers(0, m, m)

    def ints(low: int, high: int, *shape: int) -> np.ndarray:
        return rng.integers(low, high, shape).astype(float)

    seconds = ints(1, 12, n, m) * ints(1, 5, m)
    seconds[rng.random((n, m)) < rng.choice([0.0, 0.1, 0.3])] = np.inf
    cut_bytes = ints(0, 8, n + 1)
    per_byte = ints(0, 4, m, m)
    busy = cut_bytes[:, None, None] * per_byte
    hop = busy + ints(0, 5, m, m)
    hop[:, rng.random((m, m)) < 0.05] = np.inf
    limit = np.full(m, np.inf) if rng.random() < 0.4 else ints(30, 150, m)
    return Chain(
        seconds=seconds,
        joules=ints(0, 10, n, m) * ints(1, 4, m),
        weights_bytes=ints(0, 10, n, m),
        live_bytes=ints(0, 20, n, m),
        cut_bytes=cut_bytes,
        hop_s=hop,
        hop_busy_s=busy,
        send_j=ints(0, 3, m),
        recv_j=ints(0, 3, m),
        entry_s=ints(0, 4, m),
        exit_s=ints(0, 4, m),
        idle_w=rng.choice([0.0, 1.0, 2.0, 5.0], m)[device_of],
        device_of=device_of,
        base_bytes=ints(0, 15, m),
        memory_limit=limit[device_of],
        window=int(rng.integers(1, 4)),
    )


def unlike_chain(seed: int, pieces: int, units: int) -> Chain:
    """A chain of about real figures: layers of uneven work, boards of uneven speed, power and links."""
    rng = np.random.default_rng(seed)
    n, m = pieces, units
    flop = rng.lognormal(0, 0.7, n) * 4e9 / n
    speed = rng.uniform(5e9, 60e9, m)
    power = rng.uniform(2, 15, m)
    seconds = flop[:, None] / speed * rng.uniform(0.7, 1.4, (n, m))
    weights = rng.lognormal(0, 1, n) * 5e7 / n
    cut_bytes = rng.lognormal(0, 0.8, n + 1) * 4e5
    bandwidth = rng.uniform(5e6, 1.2e8, (m, m))
    bandwidth = np.minimum(bandwidth, bandwidth.T)
    busy = cut_bytes[:, None, None] / bandwidth
    return Chain(
        seconds=seconds,
        joules=seconds * power * rng.uniform(0.8, 1.2, (n, m)),
        weights_bytes=np.repeat(weights[:, None], m, axis=1),
        live_bytes=np.repeat((cut_bytes[:-1] + cut_bytes[1:])[:, None], m, axis=1),
        cut_bytes=cut_bytes,
        hop_s=busy + rng.uniform(2e-4, 3e-3, (m, m)),
        hop_busy_s=busy,
        send_j=rng.uniform(1e-9, 5e-8, m),
        recv_j=rng.uniform(1e-9, 5e-8, m),
        entry_s=np.zeros(m),
        exit_s=np.zeros(m),
        idle_w=rng.uniform(0.5, 6, m),
        device_of=np.arange(m),
        base_bytes=rng.uniform(2e7, 6e7, m),
        memory_limit=np.full(m, 1e9),
        window=4,
    )
