"""AutoDiCE: a trained network and a mapping file become parts on many devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from shoal.study import (
    AtMost,
    Bench,
    Claim,
    Finding,
    Holds,
    Model,
    Shown,
    Source,
    Table,
    Within,
    median_of,
    untestable,
    words,
)
from shoal.study._fronts import against, periods
from shoal.study._mappings import SPREADS, halved, local, mapped, refusal, shared, shipped, spread
from shoal.study._packed import alone, over_mpi, stored_weights

if TYPE_CHECKING:
    from shoal.record import Run

BOARDS = """
    [devices.nx]
    board = "jetson-xavier-nx"
    count = {count}
    [default_link]
    bandwidth = "1 Gbit/s"
    latency = "0.2 ms"
"""
KINDS = ("lop", "lip", "height", "width")
EXACT = "chain_dp:order=given"  # boards are alike
MIB = 1 << 20
Row = tuple[str, str, int, str, float, float, bool]


@dataclass(frozen=True)
class Autodice:
    """Networks are divided by mapping files and run by real processes of this machine; answers are compared.

    Mappings are contiguous, go back and forth, or put each branch elsewhere; single layers are shared in the four
    horizontal ways. Packed folders are started with nothing else around them, by hand and by mpirun. What the boards
    of the publication would do is simulated: one board's best mapping by throughput against several boards'. The
    formula behind that is held against real processes pinned to two cores, their segments measured before.
    """

    models: str = "bvlc_alexnet+squeezenet+resnet50"  # divided by whole layers, separated by +
    branchy: str = "inception_v1+densenet121"  # run with many items in flight
    divided: str = "squeezenet+shufflenet"  # run with single layers shared
    onboard: str = "vgg19+resnet50+densenet121"  # simulated on boards; the claims are about the first
    timed: str = "resnet50+inception_v1+squeezenet"  # whose period is predicted and measured
    over: str = "shm+tcp"  # transports between processes
    mpi: bool = True  # over MPI, too
    boards: int = 4  # equal ones, against one
    flights: int = 50  # items in flight
    items: int = 64  # in each run with many in flight, and in each simulated or timed one
    plans: int = 3  # timed of each model
    generations: int = 200  # of the genetic search
    seed: int = 0  # of weights, inputs and the genetic search

    title = "AutoDiCE: a trained network and a mapping file become parts on many devices"
    source = Source(
        "Guo, Pimentel, Stefanov", "AutoDiCE: Fully Automated Distributed CNN Inference at the Edge", 2022,
        arxiv="2207.12113",
    )  # fmt: skip
    quick = (
        "models=squeezenet,branchy=squeezenet,divided=squeezenet,onboard=squeezenet,timed=squeezenet,over=memory,"
        "mpi=false,flights=8,items=16,plans=1,generations=4"
    )
    claims = (
        Claim("same", "any mapping over 2 to 4 processes answers like the whole, to 1e-4", None, "", Holds()),
        Claim("shipped", "divided, the models give the outputs that ship with them, to 1e-4", None, "", Holds()),
        Claim("flights", "no mapping blocks with 50 items in flight, branches apart or not", None, "", Holds()),
        Claim("layers", "layers shared by lop, lip, height and width answer the same, to 1e-4", None, "", Holds()),
        Claim("weights", "two ranks, half the weights each: their sum off the whole", None, "B", Within(target=0)),
        Claim("planned", "weights of a rank against the plan, largest difference", None, "%", AtMost(1.0)),
        Claim("ranks", "each rank reports its time and its resident memory", None, "", Holds()),
        Claim("package", "folders start with only themselves present", None, "", Holds()),
        Claim("period", "best mapping of VGG-19 on 4 boards, period against one", "shorter", "×", AtMost(0.99)),
        Claim("energy", "… energy of the board that spends most, against one board", "lower", "×", AtMost(0.99)),
        Claim("memory", "… memory of the board that holds most, against one board", "lower", "×", AtMost(0.99)),
        Claim("predicted", "period off its prediction, calibrated on local processes", None, "%", AtMost(15.0)),
        Claim("refused", "wrong mappings are refused by the name of what is wrong", None, "", Holds()),
    )

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Real runs first, then boards, then the period that was predicted."""
        yield from self._mapped(bench)
        yield self._shipped(bench)
        yield from self._layers(bench)
        yield from self._ranks(bench)
        yield from self._boards(bench)
        yield from self._period(bench)
        yield self._refused(bench)

    def _mapped(self, bench: Bench) -> Iterator[Shown]:
        for key, names, window, items in (
            ("same", words(self.models), 4, 8),
            ("flights", words(self.branchy), self.flights, self.items),
        ):
            rows = [
                row
                for name in bench.each(names, f"model, {window} items in flight,")
                for row in self._spreads(bench, bench.model(name), window, items)
            ]
            columns = ("model", "mapping", "processes", "over", "largest difference", "of output", "same")
            yield Table(f"Answers of divided networks, {items} items, {window} in flight", columns, rows)
            yield Finding(key, all(row[-1] for row in rows), "measured", len(rows))

    def _spreads(self, bench: Bench, model: Model, window: int, items: int) -> Iterator[Row]:
        for number, kind in enumerate(SPREADS):
            fleet, over = local(bench, 2 + number), words(self.over)[number % len(words(self.over))]
            plan = mapped(bench, model, fleet, spread(model.graph, kind, fleet.unit_names), window)
            run = bench.run(plan, items, over=over, must_match=False)
            whole = len(run.latencies_s) == items and bool(run.outputs_match)
            yield model.ref.name, kind, len(plan.units), over, *_differences(run), whole

    def _shipped(self, bench: Bench) -> Finding:
        from shoal.run import Settings, execute

        right, two = [], local(bench, 2)
        for name in bench.each(words(self.models), "model with what it ships"):
            light = bench.load(bench.light(name))
            plan = mapped(bench, light, two, spread(light.graph, "contiguous", two.unit_names))
            result = execute(plan, Settings(2, words(self.over)[0]), shipped(bench.light(name)))
            right.append(bool(result.run.outputs_match))
        return Finding("shipped", all(right), "measured", len(right))

    def _layers(self, bench: Bench) -> Iterator[Shown]:
        rows, fleet = [], local(bench, 2)
        for name in bench.each(words(self.divided), "model with shared layers"):
            model = bench.model(name)
            for kind in KINDS:
                mapping = shared(model.graph, kind, fleet.unit_names)
                run = bench.run(mapped(bench, model, fleet, mapping), 4, over=words(self.over)[0], must_match=False)
                same = bool(run.outputs_match)
                rows.append((name, kind, len(mapping["split"]), *_differences(run), same))
        columns = ("model", "kind", "layers shared", "largest difference", "of output", "same")
        yield Table("Single layers on two processes", columns, rows)
        yield Finding("layers", all(row[-1] for row in rows), "measured", len(rows))

    def _ranks(self, bench: Bench) -> Iterator[Shown]:
        from shoal.run.pack import pack

        model, fleet = bench.model(words(self.models)[-1]), local(bench, 2)
        plan = mapped(bench, model, fleet, halved(model.graph, fleet.unit_names))
        packed = pack(plan, bench.scratch / "packed", self.seed)
        runs = {"folders alone, TCP": alone(packed, bench.scratch / "alone", 16)}
        if self.mpi and find_spec("mpi4py"):
            runs["mpirun"] = over_mpi(packed, bench.scratch / "mpi")
        stored = {fleet.device(unit).name: stored_weights(folder) for unit, folder in packed.units.items()}
        figures = [(how, name, each) for how, run in runs.items() for name, each in run.devices.items()]
        yield Table(
            f"Ranks of {model.ref.name}, packed",
            ("started as", "rank", "CPU time, s", "resident, MiB", "weights, MiB", "sent, MiB"),
            [
                (how, name, each.cpu_s, (each.resident_bytes or 0) / MIB, stored[name] / MIB, each.sent_bytes / MIB)
                for how, name, each in figures
            ],
        )
        off = [abs(stored[name] / each.weights_bytes - 1) * 100 for _, name, each in figures]
        told = all(each.cpu_s and (each.resident_bytes or 0) > stored[name] for _, name, each in figures)
        yield Finding("weights", abs(sum(stored.values()) - model.graph.weights_bytes), "computed", len(stored))
        yield Finding("planned", max(off), "computed", len(off))
        yield Finding("ranks", told, "measured", len(figures))
        same = all(bool(run.outputs_match) for run in runs.values())
        yield Finding("package", same, "measured", len(runs), why=f"started as: {', '.join(runs)}")

    def _boards(self, bench: Bench) -> Iterator[Shown]:
        rows, genetic, found = [], [], {}
        for name in bench.each(words(self.onboard), "model on boards"):
            model = bench.model(name)
            for count in sorted({1, 2, self.boards}):
                fleet = bench.fleet(BOARDS.format(count=count))
                gpus = [unit for unit in fleet.unit_names if unit.endswith("/gpu")]
                rest = tuple(set(fleet.unit_names) - set(gpus))
                plan = bench.front(model, fleet, planner=EXACT, exclude=rest, items=self.items, profile=False).plan
                run = bench.simulate(plan, self.items)
                energy_j = max(each.energy_j for each in run.devices.values()) / run.items
                found[name, count] = run.period_s * 1e3, energy_j, max(plan.prediction.memory_bytes.values()) / MIB
                rows.append((name, count, len(plan.units), *found[name, count]))
            planner = f"cut_genes:generations={self.generations},seed={self.seed}"
            genetic.append((name, *against(model, fleet, gpus, EXACT, planner)))
        columns = ("model", "boards", "used", "period, ms", "largest energy, J/item", "largest memory, MiB")
        yield Table("Best mapping by throughput, GPUs of Jetson Xavier NX, 1 Gbit/s", columns, rows)
        yield Table(
            "NSGA-II over cut positions, and the exact front; period, energy, memory",
            ("model", "exact plans", "genetic plans", "genetic/exact hypervolume"),
            genetic,
        )
        one, several = (found[words(self.onboard)[0], count] for count in (1, self.boards))
        yield Finding("period", several[0] / one[0], "simulated", self.items)
        yield Finding("energy", several[1] / one[1], "simulated", self.items)
        yield Finding("memory", several[2] / one[2], "predicted", 1)

    def _period(self, bench: Bench) -> Iterator[Shown]:
        rows = [
            (name, *row)
            for name in bench.each(words(self.timed), "model to time")
            for row in periods(bench, bench.model(name), self.plans, self.items)
        ]
        if not rows:
            yield untestable("predicted", "takes two cores")
            return
        yield Table("Period on two cores", ("model", "units", "predicted, ms", "measured, ms", "off, %"), rows)
        yield median_of("predicted", [row[-1] for row in rows], "measured", "median over plans; all in the table")

    def _refused(self, bench: Bench) -> Finding:
        model, fleet = bench.model(words(self.models)[0]), local(bench, 2)
        first, second, *others = model.graph.position
        wrong = (
            ("nonsense", {"d-0": [first, second, "nonsense"], "d-1": others}),
            (second, {"d-0": [first, second], "d-1": [second, *others]}),
            (second, {"d-0": [first], "d-1": others}),
            ("mars_cpu0", {"d-0": [first, second], "mars_cpu0": others}),
            (first, {"d-0": [second, *others], "split": {first: ["lop", [1], ["d-0"]]}}),
        )
        named = [name in refusal(bench, model, fleet, mapping) for name, mapping in wrong]
        why = "no cycle between ranks is refused: a rank's ops are cut into segments that each run when they can"
        return Finding("refused", all(named), "computed", len(named), why=why)


def _differences(run: Run) -> tuple[float, float]:
    """The largest from what the whole network answers, and the largest of its answers."""
    return run.max_abs_difference or 0.0, run.reference_magnitude or 0.0
