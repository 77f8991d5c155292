"""MoETuner: experts placed by which experts follow which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.study import AtLeast, AtMost, Bench, Claim, Finding, Holds, Note, Shown, Source, Table, Within, words

if TYPE_CHECKING:
    from shoal.store import RoutingTrace
    from shoal.study._moetuner_fleets import Case
    from shoal.study.contract import Cell

Split = tuple["RoutingTrace", "RoutingTrace"]  # profile, test
GAIN = Within(absolute=11, target=14)  # 3 to 25 %
SPARES = (0.125, 0.25, 0.5)  # of the memory that experts take
SPARE = 0.25


@dataclass(frozen=True)
class Moetuner:
    """Two trained models read documents of three kinds; half of the documents are the profile, the others the test.

    Experts, as large as those of Mixtral-8x7B, lie on one or two nodes of four A100s by their data sheet, links between
    nodes ten times slower. A step is a batch that takes tokens from all texts. Placements are chosen by the profile; on the
    test the time of a step is that of the busiest device of each layer, and of the exchanges there and back, simulated link
    by link. Attention is left out. A token's state stays with its first expert ("stay", with keys and values taken to be
    wherever it is), or returns to where its text began ("home"); claims are of the former, in which the order of experts
    matters. A token is sent once for each of its experts. Real processes hold experts as they were placed, and send a
    token once to each process.
    """

    models: str = "mixtral+experts16"  # small trained models, separated by +
    documents: int = 24  # of each kind
    stretches: int = 8  # of 128 bytes, of each document
    step_tokens: int = 1024  # of a batch
    inside_gb: float = 300.0  # GB/s of a device's port inside its node
    others_gb: str = "100+25"  # … in a table beside
    time_limit_s: float = 4.0  # of the programmes of a placement
    seeds: int = 20  # of random placements
    workers: int = 3  # real processes
    width: int = 1024  # of tokens of an expert that is timed here
    hidden: int = 1024  # of that expert

    title = "MoETuner: experts placed by integer programmes from routing statistics"
    source = Source(
        "Go, Mahajan", "MoETuner: Optimized Mixture of Expert Serving with Balanced Expert Placement and Token Routing",
        2025, arxiv="2502.06643",
    )  # fmt: skip
    quick = "models=mixtral,documents=3,stretches=2,step_tokens=1024,others_gb=,time_limit_s=0.3,seeds=1,workers=2,width=256,hidden=256"
    claims = (
        Claim("dependency", "mutual information of experts in layers that follow each other, over shuffled; least", None, "×",
              AtLeast(2)),
        Claim("warned", "of shuffled tokens no dependency is found", None, "", Holds()),
        Claim("objective", "objective of the ILP over the least of all baselines, on the profile; worst of all cases", None,
              "×", AtMost(1.0)),
        Claim("single", "time of a step on the test saved over experts in order, one node; mean of models", 9.3, "%", GAIN),
        Claim("multi", "… two nodes", 17.5, "%", GAIN),
        Claim("larger", "… two nodes over one", None, "×", AtLeast(1.0)),
        Claim("simple", "… saved over the best of the simple placements, each case; least", None, "%", AtLeast(0.0)),
        Claim("replicated", "time of a step on the test saved over the busiest experts held again in a quarter more memory, two nodes; mean of models",
              "not stated", "%", AtLeast(0.0)),
        Claim("curve", "an expert of this machine: time of eight tokens over eight times that of one", None, "×", AtMost(0.5)),
        Claim("domain", "gain on source of a profile of prose over that of a profile of source, two nodes; mean of models",
              "not stated", "×", AtMost(1.0)),
        Claim("optimum", "objective over the known optimum of a made-up chain of experts", None, "×",
              Within(absolute=1e-6, target=1.0)),
        Claim("third", "load of a device three times slower, off a third of the others', in loads of the largest expert",
              None, "", AtMost(1.0)),
        Claim("answers", "experts in worker processes, in order, by load and by ILP: logits off those of one process", "exact",
              "", AtMost(1e-5)),
        Claim("bytes", "… bytes on each link are those that were foreseen", None, "", Holds()),
        Claim("links", "exchanges link by link over the evaluator's busiest wire and latency; worst of all cases", None, "×",
              AtMost(1.25)),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Routes, placements of each model, other links, another domain, cases whose answer is known."""
        from shoal.study import _moetuner_known as known
        from shoal.study._moetuner_text import KINDS, routes

        traces: dict[str, Split] = {}
        for name in bench.each(words(self.models), "routes of"):
            traces[name] = routes(name, KINDS, self.documents, self.stretches).split()
        yield from known.dependencies({name: profile for name, (profile, _) in traces.items()})
        yield from self._placements(bench, traces)
        yield from self._other_links(bench, traces)
        yield from self._domains(bench)
        yield from self._workers(bench, traces)
        bench.say("an expert of this machine")
        yield from known.curve(self.width, self.hidden)
        bench.say("made-up routes")
        yield from known.optimum()
        yield from known.third()
        yield Note(
            "The step holds no attention and no software of the exchange; with them a gain is less, or more."
        )

    @property
    def _ilp(self) -> str:
        return f"ilp:time_limit_s={self.time_limit_s:g}"

    def _placements(self, bench: Bench, traces: dict[str, Split]) -> Iterator[Shown]:
        from shoal.study._moetuner_fleets import cases

        rows: list[tuple[Cell, ...]] = []
        ratios: list[float] = []
        slower: list[float] = []
        gains: dict[int, list[float]] = {1: [], 2: []}
        over: list[float] = []
        copies: list[tuple[Cell, ...]] = []
        saved: list[float] = []
        for name in bench.each(list(traces), "experts of"):
            for combine in ("home", "stay"):
                for case in cases(traces[name], 1e9 * self.inside_gb, self.step_tokens, combine):
                    judged = _Judged(case, self._ilp, self.seeds)
                    rows += [(name, combine, case.nodes.count, *row) for row in judged.rows()]
                    ratios.append(judged.ratio)
                    slower.append(judged.links)
                    if combine == "stay":
                        gains[case.nodes.count].append(judged.gain)
                        over.append(judged.over_simple)
                        copies += [(name, case.nodes.count, *row) for row in judged.replicated()]
                        saved += [judged.over_replicated] if case.nodes.count == 2 else []
        yield Finding(
            "objective", max(ratios), "computed", len(ratios), (min(ratios), max(ratios)), "interval: all cases"
        )
        one, two = (sum(each) / len(each) for each in gains.values())
        for key, mean, each in (("single", one, gains[1]), ("multi", two, gains[2])):
            yield Finding(key, mean, "simulated", len(each), (min(each), max(each)), "interval: the models")
        yield Finding("larger", two / one if one > 0 else 0.0, "simulated", len(gains[1]))
        yield Finding("simple", min(over), "simulated", len(over), (min(over), max(over)), "interval: all cases")
        yield Finding(
            "links", max(slower), "simulated", len(slower), (min(slower), max(slower)), "interval: all cases"
        )
        yield Table(
            "A step on the test", ("model", "combine", "nodes", "placement", "objective, µs", "step, µs", "computing, µs",
            "busiest device over mean", "MB between devices"), rows, "objective: on the profile; ILP in two stages alone, and as it comes, improved step by step",
        )  # fmt: skip
        yield Finding(
            "replicated",
            sum(saved) / len(saved),
            "simulated",
            len(saved),
            (min(saved), max(saved)),
            "interval: the models",
        )
        yield Table("Busy experts held again, from experts in order", ("model", "nodes", "more memory, %", "copies", "step, µs",
                    "ILP without copies, µs"), copies, "a token goes to any device that holds its expert; copies that gain nothing on the profile are left out")  # fmt: skip

    def _other_links(self, bench: Bench, traces: dict[str, Split]) -> Iterator[Shown]:
        from shoal.study._moetuner_fleets import cases

        rows: list[tuple[Cell, ...]] = []
        for gb in bench.each([*map(float, words(self.others_gb))] if self.others_gb else [], "GB/s inside nodes"):
            for name, split in traces.items():
                rows += [
                    (name, gb, case.nodes.count, self._gain(case))
                    for case in cases(split, 1e9 * gb, self.step_tokens, "stay")
                ]
        if rows:
            columns = ("model", "inside nodes, GB/s", "nodes", "saved over experts in order, %")
            yield Table("Slower links, ten times slower still between nodes", columns, rows)

    def _domains(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study._moetuner_fleets import cases
        from shoal.study._moetuner_text import routes

        rows: list[tuple[Cell, ...]] = []
        kept = []
        for name in bench.each(words(self.models), "another kind of text"):
            own, test = routes(name, ("source",), 2 * self.documents, self.stretches).split()
            prose, _ = routes(name, ("docstrings",), 2 * self.documents, self.stretches).split()
            gains = [
                self._gain(list(cases((each, test), 1e9 * self.inside_gb, self.step_tokens, "stay"))[1])
                for each in (own, prose)
            ]
            rows.append((name, *gains))
            kept.append(gains[1] / gains[0] if gains[0] > 0 else 1.0)
        yield Finding(
            "domain", sum(kept) / len(kept), "simulated", len(kept), (min(kept), max(kept)), "interval: the models"
        )
        yield Table(
            "Saved on Python source, two nodes", ("model", "profile of source, %", "profile of docstrings, %"), rows
        )

    def _workers(self, bench: Bench, traces: dict[str, Split]) -> Iterator[Shown]:
        from shoal.study import _moetuner_workers as real
        from shoal.study._moetuner_text import STRETCH
        from shoal.train.language import corpus, stretches

        bench.say("worker processes")
        symbols = stretches(corpus()[1][: 4 * STRETCH + 1], STRETCH).x
        profiles = {name: profile for name, (profile, _) in traces.items()}
        yield from real.run(list(traces), self.workers, symbols, profiles, self.time_limit_s)

    def _gain(self, case: Case) -> float:
        found = case.placed(("contiguous", self._ilp))
        before, after = (case.step_s(each.placement) for each in found.values())
        return 100 * (1 - after / before)


class _Judged:
    """A case's placements, and what they cost on the test."""

    def __init__(self, case: Case, ilp: str, seeds: int) -> None:
        from shoal.study._moetuner_fleets import SIMPLE

        self._ilp, self._simple = ilp, SIMPLE
        self._found = case.placed((*SIMPLE, f"{ilp},polish=false", ilp))
        self._tested = {name: case.tested(each.placement) for name, each in self._found.items()}
        self._seconds = {name: found.compute_s + taken_s for name, (found, taken_s) in self._tested.items()}
        drawn = case.random(seeds)
        self._random_objective_s = min(each.objective_s for each in drawn)
        self._random_s = sum(case.step_s(each.placement) for each in drawn) / seeds
        self._case = case

    @property
    def ratio(self) -> float:
        """The ILP's objective over the least of the baselines, each random one among them."""
        least = min(self._random_objective_s, *(self._found[each].objective_s for each in self._simple))
        return self._found[self._ilp].objective_s / least

    @property
    def gain(self) -> float:
        """Per cent of a step saved over experts in order."""
        return 100 * (1 - self._seconds[self._ilp] / self._seconds["contiguous"])

    @property
    def over_simple(self) -> float:
        """… over the best that is simple, the mean of random ones included."""
        best = min(self._random_s, *(self._seconds[each] for each in self._simple))
        return 100 * (1 - self._seconds[self._ilp] / best)

    def replicated(self) -> Iterator[tuple[Cell, ...]]:
        """For the table of copies."""
        for spare in SPARES:
            copies, step_s = self._case.replicated(spare)
            yield 100 * spare, copies, 1e6 * step_s, 1e6 * self._seconds[self._ilp]

    @property
    def over_replicated(self) -> float:
        """Per cent saved over experts in order with copies in `SPARE` more memory."""
        return 100 * (1 - self._seconds[self._ilp] / self._case.replicated(SPARE)[1])

    @property
    def links(self) -> float:
        """Exchanges simulated over what the evaluator says, worst."""
        return max(taken_s / found.exchange_s for found, taken_s in self._tested.values())

    def rows(self) -> Sequence[tuple[Cell, ...]]:
        """For the table."""
        rows: list[tuple[Cell, ...]] = []
        for name, each in self._found.items():
            judged, _ = self._tested[name]
            label = {self._ilp: "ilp", f"{self._ilp},polish=false": "ilp, two stages"}.get(name, name)
            rows.append((label, 1e6 * each.objective_s, 1e6 * self._seconds[name], 1e6 * judged.compute_s, judged.load,
                         judged.crossing_bytes / 1e6))  # fmt: skip
        return [*rows, ("random, mean", None, 1e6 * self._random_s, None, None, None)]
