"""EdgeMoE: experts on slow storage, in bits of their own, foreseen and fetched before they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Chart,
    Claim,
    Finding,
    Holds,
    Note,
    Series,
    Shown,
    Source,
    Table,
    Within,
    untestable,
    words,
)

if TYPE_CHECKING:
    from shoal.store import Told
    from shoal.study._edgemoe_runs import Engine, Lab, Ran
    from shoal.study.contract import Cell

LRU, OWN, ROUTER = "LRU on demand", "distance, path table", "distance, next router"
DEMAND, MEMORY = "on demand", "all in memory"
ENDLESS = float("inf")
SHOWN_USES = 16


@dataclass(frozen=True)
class Edgemoe:
    """A small trained model decodes text held out while its experts lie in a file, read by a thread of its own.

    The file is read past the system's cache; a slower store is emulated by holding that thread to a rate. All engines are
    one program that differs in what is kept, what leaves and what is fetched beforehand. Memory is told from outside a
    process, of a larger model of random weights. Predictors learn from routes of training text and go on learning. Bits
    are given on one half of the text held out and judged on the other. What a rate makes of a run is foretold by
    replaying the record of a run at a higher one.
    """

    models: str = "mixtral+experts16"  # small trained models with experts, separated by +; the first one decodes
    tokens: int = 128  # decoded in a run
    rounds: int = 5  # of all engines in turn
    preloaded: int = 2  # experts foreseen for the next layer
    rate_mb: float = 20.0  # MB/s of the emulated store
    rates_mb: str = "20+60+200"  # … of further runs of two engines, separated by +
    rows: int = 64  # stretches of 128 bytes that predictors learn from
    held_rows: int = 24  # … that they are judged on
    bit_rows: int = 24  # … that bits are given on, and as many that they are judged on
    tolerance: float = 0.05  # rise of the loss that is allowed for fewer bits
    seeds: int = 6  # of orders drawn

    title = "EdgeMoE: experts on slow storage, fetched before they are asked for"
    source = Source(
        "Yi et al.",
        "EdgeMoE: Fast On-Device Inference of MoE-based Large Language Models",
        2023,
        arxiv="2308.14352",
    )
    quick = "models=mixtral,tokens=6,rounds=1,rate_mb=200,rates_mb=400+200,rows=8,held_rows=4,bit_rows=4,seeds=2"
    claims = (
        Claim("same", "logits equal those of the model in memory to the last bit, for every policy, prefetching or not", None,
              "", Holds()),
        Claim("expert_bytes", "most memory for experts with a budget of half of their bytes, of all their bytes",
              "substantial saving", "%", AtMost(50)),
        Claim("resident", "resident memory saved, as told from outside the process, of the expert bytes left out",
              "substantial saving", "%", AtLeast(80)),
        Claim("path_popularity", "recall of the path table over popularity, least of layers and models", None, "×",
              AtLeast(1)),
        Claim("path_random", "… over random", None, "×", AtLeast(1)),
        Claim("router_popularity", "recall of the next layer's router over popularity, least of layers and models", None, "×",
              AtLeast(1)),
        Claim("router_random", "… over random", None, "×", AtLeast(1)),
        Claim("on_demand", "tokens/s with path table and policy at half of the bytes over loading on demand", "1.1–2.8", "×",
              AtLeast(1.1)),
        Claim("prefetch", "tokens/s with path table and policy over LRU on demand, both at half of the bytes", None, "×",
              AtLeast(1)),
        Claim("prefetch_router", "… with the next layer's router instead of the path table", None, "×", AtLeast(1)),
        Claim("overlap", "of the time in which preloads are read, the share in which nobody waits", None, "%", AtLeast(50)),
        Claim("oracle", "no policy and no run reads fewer records than the oracle for the same uses", None, "", Holds()),
        Claim("replay", "tokens/s foretold from a record at the highest rate over those measured at lower ones, the worst", None,
              "×", Within(relative=0.15, target=1)),
        Claim("bits_even", "loss with bits alike less that with 8, 4 and 2 by sensitivity at the same bytes, least of cases",
              None, "mnats", AtLeast(0)),
        Claim("bits_drawn", "… with experts lowered in an order drawn, mean of orders", None, "mnats", AtLeast(0)),
        Claim("tolerance", "rise of the loss on the other half of the text, bits given within 5 %", 5, "%", AtMost()),
        Claim("saved", "expert bytes saved within the tolerance, of four bits alike", "5–18", "%", AtLeast(5)),
        Claim("refused", "budgets below a token's experts, damaged stores and models without experts are refused", None, "",
              Holds()),
        Claim("boards", "Switch Transformers on a Jetson TX2 and a Raspberry Pi 4B over on-demand loading", "1.1–2.8", "×",
              AtLeast(1.1)),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Exactness and engines on one model, memory from outside, then predictors and bits on each."""
        from shoal.study._edgemoe_runs import lab

        yield Note(f"Stores at {self.rates_mb} MB/s are emulated: the thread that reads is held to the rate.")
        made = lab(words(self.models)[0], self.rows, self.tokens, bench.scratch, self.preloaded)
        yield from self._exact(bench, made)
        yield from self._engines(bench, made)
        yield from self._rates(bench, made)
        yield from self._memory(bench)
        yield from self._refused(made)
        yield from self._recalls(bench)
        yield from self._bits(bench)
        yield untestable("boards", "takes those boards and models")

    def _exact(self, bench: Bench, made: Lab) -> Iterator[Shown]:
        from shoal import catalog
        from shoal.llm.library import transformers_module
        from shoal.store import POLICIES
        from shoal.study._edgemoe_runs import Engine, reads_by_policy, uses_of

        bench.say("every policy")
        torch, half = transformers_module("torch"), len(made.experts) // 2
        wanted = made.ran(Engine(MEMORY, memory=True), ENDLESS).logits
        recorded = made.ran(Engine(LRU, half), ENDLESS).told
        assert recorded is not None
        runs = [
            made.ran(Engine(policy, half, policy=policy, predictor=predictor), ENDLESS, uses_of(recorded))
            for policy in catalog.names(POLICIES)
            for predictor in ("", "path_table", "next_router")
        ]
        yield Finding("same", all(bool(torch.equal(each.logits, wanted)) for each in runs), "measured", len(runs))
        told = [each.told for each in runs if each.told is not None]
        sizes = sum(size for _, size in recorded.sizes)
        peak = max(each.peak_bytes for each in told)
        yield Finding("expert_bytes", 100 * peak / sizes, "measured", len(told))
        reads = reads_by_policy(recorded)
        least = min(*reads.values(), *(each.records_read for each in told))
        yield Finding("oracle", reads["oracle"] <= least, "computed", len(reads) + len(told))
        uses = len(uses_of(recorded))
        yield Table(
            "Replayed without preloads, half of the expert bytes",
            ("policy", "records read", "hits, %"),
            [(name, float(count), 100 * (1 - count / uses)) for name, count in sorted(reads.items(), key=lambda each: each[1])],
        )  # fmt: skip

    def _engines(self, bench: Bench, made: Lab) -> Iterator[Shown]:
        from shoal.study._edgemoe_runs import overlapped

        runs: dict[str, list[Ran]] = {}
        for _ in bench.each(tuple(f"round {at}" for at in range(1, self.rounds + 1)), "engines"):
            for engine in self._all(made):
                runs.setdefault(engine.name, []).append(made.ran(engine, 1e6 * self.rate_mb))
        rates = {name: median(each.tokens_per_s for each in found) for name, found in runs.items()}
        for key, one, other in (
            ("on_demand", OWN, DEMAND), ("prefetch", OWN, LRU), ("prefetch_router", ROUTER, LRU),
        ):  # fmt: skip
            ratios = [a.tokens_per_s / b.tokens_per_s for a, b in zip(runs[one], runs[other], strict=True)]
            yield Finding(
                key, median(ratios), "emulated", len(ratios), (min(ratios), max(ratios)), "interval: all rounds"
            )
        shares = [
            100 * overlapped(each.told) for name in (OWN, ROUTER) for each in runs[name] if each.told is not None
        ]
        yield Finding("overlap", median(shares), "emulated", len(shares), (min(shares), max(shares)))
        yield self._table(made, runs, rates)
        yield from self._timelines(runs)
        yield Chart("Engines", "engine", "tokens/s", (Series(f"{self.rate_mb:g} MB/s, emulated", tuple(rates), tuple(rates.values())),),
                    kind="bars")  # fmt: skip

    def _timelines(self, runs: dict[str, list[Ran]]) -> Iterator[Shown]:
        """The end of the last round, without and with foresight."""
        from shoal.study._reading import reading

        for name in (LRU, OWN):
            told = runs[name][-1].told
            assert told is not None
            last = told.uses[-SHOWN_USES:]
            yield reading(f"Reading beside computing: {name}", told, (last[0].asked_s, last[-1].ended_s),
                          f"the last {len(last)} times a layer asked for experts; {self.rate_mb:g} MB/s, emulated")  # fmt: skip

    def _all(self, made: Lab) -> tuple[Engine, ...]:
        from shoal.study._edgemoe_runs import Engine

        half = len(made.experts) // 2
        return (
            Engine(MEMORY, memory=True),
            Engine(DEMAND),
            Engine(f"{DEMAND}, int8", form="int8"),
            Engine(f"{DEMAND}, int4", form="int4"),
            Engine(LRU, half),
            Engine("most popular pinned", half, pinned=True),
            Engine(OWN, half, policy="distance", predictor="path_table"),
            Engine(ROUTER, half, policy="distance", predictor="next_router"),
        )

    def _table(self, made: Lab, runs: dict[str, list[Ran]], rates: dict[str, float]) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for name, found in runs.items():
            told = found[-1].told
            if told is None:
                rows.append((name, rates[name], made.file()[1] * len(made.experts) / 1e3, None, None, None, None))
            else:
                rows.append((name, rates[name], told.peak_bytes / 1e3, 100 * told.hit_rate, 100 * told.late_rate, told.stall_s,
                             told.read_bytes / 1e6))  # fmt: skip
        columns = ("engine", "tokens/s", "memory for experts, kB", "hits, %", "late, %", "waiting, s", "read, MB")
        return Table(f"{self.tokens} bytes decoded, store at {self.rate_mb:g} MB/s (emulated)", columns, rows,
                     "late: asked for while on its way; the figures but tokens/s are of the last round")  # fmt: skip

    def _rates(self, bench: Bench, made: Lab) -> Iterator[Shown]:
        """Runs at several rates, and what the quickest one that is emulated foretells of the others."""
        from shoal import catalog
        from shoal.sim.storage import replayed

        rows: list[tuple[Cell, ...]] = []
        ratios: list[float] = []
        engines = [each for each in self._all(made) if each.name in (DEMAND, LRU, OWN, ROUTER)]
        for engine in engines:
            bench.say(f"rates: {engine.name}")
            policy = catalog.make("store/policies", engine.policy)
            known: Told | None = None
            for rate_mb in (None, *sorted(map(float, words(self.rates_mb)), reverse=True)):
                rate = 1e6 * rate_mb if rate_mb else ENDLESS
                told = made.ran(engine, rate).told
                assert told is not None
                said = None if known is None else self.tokens / replayed(known, policy, told.tier).seconds
                known = known or (told if rate_mb else None)
                obtained = self.tokens / told.seconds
                ratios += [] if said is None else [said / obtained]
                rows.append((engine.name, rate_mb, obtained, said, 100 * told.hit_rate, told.stall_s))
        worst = max(ratios, key=lambda each: abs(each - 1))
        yield Finding(
            "replay", worst, "simulated", len(ratios), (min(ratios), max(ratios)), "interval: all engines and rates"
        )
        yield Table("Rates of the store: measured, and foretold from the record of the highest",
                    ("engine", "MB/s", "tokens/s", "foretold", "hits, %", "waiting, s"), rows,
                    f"without a rate: the file itself, {made.read_how()}; with one: emulated")  # fmt: skip

    def _memory(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study._edgemoe_memory import EXPERTS, peaks_bytes

        bench.say("memory from outside")
        whole, rest = peaks_bytes(bench.scratch, EXPERTS // 2)
        yield Finding("resident", 100 * (whole - rest) / (EXPERTS - EXPERTS // 2), "measured", 1,
                      why=f"peak while it decodes: {whole / 1e6:.0f} MB with all in memory, {rest / 1e6:.0f} MB with half")  # fmt: skip

    def _refused(self, made: Lab) -> Iterator[Shown]:
        from shoal.errors import LimitError, ModelError
        from shoal.llm.offload.experts import Budget, offload
        from shoal.llm.tiny import tiny

        path, record = made.file()
        cut = path.with_name("cut")
        cut.write_bytes(path.read_bytes()[:-1])
        found = []
        for model, file, room, kind in (
            (made.model, path, record, LimitError),
            (made.model, cut, 4 * record, ModelError),
            (tiny("llama").module(), path, 4 * record, ModelError),
        ):
            try:
                offload(model, file, Budget(room)).undo()
            except kind as fault:
                found.append(fault.message)
        yield Finding("refused", len(found) == 3, "measured", 3, why="; ".join(found))

    def _recalls(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study._edgemoe_guess import recalls

        found = {
            name: recalls(name, self.rows, self.held_rows) for name in bench.each(words(self.models), "predictors")
        }
        for key, one in (("path", "path_table"), ("router", "next_router")):
            for other in ("popularity", "random"):
                ratios = [a / b for each in found.values() for a, b in zip(each[one], each[other], strict=True)]
                yield Finding(f"{key}_{other}", min(ratios), "measured", len(ratios),
                              (min(ratios), max(ratios)), "interval: all layers and models")  # fmt: skip
        for name, each in found.items():
            layers = [f"layer {at + 1}, %" for at in range(len(each["random"]))]
            rows: list[tuple[Cell, ...]] = [
                (predictor, *(100 * value for value in values)) for predictor, values in each.items()
            ]
            yield Table(f"{name}: share of a token's experts foreseen", ("predictor", *layers), rows,
                        "on text held out, of as many experts as a token has")  # fmt: skip

    def _bits(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study._edgemoe_bits import judged

        found = {
            name: judged(name, self.bit_rows, self.tolerance, self.seeds)
            for name in bench.each(words(self.models), "bits")
        }
        cases = [case for each in found.values() for case in each.at_bytes]
        even = [1e3 * (case.even - case.sensitive) for case in cases]
        drawn = [1e3 * (sum(case.drawn) / len(case.drawn) - case.sensitive) for case in cases]
        yield Finding(
            "bits_even", min(even), "measured", len(even), (min(even), max(even)), "interval: all models and bytes"
        )
        yield Finding(
            "bits_drawn",
            min(drawn),
            "measured",
            len(drawn),
            (min(drawn), max(drawn)),
            "interval: all models and bytes",
        )
        yield Note("Bits alike are 6, 5 and 3, between the widths 8, 4 and 2: a mix of two widths errs by the coarser one, and "
                   "experts of the small models differ too little in how sensitive they are to make up for that.")  # fmt: skip
        rises, saved = [100 * each.rise for each in found.values()], [100 * each.saved for each in found.values()]
        yield Finding(
            "tolerance", max(rises), "measured", len(rises), (min(rises), max(rises)), "the largest of the models"
        )
        yield Finding(
            "saved", min(saved), "measured", len(saved), (min(saved), max(saved)), "the least of the models"
        )
        yield Table(
            "Rise of the loss at the same bytes, nats a byte",
            ("model", "bits alike", "by sensitivity", "alike", "order drawn, mean", "… least", "… largest"),
            [
                (name, float(case.bits), case.sensitive, case.even, sum(case.drawn) / len(case.drawn), min(case.drawn), max(case.drawn))
                for name, each in found.items() for case in each.at_bytes
            ],
            "; ".join(f"{name} within the tolerance: {each.counts}" for name, each in found.items()),
        )  # fmt: skip
