"""Data-aware pipelines over unlike accelerators: schedules that follow the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from shoal.study import AtLeast, AtMost, Bench, Claim, Finding, Holds, Shown, Source, Table

if TYPE_CHECKING:
    from shoal.cost import Fits
    from shoal.plan import PoolProblem, PoolSchedule
    from shoal.plan.pool_modes import Mode

# Nodes and edges of public graphs (Cora … Reddit, as PyTorch Geometric and OGB list them; recalled).
GRAPHS = {
    "cora": (2_708, 10_556),
    "citeseer": (3_327, 9_104),
    "photo": (7_650, 238_162),
    "computers": (13_752, 491_722),
    "cs": (18_333, 163_788),
    "pubmed": (19_717, 88_648),
    "physics": (34_493, 495_924),
    "flickr": (89_250, 899_756),
    "arxiv": (169_343, 1_166_243),
    "reddit": (232_965, 114_615_892),
}
REFERENCE_GRAPHS = ((4_000, 20_000), (16_000, 800_000), (60_000, 300_000), (120_000, 12_000_000))
LENGTHS, REFERENCE_LENGTHS = (512, 1024, 2048, 4096, 8192), (1024, 4096)
WIDTHS = (256, 128, 64)
OPTIMAL = 1.01  # of the best: what counts as optimal


@dataclass(frozen=True)
class Dype:
    """Predictors are fitted to samples; a stage programme finds the schedules; a judge with other times compares.

    Simulated: graph networks and windowed transformers on MI210 GPUs and U280 FPGAs over three links. The judge runs
    the machine models themselves with noise, the planner only its fits. The static schedule is the best on average
    over a reference set of other graphs and lengths. Real: kernels on this machine in a sparse and a dense form, and
    a stream whose data turn from sparse to dense under a running pipeline.
    """

    graphs: int = 10  # of the list, the first ones
    samples: int = 80  # of each kernel kind and device
    judged: int = 60  # items of each judged schedule
    stream: int = 240  # items of the real stream
    seed: int = 0  # of samples, noise and data

    title = "DyPe: data-aware pipeline schedules over unlike accelerators"
    source = Source(
        "authors of arXiv 2502.06304",
        "Data-aware Dynamic Execution of Irregular Workloads on Heterogeneous Systems",
        2025,
        arxiv="2502.06304",
    )
    quick = "graphs=1,samples=40,judged=8,stream=64"
    claims = (
        Claim(
            "mape", "error of the predictors on held-out sizes, worst kernel measured here", None, "%", AtMost(15.0)
        ),
        Claim("optimal", "cases where DyPe finds the optimum (77 of 86), throughput", 89.5, "%", AtLeast()),
        Claim("more", "optimal in more cases than the static schedule, in every mode", None, "", Holds()),
        Claim("loss", "mean loss in the other cases, throughput", 3.95, "%", AtMost()),
        Claim("throughput", "mean throughput over the static schedule", 1.53, "×", AtLeast(1.2)),
        Claim("energy", "mean energy efficiency over the static schedule", 1.09, "×", AtLeast()),
        Claim("gpu_throughput", "mean throughput over GPUs only", 1.44, "×", AtLeast()),
        Claim("gpu_energy", "mean energy efficiency over GPUs only", 1.66, "×", AtLeast()),
        Claim("order", "a stream that switches schedules loses and reorders nothing", None, "", Holds()),
        Claim("after", "its period after the switch over that of the best schedule alone", None, "×", AtMost(1.1)),
    )

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Simulated cases, then this machine."""
        yield from self._cases(bench)
        bench.say("sampling kernels here")
        fits = self._fitted_here()
        worst = max(fits.fits, key=lambda fit: fit.mape)
        yield Finding("mape", 100 * worst.mape, "measured", len(fits.fits), why=f"{worst.kind} on {worst.device}")
        heads = ("kernel", "form", "samples", "held out", "error %")
        rows = [(fit.kind, fit.device, fit.samples, fit.held_out, round(100 * fit.mape, 1)) for fit in fits.fits]
        yield Table("Predictors of this machine's kernels", heads, rows)
        bench.say("streaming")
        yield from self._stream(fits)

    def _cases(self, bench: Bench) -> Iterator[Shown]:
        from shoal.plan import LINKS, MODES

        fits = self._fitted_machines()
        won: dict[str, list[float]] = {f"{who} {mode}": [] for who in ("dype", "static", "gpu") for mode in MODES}
        rows: list[tuple[Any, ...]] = []
        for link in bench.each(tuple(LINKS), "link"):
            for problem, statics in self._problems(link, fits):
                for mode in MODES:
                    over = self._compared(problem, statics[mode], mode)
                    for who, ratio in over.items():
                        won[f"{who} {mode}"].append(ratio)
                    rows.append((problem.chain.name, str(dict(problem.bindings)), link, mode, *over.values()))
        optimal = {key: sum(ratio <= OPTIMAL for ratio in ratios) for key, ratios in won.items()}
        count = len(won["dype performance"])
        others = [ratio for ratio in won["dype performance"] if ratio > OPTIMAL]
        yield Finding("optimal", 100 * optimal["dype performance"] / count, "simulated", count)
        more = all(optimal[f"dype {mode}"] > optimal[f"static {mode}"] for mode in MODES)
        yield Finding("more", more, "simulated", count * len(MODES))
        yield Finding("loss", 100 * (fmean(others) - 1) if others else 0.0, "simulated", len(others))
        for key, who, mode in (
            *(("throughput", "static", "performance"), ("energy", "static", "energy")),
            *(("gpu_throughput", "gpu", "performance"), ("gpu_energy", "gpu", "energy")),
        ):
            gains = [a / b for a, b in zip(won[f"{who} {mode}"], won[f"dype {mode}"], strict=True)]
            yield Finding(key, fmean(gains), "simulated", count, (min(gains), max(gains)), "interval: all cases")
        counts = [(mode, *(optimal[f"{who} {mode}"] for who in ("dype", "static", "gpu")), count) for mode in MODES]
        yield Table("Optimal within 1 %", ("mode", "DyPe", "static", "GPU only", "of"), counts)
        heads = ("chain", "sizes", "link", "mode", "DyPe", "static", "GPU only")
        yield Table(
            "Judged over the best schedule found",
            heads,
            [(*row[:4], *(round(x, 3) for x in row[4:])) for row in rows],
        )

    def _problems(self, link: Any, fits: Fits) -> Iterator[tuple[PoolProblem, Mapping[Mode, PoolSchedule]]]:
        """Every case on one kind of link, with its chain's static schedules by mode."""
        from shoal.plan import (
            MODES,
            PoolProblem,
            gcn_chain,
            gin_chain,
            gpu_fpga_pools,
            static_schedule,
            window_chain,
        )

        sizes = (1 << 18, 1 << 27)
        graphs = [{"nodes": nodes, "nnz": nnz} for nodes, nnz in list(GRAPHS.values())[: self.graphs]]
        chains = (
            (gcn_chain(WIDTHS, *sizes), graphs, [{"nodes": n, "nnz": e} for n, e in REFERENCE_GRAPHS]),
            (gin_chain(WIDTHS, *sizes), graphs, [{"nodes": n, "nnz": e} for n, e in REFERENCE_GRAPHS]),
            (window_chain(2, 512, 8, 256, 8192), [{"length": n} for n in LENGTHS],
             [{"length": n} for n in REFERENCE_LENGTHS]),
        )  # fmt: skip
        pools = gpu_fpga_pools(link=link)
        for chain, cases, references in chains:
            known = [PoolProblem(chain, bindings, pools, fits) for bindings in references]
            statics = {mode: static_schedule(known, mode) for mode in MODES}
            for bindings in cases:
                yield PoolProblem(chain, bindings, pools, fits), statics

    def _compared(self, problem: PoolProblem, static: PoolSchedule, mode: Mode) -> dict[str, float]:
        """What each way of scheduling scores, over the best schedule known to the judge."""
        from shoal.plan import Judged, judge, pool_front, score, single_type, solve_pools

        truth = replace(problem, times=_machines())
        seen: dict[PoolSchedule, Judged] = {}

        def judged(schedule: PoolSchedule) -> Judged:
            if schedule not in seen:
                seen[schedule] = judge(truth, schedule, items=self.judged, seed=self.seed)
            return seen[schedule]

        ways = {
            "dype": solve_pools(problem, mode).schedule,
            "static": static,
            "gpu": single_type(problem, "gpu"),
        }
        found = [judged(schedule) for schedule in (*(p.schedule for p in pool_front(truth)), *ways.values())]
        fastest_s = min(each.period_s for each in found)
        best = min(score(each, mode, fastest_s) for each in found)
        return {who: score(judged(schedule), mode, fastest_s) / best for who, schedule in ways.items()}

    def _fitted_machines(self) -> Fits:
        from shoal.cost import Hints, fit_kernels
        from shoal.machines import Dataflow, Gpu, machine_samples
        from shoal.measure import Sizes, drawn_works
        from shoal.record import KINDS

        sizes = Sizes((512, 262_144), (64, 2048), (64, 2048), (2, 512), (64, 512), (8,))
        works = [work for kind in KINDS for work in drawn_works(kind, self.samples, sizes, self.seed)]
        samples = (
            *machine_samples(Gpu(), works, "gpu", noise=0.03, seed=self.seed),
            *machine_samples(Dataflow(), works, "fpga", noise=0.03, seed=self.seed),
        )
        return fit_kernels(
            samples, {"gpu": Hints(tile=64, parallel=104, cache_bytes=8 << 20), "fpga": Hints(tile=32)}
        )

    def _fitted_here(self) -> Fits:
        from shoal.cost import Hints, fit_kernels
        from shoal.measure import Sizes, drawn_works, sample_kernels
        from shoal.record import KINDS
        from shoal.study._dype_stream import FORMS

        samples = [
            sample
            for form in FORMS
            for kind in KINDS
            for sample in sample_kernels(
                form, drawn_works(kind, self.samples, Sizes(), self.seed), form, own_time=True
            )
        ]
        hints = Hints(tile=16, cache_bytes=1 << 20, lanes=16)
        return fit_kernels(samples, {"sparse": hints, "dense": hints}, most_mape=1.0)

    def _stream(self, fits: Fits) -> Iterator[Shown]:
        """A graph network on two workers, one good at sparse and one at dense products."""
        from shoal.cost import period_s
        from shoal.study._dype_stream import WINDOW, Line

        line = Line(fits, self.stream, self.seed)
        answers, right = line.switched()
        tail = [answer for answer in answers if answer.epoch] or answers  # what went through the second schedule
        after_s = period_s(tail, WINDOW)
        alone_s = {str(schedule): line.alone_s(schedule) for schedule in line.schedules}
        moved = next((answer.item for answer in answers if answer.epoch), None)
        yield Finding("order", [answer.item for answer in answers] == list(range(self.stream)) and right, "measured",
                      self.stream, why=f"changed at item {moved}, data at {self.stream // 2}")  # fmt: skip
        yield Finding("after", after_s / min(alone_s.values()), "measured", len(tail))
        rows = [(schedule, round(seconds * 1e3, 2)) for schedule, seconds in alone_s.items()]
        yield Table("Each schedule alone on the dense half", ("schedule", "ms an item"), rows)


def _machines() -> Any:
    from shoal.machines import Dataflow, Gpu, MachineTimes

    return MachineTimes({"gpu": Gpu(), "fpga": Dataflow()})
