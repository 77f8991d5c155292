"""Random layers through two queues: greedy orders against the best of all orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.plan.two_queues import Job, hottest, johnson, least_s, per_byte, span_s


@dataclass(frozen=True)
class Bound:
    """Spans over the shortest, of every layer drawn."""

    hottest: tuple[float, ...]
    per_byte: tuple[float, ...]
    johnson: tuple[float, ...]


def drawn(source: np.random.Generator, tokens: int = 16) -> list[Job]:
    """Two to seven experts: tokens, bits and what is here already at random, reading and multiplying about as long."""
    jobs = []
    second_bytes = 10 ** source.uniform(3, 5)  # that are read while about an expert is multiplied
    for _ in range(int(source.integers(2, 8))):
        met, bits = int(source.integers(1, tokens + 1)), int(source.integers(2, 9))
        missing = int(source.integers(0, bits + 1))
        size = 3072 * missing
        jobs.append(Job(met, size, size / second_bytes, 0.5 + met / tokens))
    return jobs


def bound(layers: int, seed: int) -> Bound:
    """Of so many random layers."""
    source = np.random.default_rng(seed)
    ratios = [
        [span_s(order(jobs)) / least_s(jobs) for order in (hottest, per_byte, johnson)]
        for jobs in (drawn(source) for _ in range(layers))
    ]
    first, second, third = zip(*ratios, strict=True)
    return Bound(first, second, third)
