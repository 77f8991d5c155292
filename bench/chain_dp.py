"""Seconds the exact chain programme takes on seeded random chains of unlike units, on one thread.

Run: OMP_NUM_THREADS=1 python bench/chain_dp.py
"""

from __future__ import annotations

import time

import numpy as np

from shoal.plan.chain import GOALS, Chain, Order
from shoal.plan.chain_solve import solve

CASES: tuple[tuple[int, int, Order, tuple[str, ...]], ...] = (
    (60, 4, "any", GOALS),
    (60, 4, "given", GOALS),
    (60, 5, "any", GOALS),
    (60, 8, "any", GOALS),
    (120, 8, "given", ("latency", "period", "memory")),
    (120, 8, "given", ("latency", "period", "energy")),
    (120, 8, "any", ("period",)),
)
SEEDS = (0, 1, 2)


def unlike_chain(seed: int, pieces: int, units: int) -> Chain:
    """Layers of uneven work on boards of uneven speed, power and links; no two alike, none shared."""
    rng = np.random.default_rng(seed)
    flop = rng.lognormal(0, 0.7, pieces) * 4e9 / pieces
    flop_per_s, busy_w = rng.uniform(5e9, 60e9, units), rng.uniform(2, 15, units)
    seconds = flop[:, None] / flop_per_s * rng.uniform(0.7, 1.4, (pieces, units))
    weights = rng.lognormal(0, 1, (pieces, 1)) * 5e7 / pieces
    cut_bytes = rng.lognormal(0, 0.8, pieces + 1) * 4e5
    bytes_per_s = rng.uniform(5e6, 1.2e8, (units, units))
    busy = cut_bytes[:, None, None] / np.minimum(bytes_per_s, bytes_per_s.T)
    return Chain(
        seconds=seconds,
        joules=seconds * busy_w * rng.uniform(0.8, 1.2, (pieces, units)),
        weights_bytes=np.repeat(weights, units, axis=1),
        live_bytes=np.repeat((cut_bytes[:-1] + cut_bytes[1:])[:, None], units, axis=1),
        cut_bytes=cut_bytes,
        hop_s=busy + rng.uniform(2e-4, 3e-3, (units, units)),
        hop_busy_s=busy,
        send_j=rng.uniform(1e-9, 5e-8, units),
        recv_j=rng.uniform(1e-9, 5e-8, units),
        entry_s=np.zeros(units),
        exit_s=np.zeros(units),
        idle_w=rng.uniform(0.5, 6, units),
        device_of=np.arange(units),
        base_bytes=rng.uniform(2e7, 6e7, units),
        memory_limit=np.full(units, 1e9),
        window=4,
    )


def main() -> None:
    """Print one line a case and seed."""
    print(" cuts units  order seed  seconds    cpu s  plans exact goals")
    for pieces, units, order, goals in CASES:
        for seed in SEEDS:
            chain = unlike_chain(seed, pieces, units)
            wall, cpu = time.perf_counter(), time.process_time()
            found = solve(chain, order, goals)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            line = f"{pieces:>5} {units:>5} {order:>6} {seed:>4} {wall:>8.2f} {cpu:>8.2f} {len(found.groups):>6}"
            print(line, f"{found.exact!s:<5}", ",".join(goals))


if __name__ == "__main__":
    main()
