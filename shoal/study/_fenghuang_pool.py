"""Processes of this machine that exchange arrays through memory that adds, against a ring on sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

import numpy as np

from shoal.errors import WorkError
from shoal.measure.joined import joined
from shoal.study import Bench, Chart, Finding, Series, Shown, Table
from shoal.study._fenghuang_worker import Answer, Job
from shoal.wire.pool import Exchanges, Layout, Port, Shared, exchange_layout, pooled

PATIENCE_S = 240.0
LATENCY_BYTES = 1 << 14  # up to here steps count and bytes do not
WAYS = ("pool", "pool:chunk_kb=65536,at_once=1", "ring")
NAMES = ("pool in chunks", "pool, all at once", "ring on sockets")


def exchanged(workers: int, largest: int, rounds: int, seed: int, bench: Bench) -> Iterator[Shown]:
    """Checked, timed from 1 KB in steps of four, and what is refused."""
    bench.say(f"{workers} processes")
    sizes = tuple(1 << bits for bits in range(10, 40, 2) if 1 << bits <= largest)
    job = Job(WAYS, sizes, rounds, seed)
    found = [each.answer for each in joined("shoal.study._fenghuang_worker", [job] * workers, Answer,
                                            "exchanges through a pool", PATIENCE_S, over="tcp")]  # fmt: skip
    cases = workers * len(WAYS)
    yield Finding("sums", max(each.off for each in found), "measured", cases, why="of the largest magnitude")
    yield Finding("ordered", all(each.again for each in found), "measured", cases)
    yield Finding("moved", all(each.moved for each in found), "measured", cases)
    yield from _quicker(found, sizes, workers, rounds)
    yield from _refused()


def _quicker(found: list[Answer], sizes: tuple[int, ...], workers: int, rounds: int) -> Iterator[Shown]:
    chunks_s, whole_s, ring_s = (
        [_round_s([each.seconds[way][at] for each in found]) for at in range(len(sizes))]
        for way in range(len(WAYS))
    )
    gains = [ring / pool for ring, pool in zip(ring_s, chunks_s, strict=True)]
    small = [gain for gain, size in zip(gains, sizes, strict=True) if size <= LATENCY_BYTES]
    yield Finding("gain_small", median(small), "measured", len(small) * rounds, (min(small), max(small)),
                  f"1 KB to 16 KB, {workers} workers; interval: all sizes")  # fmt: skip
    yield Finding("gain_large", gains[-1], "measured", rounds, why=f"{sizes[-1] / 1e6:.3g} MB")
    yield Finding("chunked", whole_s[-1] / chunks_s[-1], "measured", rounds,
                  why=f"{sizes[-1] / 1e6:.3g} MB in chunks of 1 MiB, two on their way")  # fmt: skip
    rows = [
        (size / 1024, 1e3 * chunks, 1e3 * whole, 1e3 * ring, gain)
        for size, chunks, whole, ring, gain in zip(sizes, chunks_s, whole_s, ring_s, gains, strict=True)
    ]
    yield Table(f"A sum over {workers} processes",
                ("tensor, KiB", *(f"{name}, ms" for name in NAMES), "ring over chunks, ×"), rows,
                note="medians; the pool's server is one process more, which adds on this machine's own cores")  # fmt: skip
    lines = tuple(Series(name, sizes, each) for name, each in zip(NAMES, (chunks_s, whole_s, ring_s), strict=True))
    yield Chart("A sum by size", "tensor, bytes", "s", lines, log_x=True, log_y=True)


def _round_s(by_member: list[tuple[float, ...]]) -> float:
    """Median over rounds; one has ended when the last worker has."""
    slowest: list[float] = [max(one) for one in zip(*by_member, strict=True)]
    return median(slowest)


def _refused() -> Iterator[Shown]:
    """A writer that does not come, and two where only one may write."""
    with _ports(exchange_layout(2, 4096), 0.2) as (port, _):
        said = _fault(lambda: Exchanges(port).all_reduce(np.zeros(8, np.float32)))
    yield Finding("missing", "port 1" in said and "not written in 0.2 s" in said, "measured", 1, why=said)
    with _ports(Layout(2, (Shared("page", 4096, adds=False),), 4096), 5.0) as both:
        said = _fault(lambda: _page(both))
    yield Finding("twice", "are port 0's already" in said, "measured", 1, why=said)


def _page(ports: list[Port]) -> None:
    """All of them write all of it, one after another."""
    page = np.zeros(8, np.float32)
    for each in ports:
        each.write(0, 0, page, 0, page.nbytes)
        each.wait(0, 0, 1)


def _fault(call: Callable[[], object]) -> str:
    """What is said when it fails."""
    try:
        call()
    except WorkError as fault:
        return fault.message
    return ""


@contextmanager
def _ports(layout: Layout, patience_s: float) -> Iterator[list[Port]]:
    with pooled(layout) as path, ExitStack() as stack:
        yield [stack.enter_context(Port(path, number, patience_s)) for number in range(layout.ports)]
