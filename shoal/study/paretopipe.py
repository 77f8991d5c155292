"""Every cut of five networks between two unlike devices, run over two links; after ParetoPipe."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import log
from statistics import mean, median
from typing import TYPE_CHECKING

from shoal.record import SplitFigures, SplitFront
from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Chart,
    Claim,
    Finding,
    Holds,
    Model,
    Note,
    Series,
    Shown,
    Source,
    Table,
    untestable,
    words,
)

if TYPE_CHECKING:
    from shoal.plan.every_cut import CutPlan

DEVICE = """
    [devices.{}]
    board = "this-machine"
    cores = [{}]
    {}
"""
LINK = """
    [default_link]
    bandwidth = "{0:g} Mbit/s"
    latency = "{1:g} ms"
"""
LINKS = {"1 Gbit/s, 0.1 ms": (1000.0, 0.1), "5 Mbit/s, 200 ms": (5.0, 200.0)}
FAST, SLOW = LINKS
TCP, MPI = "TCP, our header", "MPI over sockets, polling"
CARRIERS = {  # how messages go → transport, and whether MPI is held to sockets
    TCP: ("tcp", False),
    "shared memory, our header": ("shm", False),
    MPI: ("mpi:nap_s=0", True),
    "MPI over sockets, napping as in runs": ("mpi", True),
}
SIZES = (256, 4096, 65536)  # bytes; the first is judged


@dataclass(frozen=True)
class Paretopipe:
    """Each legal cut of a network makes a pipeline of two processes, pinned to a core each and slowed to two unlike
    devices for real; the link between them is shaped for real. Each runs one item at a time, then several in flight.

    On the slow link a cut is left out where the link's time alone makes it worse, in latency and throughput, than
    one already measured. The twin is t1 + x + t2 and the largest of t1, bytes over bandwidth and t2, with times
    of single ops measured once on the undivided network.
    """

    models: str = "squeezenet+shufflenet+resnet50+vgg19"  # light models or paths of ONNX files, separated by +
    lite0: str = ""  # path of EfficientNet-Lite0, as examples.models makes it
    speeds: str = "0.7+0.35"  # of the first and the second device, as shares of a core of this machine
    cuts: int = 8  # of each network at most, evenly spread
    items: int = 32  # in a pipelined run on the fast link, if `seconds` allow
    slow_items: int = 8  # the same on the slow link; never less than two windows and two
    repeats: int = 3  # of each cut on each link
    seconds: float = 3.0  # what a pipelined run may take before it gets fewer items
    hopeless_s: float = 0.1  # a link time above which hopeless cuts are left out on the slow link
    hops: int = 300  # messages of each kind for the overhead
    seed: int = 0  # of weights and inputs

    title = "ParetoPipe: every split of a two-device pipeline, measured"
    source = Source(
        "Masud et al.",
        "Where to Split? A Pareto-Front Analysis of DNN Partitioning for Edge Inference",
        2026,
        "2601.08025",
    )
    quick = "models=squeezenet,speeds=1+1,cuts=2,items=4,slow_items=4,repeats=1,seconds=0.3,hops=20"
    claims = (
        Claim("same", "every cut answers like the undivided network, to 1e-4", None, "", Holds()),
        Claim("several", "networks of which several cuts are optimal at once, fast link", "several", "%", AtLeast(50.0)),
        Claim("moves", "the best cut for throughput moves with the network: its range in work before it", "it moves", "%", AtLeast(10.0)),
        Claim("front", "the slow link changes the front of every network", None, "", Holds()),
        Claim("fewer", "the best compromise moves to a cut with fewer bytes on the slow link, every network", None, "", Holds()),
        Claim("links", "largest error of the shaped links in an echo test", None, "%", AtMost(5.0)),
        Claim("overlap", "gain of a full pipe that comes from both computing at once, most of all cuts", None, "×", AtMost(2.0)),
        Claim("gain", "full pipe over one item at a time, fast link, median of cuts; the rest is waiting removed", "13.85 over 2.17 items/s", "×", AtLeast(1.0)),
        Claim("period", "error of the twin's period, median of cuts", None, "%", AtMost(15.0)),
        Claim("latency", "error of the twin's latency, median of cuts", None, "%", AtMost(20.0)),
        Claim("overhead", "a small message over raw TCP against polling MPI over sockets (in torch RPC's place)", None, "×", AtMost(1.0)),
        Claim("lite0", "every cut of EfficientNet-Lite0 with its published weights answers like the whole", None, "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Sweep all networks over both links, then the links and messages by themselves."""
        found: dict[str, dict[str, SplitFront]] = {}
        depth: dict[str, float] = {}
        for name in bench.each(words(self.models), "model"):
            model = self._model(bench, name)
            found[name] = self._fronts(bench, model)
            depth[name] = _depth(model, found[name][FAST])
            yield from _shown(model.ref.name, found[name])
        yield from _findings(found, depth)
        yield from self._links(bench)
        yield from self._messages(bench)
        if self.lite0:
            whole = self._fronts(bench, self._model(bench, self.lite0))[FAST].splits
            yield Finding("lite0", _same(whole), whole[0].provenance, len(whole))
        else:
            yield untestable(
                "lite0", "its weights are no part of shoal; lite0=FILE, made by examples.models, runs it"
            )

    def _model(self, bench: Bench, name: str) -> Model:
        from pathlib import Path

        return bench.load(Path(name)) if name.endswith(".onnx") else bench.model(name)

    def _fronts(self, bench: Bench, model: Model) -> dict[str, SplitFront]:
        """The front on each link."""
        from shoal.run.sweep import Sweep, front_of, sweep

        plans = {link: self._plans(bench, model, link) for link in LINKS}
        how = Sweep(items=self.items, repeats=self.repeats, seconds=self.seconds, seed=self.seed)
        slowly = replace(how, items=self.slow_items, hopeless_s=self.hopeless_s)
        with bench.spare_cache():
            return {
                link: front_of(
                    model.ref.name,
                    sweep(model.graph, plans[link], slowly if link == SLOW else how, partial(_say, bench)),
                )
                for link in LINKS
            }

    def _plans(self, bench: Bench, model: Model, link: str) -> tuple[CutPlan, ...]:
        from shoal.graph import cuts
        from shoal.plan.costs import costs_of
        from shoal.plan.every_cut import every_cut, pair_of, spread

        cores = sorted(os.sched_getaffinity(0))
        speeds = [float(speed) for speed in words(self.speeds)]
        text = LINK.format(*LINKS[link]) + "".join(
            DEVICE.format(name, cores[place % len(cores)], f"speed = {speed}" if speed < 1 else "")
            for place, (name, speed) in enumerate(zip(("first", "second"), speeds, strict=False))
        )
        fleet = bench.fleet(text)
        costs, numbers = costs_of(model.graph, fleet), spread(len(cuts(model.graph)), self.cuts)
        return every_cut(
            model.graph, model.ref, fleet, costs, pair_of(fleet), numbers=numbers, engines=("onnxruntime",)
        )

    def _links(self, bench: Bench) -> Iterator[Shown]:
        """What an echo says of both links."""
        from shoal.errors import WorkError
        from shoal.measure.checked import check_shaped
        from shoal.measure.link import LinkFigures

        rows, errors = [], []
        for link, (mbit_per_s, latency_ms) in LINKS.items():
            try:
                report = check_shaped(LinkFigures(latency_ms / 1e3, mbit_per_s * 1e6 / 8))
            except WorkError as fault:
                yield untestable("links", fault.message)
                return
            errors += [100 * abs(report.latency_error), 100 * abs(report.bandwidth_error)]
            rows.append((link, 100 * report.latency_error, 100 * report.bandwidth_error))
        yield Finding("links", max(errors), "measured", len(errors))
        yield Table("Shaped links by echo", ("link", "latency, %", "bandwidth, %"), rows)

    def _messages(self, bench: Bench) -> Iterator[Shown]:
        """What a message costs over each carrier."""
        from shoal.errors import MissingExtra
        from shoal.measure.hop import hops_s

        try:
            found = {
                name: [1e6 * hop for hop in hops_s(over, SIZES, self.hops, by_tcp=by_tcp)]
                for name, (over, by_tcp) in CARRIERS.items()
            }
        except MissingExtra as missing:
            yield untestable("overhead", missing.message)
            return
        tcp, mpi = found[TCP][0], found[MPI][0]
        yield Finding(
            "overhead", tcp / mpi, "measured", self.hops, why=f"{tcp:.0f} µs over TCP, {mpi:.0f} over MPI"
        )
        rows: list[list[str | float]] = [[name, *figures] for name, figures in found.items()]
        yield Table("One message, µs", ("carrier", *(f"{size} B" for size in SIZES)), rows)


def _say(bench: Bench, each: SplitFigures) -> None:
    bench.say(f"cut {each.number} after {each.after}: {each.skipped or each.failure or f'{each.period_s:.3g} s'}")


def _findings(fronts: Mapping[str, Mapping[str, SplitFront]], depth: Mapping[str, float]) -> Iterator[Shown]:
    """What all networks together say."""
    both = [(each[FAST], each[SLOW]) for each in fronts.values()]
    ran = [split for pair in both for front in pair for split in front.splits if split.done]
    how, count = ran[0].provenance, len(both)
    fast = [split for front, _ in both for split in front.splits if split.done]
    yield Finding(
        "same", _same([split for pair in both for front in pair for split in front.splits]), how, len(ran)
    )
    yield Finding("several", 100 * mean(len(front.front) > 1 for front, _ in both), how, count)
    yield Finding("moves", 100 * (max(depth.values()) - min(depth.values())), how, count)
    yield Finding("front", all(_numbers(quick) != _numbers(slow) for quick, slow in both), how, count)
    fewer = [_knee(slow).bytes < _knee(quick).bytes for quick, slow in both]
    yield Finding("fewer", all(fewer), how, count, why=f"{sum(fewer)} of {count} networks")
    overlap, gain = max(split.overlap for split in ran), median(split.gain for split in fast)
    yield Finding("overlap", overlap, how, len(ran), why="both parts' seconds over the period of the full pipe")
    shares = [log(max(1.0, split.overlap)) / log(split.gain) for split in fast if split.gain > 1]
    share = 100 * median(shares) if shares else 0.0
    yield Finding("gain", gain, how, len(fast), why=f"{share:.0f} % of it (of its logarithm) by overlap")
    for figure in ("period", "latency"):
        pairs = [(getattr(split.twin, f"{figure}_s"), getattr(split, f"{figure}_s")) for split in ran]
        errors = [100 * abs(twin / real - 1) for twin, real in pairs]
        yield Finding(figure, median(errors), how, len(ran), (min(errors), max(errors)), "interval: all cuts")


def _shown(name: str, fronts: Mapping[str, SplitFront]) -> Iterator[Shown]:
    """One network: its cuts on both links, and what entered or left the front."""
    rows = [
        (split.number, split.after, split.bytes / 1024, link, 1e3 * split.latency_s, 1e3 * split.twin.latency_s,
         split.throughput_items_per_s, 1 / split.twin.period_s, split.gain, split.overlap, place in front.front)
        for link, front in fronts.items() for place, split in enumerate(front.splits) if split.done
    ]  # fmt: skip
    yield Table(
        f"{name}: every cut that ran",
        ("cut", "after", "KiB", "link", "latency, ms", "twin, ms", "items/s", "twin", "gain, ×", "overlap, ×", "front"),
        rows,
    )  # fmt: skip
    quick, slow = (_numbers(fronts[link]) for link in LINKS)
    yield Note(
        f"{name}: from {FAST} to {SLOW} the cuts {sorted(slow - quick) or 'none'} entered the front and "
        f"{sorted(quick - slow) or 'none'} left it; hypervolumes "
        f"{fronts[FAST].hypervolume:.3g} and {fronts[SLOW].hypervolume:.3g} s²."
    )
    lines = tuple(
        Series(link, [1e3 * each.latency_s for each in front.best], [each.throughput_items_per_s for each in front.best])
        for link, front in fronts.items()
    )  # fmt: skip
    yield Chart(f"{name}: fronts", "latency, ms", "throughput, items/s", lines, log_x=True)


def _numbers(front: SplitFront) -> set[int]:
    return {each.number for each in front.best}


def _knee(front: SplitFront) -> SplitFigures:
    return front.splits[front.knee or 0]


def _same(splits: Sequence[SplitFigures]) -> bool:
    """Whether every cut ran to its end, or was left out, and answered like the whole."""
    return all(each.skipped or (each.done and each.outputs_match) for each in splits)


def _depth(model: Model, front: SplitFront) -> float:
    """The share of the work that lies before the best cut for throughput."""
    best = min((each for each in front.splits if each.done), key=lambda each: each.period_s)
    ops = model.graph.ops[: model.graph.position[best.after] + 1]
    return sum(op.macs for op in ops) / model.graph.macs
