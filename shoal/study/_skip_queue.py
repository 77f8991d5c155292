"""The study of SKIP: a launch queue that is really there, swept over the cost of its kernels, and fused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from shoal.errors import InputError
from shoal.measure.queue import Group, Pass, Queue, opened, products
from shoal.measure.trace import (
    Trace,
    best,
    fusions,
    knee,
    load_chrome,
    queue_metrics,
    save_chrome,
    slope,
)
from shoal.sim import simulate_launches
from shoal.study.contract import Chart, Finding, Series, Shown, Table, median_of

if TYPE_CHECKING:
    from shoal.measure.queue import Calls

SHORT = 0.8  # of the interval of launches, up to which a kernel counts as shorter


@dataclass(frozen=True)
class Point:
    """One load of the sweep: the least of the rounds, since what else a machine does only adds."""

    batch: int
    interval_s: float  # between launches, the median
    kernel_s: float
    tklqt_s: float
    latency_s: float


@dataclass(frozen=True)
class QueueLab:
    """Products of a matrix with (batch, width), launched every so often."""

    batches: Sequence[int]
    count: int  # launches of a pass
    width: int
    emit_s: float
    rounds: int

    def shown(self, scratch: Path) -> Iterator[Shown]:
        """Flat and rising part, the knee, growth with the number of launches, the simulation, and bad files."""
        with opened(products(self.batches, self.count, self.width)) as queue:
            queue.run([(at,) for at in range(len(self.batches) * self.count)])  # warm
            passes = [[self._pass(queue, place) for place in range(len(self.batches))] for _ in range(self.rounds)]
            points = [
                _point(batch, each) for batch, each in zip(self.batches, zip(*passes, strict=True), strict=True)
            ]
            yield from _swept(points)
            yield self._squared(queue)
        yield _simulated([each[-1].trace for each in passes], points)
        yield _refused(passes[0][0].trace, scratch)

    def _pass(self, queue: Queue, place: int, count: int = 0) -> Pass:
        first = place * self.count
        return queue.run([(at,) for at in range(first, first + (count or self.count))], self.emit_s)

    def _squared(self, queue: Queue) -> Finding:
        """The power of the number of launches with which TKLQT grows at the largest load."""
        counts = [self.count // 4, self.count // 2, self.count]
        powers = [
            slope(counts, [
                queue_metrics(self._pass(queue, len(self.batches) - 1, count).trace).tklqt_s for count in counts
            ])
            for _ in range(self.rounds)
        ]  # fmt: skip
        return median_of("square", powers, "measured", (
            f"{', '.join(map(str, counts))} launches; kernels that grow slower as a pass goes on, as beside other work, "
            f"raise it"
        ))  # fmt: skip


def _point(batch: int, passes: Sequence[Pass]) -> Point:
    found = [queue_metrics(each.trace) for each in passes]
    gaps = [np.diff([launch.begin_s for launch in each.trace.launches]) for each in passes]
    return Point(
        batch,
        median(float(np.median(each)) for each in gaps),
        min(each.mean_kernel_s for each in found),
        min(each.tklqt_s for each in found),
        min(each.latency_s for each in found),
    )


def _swept(points: Sequence[Point]) -> Iterator[Shown]:
    batches, waits = [each.batch for each in points], [each.tklqt_s for each in points]
    rows = [(each.batch, each.kernel_s * 1e6, each.interval_s * 1e6, each.tklqt_s * 1e3, each.latency_s * 1e3) for each in points]  # fmt: skip
    yield Table("A queue between two processes", ("batch", "kernel, µs", "interval of launches, µs", "TKLQT, ms",
                                                  "latency, ms"), rows)  # fmt: skip
    yield Chart("Launch and queuing time over the batch", "batch", "ms", (
        Series("TKLQT", batches, [each * 1e3 for each in waits]),
        Series("latency", batches, [each.latency_s * 1e3 for each in points]),
    ), log_x=True, log_y=True)  # fmt: skip
    short = [each.tklqt_s for each in points if each.kernel_s <= SHORT * each.interval_s]
    if short:
        yield Finding("flat", max(short) / min(short), "measured", len(short))
    else:
        yield Finding("flat", None, why="no kernel was shorter than the interval of launches on this machine")
    found = knee(batches, waits)
    crossing = next((at for at, each in enumerate(points) if each.kernel_s > each.interval_s), None)
    if found is None or crossing is None:
        yield Finding("knee", None, why="no kernel took longer than the interval of launches on this machine")
    else:
        yield Finding("knee", abs(batches.index(int(found.first)) - crossing), "measured", len(points),
                      why=f"knee at {found.at:.0f}, kernels outlast the interval from {batches[crossing]}")  # fmt: skip


def _simulated(traces: Sequence[Trace], points: Sequence[Point]) -> Finding:
    """Simulated over measured TKLQT, of the kernels' times and the launches as they were."""
    launch_s = min(each.tklqt_s for each in points) / len(traces[0].kernels)
    ratios = []
    for trace in traces:
        names, kernels_s = [each.name for each in trace.kernels], [each.seconds for each in trace.kernels]
        again = simulate_launches(names, [each.begin_s for each in trace.launches], kernels_s, launch_s)
        ratios.append(queue_metrics(again).tklqt_s / queue_metrics(trace).tklqt_s)
    return median_of("simulated", ratios, "measured")


def _refused(trace: Trace, scratch: Path) -> Finding:
    """Whether a file of the trace gives the same figures, and damaged ones are refused."""
    save_chrome(trace, scratch / "whole.json")
    same = abs(queue_metrics(load_chrome(scratch / "whole.json")).tklqt_s / queue_metrics(trace).tklqt_s - 1) < 1e-6
    early = tuple(replace(each, begin_s=each.begin_s - 1, end_s=each.end_s - 1) for each in trace.kernels)
    damaged = (
        Trace(trace.operators, trace.launches, trace.kernels[1:]),
        Trace(trace.operators, trace.launches, early),
        Trace(trace.operators),
    )
    return Finding("refused", same and all(_fails(each, scratch) for each in damaged), "computed", len(damaged))


def _fails(trace: Trace, scratch: Path) -> bool:
    save_chrome(trace, scratch / "damaged.json")
    try:
        queue_metrics(load_chrome(scratch / "damaged.json"))
    except InputError:
        return True
    return False


def fused(work: Calls, emit_s: float, rounds: int) -> Iterator[Shown]:
    """Chains of a decoder's calls, each launched as one, against all by themselves."""
    kernels = work.kernels
    found = fusions(work.names, work.stops)
    chosen = best(found)
    groups: list[Group] = [[call for kernel in group for call in kernels[kernel]] for group in chosen.groups()]
    yield Table("Chains that always follow, of a decode", ("length", "fused", "kernels left", "at most faster, ×"),
                [(each.length, each.fused, each.kernels_left, each.ideal_speedup) for each in found])  # fmt: skip
    with opened(work) as queue:
        _pair(queue, kernels, groups, emit_s)  # warm
        pairs = [_pair(queue, kernels, groups, emit_s) for _ in range(rounds)]
    speedups = [eager.latency_s / fewer.latency_s for eager, fewer in pairs]
    ideal = chosen.ideal_speedup
    yield median_of("fusion_gain", speedups, "measured", f"{len(kernels)} launches became {len(groups)}")
    yield median_of("fusion_bound", [each / ideal for each in speedups], "measured", f"idealised: {ideal:.2f} ×")
    same = all(np.array_equal(eager.output, fewer.output) for eager, fewer in pairs)
    yield Finding("fusion_same", same, "measured", rounds)


def _pair(queue: Queue, kernels: Sequence[Group], groups: Sequence[Group], emit_s: float) -> tuple[Pass, Pass]:
    return queue.run(kernels, emit_s), queue.run(groups, emit_s)
