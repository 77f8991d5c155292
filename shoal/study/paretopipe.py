"""Every cut of several networks between two unlike devices, run over two links; after ParetoPipe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from shoal.errors import WorkError
from shoal.record import SplitFigures, SplitFront
from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Claim,
    Finding,
    Holds,
    Model,
    Shown,
    Source,
    Table,
    untestable,
    words,
)
from shoal.study._paretopipe_shown import FAST, LINKS, SLOW, depth_of, findings, same, shown

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
TCP, MPI = "TCP, our header", "MPI over sockets, polling"
CARRIERS = {  # how messages go → transport, and whether MPI is held to sockets
    TCP: ("tcp", False),
    "shared memory, our header": ("shm", False),
    MPI: ("mpi:nap_s=0", True),
    "MPI over sockets, napping as in runs": ("mpi", True),
}
TRIES = 3  # of the echo test
SIZES = (256, 4096, 65536)  # bytes; the first is judged


@dataclass(frozen=True)
class Paretopipe:
    """Each legal cut of a network makes a pipeline of two processes, pinned to a core each and slowed to two unlike
    devices for real, the slower one first, which has the data; the link between them is shaped for real. Each runs one item at a time, then several in flight.

    On the slow link a cut is left out where the link's time alone makes it worse, in latency and throughput, than
    one already measured. The twin is t1 + x + t2 and the largest of t1, bytes over bandwidth and t2, with times
    of single ops measured once on the undivided network.
    """

    models: str = "squeezenet+shufflenet+resnet50+vgg19"  # light models or paths of ONNX files, separated by +
    lite0: str = ""  # path of EfficientNet-Lite0, as examples.models makes it
    speeds: str = "0.35+0.7"  # of the device that has the data and of the second, as shares of a core here
    cuts: int = 6  # of each network at most, evenly spread
    items: int = 32  # in a pipelined run on the fast link, if `seconds` allow
    slow_items: int = 8  # the same on the slow link; never less than three windows
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
        Claim("fewer", "the best cut for throughput has fewer bytes on the slow link, every network", None, "", Holds()),
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
            for link, front in found[name].items():
                if not front.best:
                    raise WorkError("no cut ran", where=f"{name}, {link}", had=front.splits[0].failure)
            depth[name] = depth_of(model, found[name][FAST])
            yield from shown(model.ref.name, found[name])
        yield from findings(found, depth)
        yield from self._links(bench)
        yield from self._messages(bench)
        if self.lite0:
            whole = self._fronts(bench, self._model(bench, self.lite0))[FAST].splits
            yield Finding("lite0", same(whole), whole[0].provenance, len(whole))
        else:
            yield untestable(
                "lite0", "its weights are no part of shoal; lite0=FILE, made by examples.models, runs it"
            )

    def _model(self, bench: Bench, name: str) -> Model:
        from pathlib import Path

        return bench.load(Path(name)) if name.endswith(".onnx") else bench.model(name)

    def _fronts(self, bench: Bench, model: Model) -> dict[str, SplitFront]:
        """The front on each link."""
        from shoal.run.sweep import Sweep, front_of, notes_of, sweep

        plans = {link: self._plans(bench, model, link) for link in LINKS}
        how = Sweep(items=self.items, repeats=self.repeats, seconds=self.seconds, throttle="pace", seed=self.seed)
        slowly = replace(how, items=self.slow_items, hopeless_s=self.hopeless_s)
        with bench.spare_cache():
            return {
                link: front_of(
                    model.ref.name,
                    sweep(model.graph, plans[link], slowly if link == SLOW else how, partial(_say, bench)),
                    notes_of(plans[link], how),
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
            model.graph,
            model.ref,
            fleet,
            costs,
            pair_of(model.graph, fleet),
            numbers=numbers,
            engines=("onnxruntime",),
        )

    def _links(self, bench: Bench) -> Iterator[Shown]:
        """What an echo says of both links, the best of a few tries, since other work here only adds errors."""
        from shoal.measure.checked import check_shaped
        from shoal.measure.link import LinkFigures

        rows, errors = [], []
        for link, (mbit_per_s, latency_ms) in LINKS.items():
            wanted = LinkFigures(latency_ms / 1e3, mbit_per_s * 1e6 / 8)
            tries = [check_shaped(wanted, tolerance=inf) for _ in range(TRIES)]
            each = [(abs(report.latency_error), abs(report.bandwidth_error)) for report in tries]
            best = min(range(TRIES), key=lambda place: max(each[place]))
            errors += [100 * error for error in each[best]]
            rows.append((link, 100 * tries[best].latency_error, 100 * tries[best].bandwidth_error))
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
