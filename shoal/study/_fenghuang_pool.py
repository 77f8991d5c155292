"""Processes of this machine that exchange arrays through memory that adds, against a ring on sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from threading import Thread

import numpy as np

from shoal.errors import WireError
from shoal.measure.joined import joined
from shoal.study import Bench, Chart, Finding, Series, Shown, Table
from shoal.study._fenghuang_worker import CHECKED, Answer, Job
from shoal.wire.pool import Exchanges, Layout, Port, Shared, exchange_layout, pooled

PATIENCE_S = 240.0
LATENCY_BYTES = 1 << 14  # up to here steps count and bytes do not


def exchanged(workers: int, largest: int, rounds: int, seed: int, bench: Bench) -> Iterator[Shown]:
    """Checked, timed from 1 KB in steps of four, and what is refused."""
    bench.say(f"{workers} processes")
    sizes = tuple(1 << bits for bits in range(10, 40, 2) if 1 << bits <= largest)
    with pooled(exchange_layout(workers, max(largest, 4 * CHECKED))) as path:
        job = Job(str(path), sizes, rounds, seed)
        found = [each.answer for each in joined("shoal.study._fenghuang_worker", [job] * workers, Answer,
                                                "exchanges through a pool", PATIENCE_S, over="tcp")]  # fmt: skip
    yield Finding("sums", max(each.off for each in found), "measured", workers, why="of the largest magnitude")
    yield Finding("ordered", all(each.again for each in found), "measured", workers)
    yield Finding("moved", all(each.moved for each in found), "measured", workers)
    yield from _quicker(found, sizes, workers, rounds)
    yield from _refused()


def _quicker(found: list[Answer], sizes: tuple[int, ...], workers: int, rounds: int) -> Iterator[Shown]:
    """A round has ended when the last worker has: its time is the longest of all."""
    pool_s, ring_s = ([median(max(one) for one in zip(*(way[at] for way in ways), strict=True)) for at in range(len(sizes))]
                      for ways in ([each.pool_s for each in found], [each.ring_s for each in found]))  # fmt: skip
    gains = [ring / pool for ring, pool in zip(ring_s, pool_s, strict=True)]
    small = [gain for gain, size in zip(gains, sizes, strict=True) if size <= LATENCY_BYTES]
    yield Finding("gain_small", median(small), "measured", len(small) * rounds, (min(small), max(small)),
                  f"1 KB to 16 KB, {workers} workers; interval: all sizes")  # fmt: skip
    yield Finding("gain_large", gains[-1], "measured", rounds, why=f"{sizes[-1] / 1e6:.3g} MB")
    yield Table(f"A sum over {workers} processes", ("tensor, KiB", "pool, ms", "ring, ms", "times quicker"),
                [(size / 1024, 1e3 * a, 1e3 * b, gain) for size, a, b, gain in zip(sizes, pool_s, ring_s, gains, strict=True)],
                note="medians; the pool's server is one process more, which adds on this machine's own cores")  # fmt: skip
    yield Chart("A sum by size", "tensor, bytes", "s", (Series("pool", sizes, pool_s), Series("ring on sockets", sizes, ring_s)),
                log_x=True, log_y=True)  # fmt: skip


def _refused() -> Iterator[Shown]:
    """A writer that does not come, and two where only one may write."""
    with pooled(exchange_layout(2, 4096)) as path:
        said = _alone(path)
    yield Finding("missing", "port 1" in said and "not written in 0.2 s" in said, "measured", 1, why=said)
    with pooled(Layout(2, (Shared("page", 4096, adds=False),), 4096)) as path:
        said = _twice(path)
    yield Finding("twice", "are port 0's already" in said, "measured", 1, why=said)


def _alone(path: Path) -> str:
    """Port 0 adds, port 1 is there and does not."""
    ports = _joined(path, 0.2)
    try:
        Exchanges(ports[0]).all_reduce(np.zeros(8, np.float32))
    except WireError as fault:
        return fault.message
    finally:
        for each in ports:
            each.close()
    return ""


def _twice(path: Path) -> str:
    """Both write all of a tensor that does not add."""
    ports, page = _joined(path, 5.0), np.zeros(8, np.float32)
    try:
        ports[0].write(0, 0, page, 0, page.nbytes)
        ports[0].wait(0, 0, 1)
        ports[1].write(0, 0, page, 0, page.nbytes)
        ports[1].wait(0, 0, 1)
    except WireError as fault:
        return fault.message
    finally:
        for each in ports:
            each.close()
    return ""


def _joined(path: Path, patience_s: float) -> list[Port]:
    """Both ports; the server answers once all have come."""
    ports: dict[int, Port] = {}
    other = Thread(target=lambda: ports.update({1: Port(path, 1, patience_s)}))
    other.start()
    ports[0] = Port(path, 0, patience_s)
    other.join()
    return [ports[0], ports[1]]
