"""DAOP: experts placed by the prompt on a fast and a slow device, those foreseen computed ahead on the slow one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    from shoal.study._daop_lab import Lab
    from shoal.study.contract import Cell

KINDS = ("prose", "code", "licences")
OWN = "precalc+degrade"
HIDDEN, OPEN = 0.6, 3.0  # of a layer here: what the worker takes for a token in an expert


@dataclass(frozen=True)
class Daop:
    """A small trained model decodes text held out while this process has memory for some of its experts only.

    A worker process, on a core of its own, has all of them and computes what is missing, on request ("exact"; without
    exchange and expert by expert as Fiddler does) or a layer ahead by what the next router says ("precalc"). The way from
    the file of experts to this process is held to a rate, and for speeds so is the worker: both emulated. Experts are placed
    by routes of training text; hits are counted on recorded routes. Text is of three kinds: documentation held out, source
    of Python's library without what is documentation, and licences of installed packages. On a graphics card two devices
    are simulated by the constants of the publication, on routes of the deep small model, its eight layers repeated four
    times, of other texts each.
    """

    models: str = "mixtral+mixtral_deep+experts16"  # small trained models, separated by +; the first one is timed
    deep: str = "mixtral_deep"  # the one of whose routes Mixtral's 32 layers are made
    rows: int = 64  # stretches of 128 bytes that experts are placed by
    held: int = 8  # … of each kind of text held out
    prompt: int = 48  # bytes of a stretch that are read at once
    tokens: int = 80  # decoded in a comparison of answers
    rounds: int = 3  # of all ways in turn, timed
    timed: int = 2  # stretches decoded in each
    ratios: str = "25+50+75"  # % of all experts that there is memory for, separated by +
    rate_mb: float = 10.0  # MB/s of the way to this process, emulated
    outputs: str = "16+80"  # tokens after the prompt in simulated sequences, separated by +; the last one is judged
    sequences: int = 8  # simulated one after another

    title = "DAOP: experts over a fast and a slow device, and pre-calculation of those foreseen"
    source = Source(
        "Zhang, Aggarwal, Mitra",
        "DAOP: Data-Aware Offloading and Predictive Pre-Calculation for Efficient MoE Inference",
        2025,
        arxiv="2501.10375",
        venue="DATE 2025",
    )
    quick = "models=mixtral,rows=8,held=1,tokens=4,rounds=1,timed=1,deep=mixtral,outputs=2,sequences=2,ratios=50"
    claims = (
        Claim("same_tokens", "Fiddler's way and exact: the likeliest bytes are those of the model in one process, at every ratio",
              None, "", Holds()),
        Claim("same_logits", "… largest difference of a logit, of the largest logit", None, "", AtMost(1e-5)),
        Claim("whole", "memory for all experts: … in every way", None, "", AtMost(1e-5)),
        *(
            Claim(f"hits_{kind}", f"hits while decoding {kind}, experts exchanged for the prompt, less those placed by popularity;"
                  " mean of ratios and models", None, "points", AtLeast(0))
            for kind in KINDS
        ),
        Claim("recall", "share of a token's experts that the next router foresees, over popularity; least of layers not exempt",
              None, "×", AtLeast(1)),
        Claim("recall_early", "layers exempt are foreseen worse than the others; share of the former over that of the latter",
              "early layers expected worst", "×", AtMost(1)),
        Claim("accuracy", "rise of the loss on text held out, precalc+degrade over the model; worst of ratios and models",
              "accuracy kept", "%", AtMost(5)),
        Claim("precalc_speed", "tokens/s of precalc over exact where the worker is hidden", None, "×", AtLeast(1)),
        Claim("degrade_speed", "… of precalc+degrade", None, "×", AtLeast(1)),
        Claim("latency", "tokens/s by the model of two devices over those measured, worst of ways and workers", None, "×",
              Within(relative=0.2, target=1)),
        Claim("told", "whether the worker is hidden is said, and rightly", None, "", Holds()),
        Claim("on_demand", "A100, simulated: tokens/s over loading on demand, the ratio furthest from the middle",
              "up to 8.20", "×", Within(absolute=3, target=6)),
        Claim("fiddler", "… over Fiddler", "1.35", "×", Within(absolute=0.25, target=1.25)),
        Claim("prefetch", "… over loading what the next router foresees, least of ratios", "up to 8.20", "×", AtLeast(1)),
        Claim("a6000", "gain over loading on demand on an A6000, over that on an A100; least of ratios", None, "×", AtLeast(1)),
        Claim("refused", "memory below an expert, a router after the last layer and a worker that dies in the middle of a token"
              " are told; without it go on those who have all experts", None, "", Holds()),
        Claim("mixtral", "Mixtral-8x7B on one A6000", 4.5, "tokens/s", AtLeast()),
        Claim("phi", "Phi-3.5-MoE on one A6000", 8.2, "tokens/s", AtLeast()),
    )  # fmt: skip

    @property
    def _ratios(self) -> tuple[float, ...]:
        return tuple(float(each) / 100 for each in words(self.ratios))

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Answers and losses on every model, hits and recall by routes, speeds, then simulated cards."""
        from shoal.study._daop_lab import lab

        yield Note(f"The way to this process is held to {self.rate_mb:g} MB/s; where speeds are told, the worker is slowed, too: emulated.")  # fmt: skip
        yield Note(
            "Prose is documentation that was held out from training; texts of RFCs do not come with any package."
        )
        made = {name: lab(name, self.rows, bench.scratch) for name in bench.each(words(self.models), "routes of")}
        first = next(iter(made.values()))
        yield from self._same(bench, first)
        yield from self._hits(bench, made)
        yield from self._recall(bench, made)
        yield from self._accuracy(bench, made)
        yield from self._speeds(bench, first)
        yield from self._cards(bench)
        yield self._refused(first)
        yield untestable("mixtral", "takes 90 GB of weights and that card")
        yield untestable("phi", "takes 80 GB of weights and that card")

    def _same(self, bench: Bench, made: Lab) -> Iterator[Shown]:
        from shoal.plan.hosted_experts import WAYS
        from shoal.study._daop_lab import greedy, off, texts_of

        prompts = texts_of(KINDS, 1)[:, : self.prompt]
        wanted = [greedy(made.model, text[None], self.tokens) for text in prompts]
        same, logits, whole = list[bool](), list[float](), list[float]()
        for ratio in (*self._ratios, 1.0):
            with made.host(made.hosting(ratio, read_bytes_per_s=1e6 * self.rate_mb)) as host:
                for name, way in WAYS.items():
                    if ratio < 1 and way.early:
                        continue
                    bench.say(f"answers: {name}, memory for {ratio:.0%}")
                    host.again(way)
                    found = [greedy(made.model, text[None], self.tokens) for text in prompts]
                    differ = max(off(one[1], other[1]) for one, other in zip(found, wanted, strict=True))
                    (whole if ratio == 1 else logits).append(differ)
                    if not way.early:
                        same += [one[0] == other[0] for one, other in zip(found, wanted, strict=True)]
        yield Finding("same_tokens", all(same), "measured", len(same))
        yield Finding("same_logits", max(logits), "measured", len(logits))
        yield Finding("whole", max(whole), "measured", len(whole))

    def _hits(self, bench: Bench, made: dict[str, Lab]) -> Iterator[Shown]:
        from shoal.study._daop_routes import hits

        found = {
            (name, kind): hits(each, kind, self.held, self.prompt, self._ratios)
            for name, each in made.items()
            for kind in KINDS
        }
        for kind in KINDS:
            gains = [100 * (b - a) for (_, own), rates in found.items() if own == kind for a, b in rates]
            yield Finding(f"hits_{kind}", sum(gains) / len(gains), "computed", len(gains), (min(gains), max(gains)),
                          "interval: all ratios and models")  # fmt: skip
        columns = [f"{100 * ratio:g} % {how}, %" for ratio in self._ratios for how in ("popular", "exchanged")]
        rows: list[tuple[Cell, ...]] = [
            (name, kind, *(100 * value for pair in rates for value in pair))
            for (name, kind), rates in found.items()
        ]
        yield Table("Experts that are here when a token is decoded", ("model", "text", *columns), rows,
                    "memory for so many of all experts")  # fmt: skip

    def _recall(self, bench: Bench, made: dict[str, Lab]) -> Iterator[Shown]:
        from shoal.plan.hosted_experts import EXACT
        from shoal.study._daop_routes import recalls

        over, early = [], []
        for name in bench.each(tuple(made), "predictors"):
            found = recalls(made[name], KINDS, self.held)
            router, popular = found["next_router"], found["popularity"]
            first = EXACT.exempt - 1  # these lists begin with the second layer
            over += [a / b for a, b in zip(router[first:], popular[first:], strict=True)]
            early.append(max(router[:first]) / (sum(router[first:]) / len(router[first:])))
            yield Table(f"{name}: share of a token's experts foreseen, %",
                        ("predictor", *(f"layer {at + 1}" for at in range(len(router)))),
                        [(predictor, *(100 * each for each in values)) for predictor, values in found.items()])  # fmt: skip
        yield Finding(
            "recall", min(over), "computed", len(over), (min(over), max(over)), "interval: layers and models"
        )
        yield Finding(
            "recall_early", max(early), "computed", len(early), (min(early), max(early)), "interval: models"
        )

    def _accuracy(self, bench: Bench, made: dict[str, Lab]) -> Iterator[Shown]:
        from shoal.plan.hosted_experts import DEGRADE, EXACT, PRECALC
        from shoal.study._daop_lab import losses_nats, texts_of

        ways = {"exact": EXACT, "precalc": PRECALC, OWN: DEGRADE}
        texts, ratios = texts_of(KINDS, self.held), (*self._ratios, 1.0)
        rows, rises = list[tuple["Cell", ...]](), list[float]()
        for name in bench.each(tuple(made), "losses"):
            lab = made[name]
            plain = float(losses_nats(lab.model, texts, self.prompt).mean())
            found = dict[tuple[str, float], float]()
            for ratio in ratios:
                with lab.host(lab.hosting(ratio)) as host:
                    for label, way in ways.items():
                        host.again(way)
                        found[label, ratio] = float(losses_nats(lab.model, texts, self.prompt).mean())
            rises += [100 * (found[OWN, ratio] / plain - 1) for ratio in ratios]
            rows += [(name, label, *(found[label, ratio] for ratio in ratios), plain) for label in ways]
        yield Finding(
            "accuracy", max(rises), "measured", len(rises), (min(rises), max(rises)), "interval: ratios and models"
        )
        columns = ("model", "way", *(f"{100 * ratio:g} %" for ratio in (*self._ratios, 1.0)), "one process")
        yield Table("Loss on text held out, nats a byte, by memory for experts", columns, rows)

    def _speeds(self, bench: Bench, made: Lab) -> Iterator[Shown]:
        from shoal.cost.hosted_experts import Pace
        from shoal.llm.expert_hosting import hiding
        from shoal.plan.hosted_experts import EXACT, WAYS
        from shoal.study._daop_lab import Speed, emulated, layer_s, speed, texts_of

        texts, options = texts_of(KINDS, 1)[: self.timed], {"read_bytes_per_s": 1e6 * self.rate_mb}
        plain = made.pace(texts[:1], **options)
        told, ratios, rows = list[bool](), list[float](), list[tuple["Cell", ...]]()
        for share in (HIDDEN, OPEN):
            options["copy_s"] = emulated(made, plain, share)
            paces = list[Pace]()
            found: dict[str, list[Speed]] = {name: [] for name in WAYS}
            for _ in bench.each(tuple(range(1, self.rounds + 1)), f"the worker takes {share:g} of a layer, round"):
                paces.append(made.pace(texts[:1], **options))  # beside the runs: what is around changes
                with made.host(made.hosting(0.5, EXACT, pace=paces[-1], **options)) as host:
                    for name, way in WAYS.items():
                        host.again(way)
                        found[name].append(speed(made, host, texts, self.prompt))
            pace = sorted(paces, key=lambda each: layer_s(made, each) / each.slow_s)[len(paces) // 2]
            said = hiding(pace, made.learned.per_token)
            told.append(said.startswith("hidden") == (share == HIDDEN))
            if share == HIDDEN:
                for key, name in (("precalc_speed", "precalc"), ("degrade_speed", OWN)):
                    gains = [
                        a.tokens_per_s / b.tokens_per_s for a, b in zip(found[name], found["exact"], strict=True)
                    ]
                    yield Finding(key, median(gains), "emulated", len(gains), (min(gains), max(gains)), f"interval: rounds; {said}")  # fmt: skip
            for name, each in found.items():
                obtained, foretold = median(run.tokens_per_s for run in each), median(run.foretold for run in each)
                ratios.append(median(run.foretold / run.tokens_per_s for run in each))
                rows.append((name, 1e3 * pace.slow_s, obtained, foretold, ratios[-1], each[-1].slow))
        yield Finding("told", all(told), "emulated", len(told))
        yield Finding("latency", _furthest(ratios, 1.0), "emulated", len(ratios),
                      (min(ratios), max(ratios)), "interval: ways and workers")  # fmt: skip
        yield Table(f"Memory for half of the experts, {self.rate_mb:g} MB/s: tokens after the prompt",
                    ("way", "worker, ms", "tokens/s", "by the model", "model over measured", "tokens at the worker, a layer"), rows)  # fmt: skip

    def _cards(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study._daop_routes import carded

        gains = {}
        for output in map(int, words(self.outputs)):
            bench.say(f"cards: {output} tokens after each prompt")
            gains = carded(self.deep, self.rows, self.sequences, self.prompt, output, self._ratios)
            yield Table(f"Simulated, Mixtral-8x7B's shape, {output} tokens after a prompt of {self.prompt}: tokens/s",
                        ("card", "memory for experts, %", "on demand", "prefetched", "Fiddler", "exact", "precalc", OWN),
                        [(card, 100 * ratio, *rates.values()) for (card, ratio), rates in gains.items()])  # fmt: skip
        own = {key: {name: rates[OWN] / rate for name, rate in rates.items()} for key, rates in gains.items()}
        a100 = [own["A100", ratio] for ratio in self._ratios]
        for key, middle in (("on_demand", 6.0), ("fiddler", 1.25)):
            ratios = [each[key] for each in a100]
            yield Finding(key, _furthest(ratios, middle), "simulated", len(ratios),
                          (min(ratios), max(ratios)), "interval: ratios of memory")  # fmt: skip
        ahead = [each["prefetch"] for each in a100]
        yield Finding(
            "prefetch", min(ahead), "simulated", len(ahead), (min(ahead), max(ahead)), "interval: ratios of memory"
        )
        more = [own["A6000", ratio]["on_demand"] / own["A100", ratio]["on_demand"] for ratio in self._ratios]
        yield Finding(
            "a6000", min(more), "simulated", len(more), (min(more), max(more)), "interval: ratios of memory"
        )
        yield Chart("DAOP over others on an A100, simulated", "memory for experts, %", "×", tuple(
            Series(name, [100 * ratio for ratio in self._ratios], [each[name] for each in a100])
            for name in ("on_demand", "prefetch", "fiddler", "exact")
        ))  # fmt: skip
        yield Note("Of the cards only the two constants are published; the rest of a layer is what its weights take to read at the card's bandwidth, and 0.2 ms of launches: our choice.")  # fmt: skip

    def _refused(self, made: Lab) -> Finding:
        from shoal.study._daop_lab import refused, texts_of

        right, said = refused(made, texts_of(KINDS[:1], 1))
        return Finding("refused", right, "measured", 4, why=said)


def _furthest(ratios: Sequence[float], middle: float) -> float:
    return max(ratios, key=lambda each: abs(each - middle))
