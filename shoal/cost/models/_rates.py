"""What this machine reaches, from the samples of its benches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from shoal.measure import bench_rate
from shoal.record import Sample


@dataclass(frozen=True)
class Rates:
    """With so many threads. Bandwidths are of the caches, nearest first, and of memory last."""

    threads: int
    flop_per_s: float  # of products
    functions_per_s: float
    launch_s: float
    capacities: tuple[int, ...]  # bytes of the caches
    bytes_per_s: tuple[float, ...]
    names: tuple[str, ...]  # "L1", …, "memory"


def rates_of(samples: Sequence[Sample], threads: int) -> Rates | None:
    """Of the benches with the nearest number of threads; None unless there are products and memory at least."""
    found = _best(samples)
    counts = {count for name, count in found if name == "gemm" and ("stream", count) in found}
    if not counts:
        return None
    near = min(counts, key=lambda count: (abs(count - threads), count))
    named = {name: rate for (name, count), rate in found.items() if count == near}
    caches = sorted(_caches(named).items())
    return Rates(
        near, named["gemm"], named.get("sigmoid", inf), 1.0 / named["launch"] if "launch" in named else 0.0,
        tuple(capacity for _, (capacity, _) in caches),
        (*(rate for _, (_, rate) in caches), named["stream"]),
        (*(f"L{level}" for level, _ in caches), "memory"),
    )  # fmt: skip


def _caches(named: Mapping[str, float]) -> dict[int, tuple[int, float]]:
    """Level to its bytes and bandwidth; of sizes that differ, as between hosts of a virtual machine, the largest."""
    found: dict[int, tuple[int, float]] = {}
    for name, rate in named.items():
        kind, _, sizes = name.partition(":")
        if kind == "cached":
            level, capacity = map(int, sizes.split(":"))
            found[level] = max(found.get(level, (0, 0.0)), (capacity, rate))
    return found


def _best(samples: Sequence[Sample]) -> dict[tuple[str, int], float]:
    """Rates by bench and threads: the best of several options of the same."""
    found: dict[tuple[str, int], float] = {}
    for sample in samples:
        kind, _, rest = sample.subject.partition(":")
        if kind == "bench":
            key = (rest.rpartition(":")[0], sample.threads)
            found[key] = max(found.get(key, 0.0), bench_rate(sample))
    return found
