"""D²MoE: experts in bits that nest, a second router that chooses bits, and the hottest expert's bits brought first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
    from shoal.study._d2moe_lab import Lab
    from shoal.study._d2moe_loss import Losses
    from shoal.study._d2moe_runs import Ran, Runner


@dataclass(frozen=True)
class D2moe:
    """Experts of small trained models lie in one file, a plane of bits a record; a second router says how many are read.

    All engines are one program that differs in what bits are asked for, in which order they come, what leaves and what is
    fetched beforehand; text is given, so that all meet the same. Stores are held to a rate (emulated). Losses are of text
    held out from training, codes are fitted on text of it. Ordinary INT8 has a scale a row, ordinary INT4 a scale and a
    zero for 64 columns, searched. Bytes are the file's, with all scales, in whole pages. Published shapes are simulated by
    the same decisions on routes of the small models; there a device's bandwidths are inputs.
    """

    models: str = "mixtral+experts16"  # small trained models with experts, separated by +; the first one decodes
    fit_rows: int = 32  # stretches of 128 bytes that codes, thresholds and heads are fitted on
    held_rows: int = 96  # … that losses are taken on
    head_rows: int = 24  # … of both kinds for routers, each token in bits of its own
    head_steps: int = 200  # of learning the second router's heads
    proofs: int = 64  # experts, at most, that are read in every width, at once and bit by bit
    requests: int = 12  # decoded side by side, a multiple of 3
    tokens: int = 16  # of each
    rounds: int = 3  # of all engines in turn
    rate_mb: float = 4.0  # MB/s of the emulated store: a page, a plane of small experts, in a millisecond
    rates_mb: str = "8+2"  # … of further runs, foretold from a record at the first
    share: float = 0.45  # budget, of what the experts take in INT8
    layers: int = 2000  # drawn for the bound
    hidden: int = 1024  # width of the experts whose memory is seen from outside
    steps: int = 6  # simulated, of published shapes
    flash_gb: float = 2.5  # GB/s, 2 to 3 of a common drive
    memory_gb: float = 200.0  # GB/s of the simulated device's memory
    tflops: float = 10.0  # … of its arithmetic
    seed: int = 0  # of layers drawn

    title = "D²MoE: nested bits of experts, routed and brought hottest first"
    source = Source("Wang et al.", "D²MoE: Dual Routing and Dynamic Scheduling for Efficient On-Device MoE-based LLM Serving",
                    2025, arxiv="2504.15299", venue="MobiCom 2025")  # fmt: skip
    quick = ("models=mixtral,fit_rows=2,held_rows=2,head_rows=2,requests=3,tokens=3,rounds=1,rate_mb=200,rates_mb=400,"
             "layers=20,hidden=64,steps=1,head_steps=4,proofs=3")  # fmt: skip
    claims = (
        Claim("nested", "codes of each width are the top bits of eight, read at once or plane by plane", None, "", Holds()),
        Claim("bytes", "bytes read are those of the planes asked for, scales among them, each once", None, "", Holds()),
        Claim("int8", "loss of nested eight bits over that of ordinary INT8, the worst model", None, "%", AtMost(0.5)),
        Claim("monotone", "rise of the loss with one bit more, the most of widths and models", None, "%", AtMost(0.1)),
        Claim("int4", "loss of nested four bits over that of INT4 of its own, the worst model", None, "%", AtMost(1)),
        Claim("two", "loss of truncation less that of fitted codes at two bits, the least of models", None, "mnats",
              AtLeast(0)),
        Claim("three", "… at three bits", None, "mnats", AtLeast(0)),
        Claim("weight", "loss of even bits less that of bits by weight at the same mean, the least of cases", None, "mnats",
              AtLeast(0)),
        Claim("head", "… of bits by learned heads", None, "mnats", AtLeast(0)),
        Claim("saved", "expert bytes resident less than INT8 resident, by the store, nothing ever leaving, loss within 1 % of "
              "INT8's", 53, "%", AtLeast(30)),
        Claim("resident", "resident memory saved as the system sees it, of what the store holds less", None, "%", AtLeast(80)),
        Claim("fifo", "tokens/s over FIFO at the same bits and memory", None, "×", AtLeast(1)),
        Claim("lru", "… over LRU", None, "×", AtLeast(1)),
        Claim("static", "… over static bits of the same mean, distance policy and prefetch, as EdgeMoE has it", None, "×",
              AtLeast(1)),
        Claim("copies", "… over a copy for each width", None, "×", AtLeast(1)),
        Claim("fifo8", "… over FIFO of INT8 alone", 1.39, "×", AtLeast()),
        Claim("bubbles", "seconds of bubbles hottest first over the fewest of the other greedy orders", None, "×", AtMost(1)),
        Claim("optimum", "span of random layers hottest first over the best of all orders, the worst", None, "×",
              AtMost(1.15)),
        Claim("classes", "loss is high ≤ normal ≤ low on the same text, classes together, each token in its own bits", None, "",
              Holds()),
        Claim("shared", "… all tokens of a step in the most bits that any needs of an expert", None, "", Holds()),
        Claim("mixed", "tokens/s of the three classes together over all high", None, "×", AtLeast(1)),
        Claim("replay", "tokens/s foretold from a record over those measured, the worst of rates", None, "×",
              Within(relative=0.15, target=1)),
        Claim("mixtral", "tokens/s over FIFO of INT8 at Mixtral-8x7B's shape", 1.39, "×", AtLeast()),
        Claim("olmoe", "… at OLMoE-1B-7B's", 1.39, "×", AtLeast()),
        Claim("refused", "missing or cut planes, bits that are not stored and budgets too small are refused", None, "", Holds()),
        Claim("boards", "throughput over on-device frameworks on the boards of the paper", 1.39, "×", AtLeast()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Codes and losses of each model, then runs of the first, then what is simulated."""
        from shoal.study._d2moe_lab import lab

        yield Note("Stores at a rate are emulated: the thread that reads is held to it.")
        labs = [
            lab(name, self.fit_rows, self.held_rows, bench.scratch)
            for name in bench.each(words(self.models), "codes")
        ]
        yield from self._nested(labs[0])
        yield from self._losses(bench, labs)
        yield from self._runs(bench, labs[0])
        yield from self._memory(bench)
        yield from self._bound()
        yield from self._shapes(bench, labs)
        yield from self._refused(labs[0])
        yield untestable("boards", "takes those boards and models")

    def _nested(self, made: Lab) -> Iterator[Shown]:
        from shoal.study._d2moe_proof import proven

        found = proven(made, self.proofs)
        yield Finding("nested", found.nested, "measured", found.cases)
        yield Finding("bytes", found.bytes, "measured", found.cases, why=found.told)

    def _losses(self, bench: Bench, labs: list[Lab]) -> Iterator[Shown]:
        from shoal.study._d2moe_loss import FEW, losses, routed

        found: dict[str, Losses] = {made.kind: losses(made) for made in bench.each(labs, "losses")}
        each = list(found.values())
        for key, ratios in (
            ("int8", [100 * (one.nested[8] / one.int8 - 1) for one in each]),
            ("monotone", [100 * one.worst_rise for one in each]),
            ("int4", [100 * (one.nested[4] / one.int4 - 1) for one in each]),
        ):
            yield Finding(
                key, max(ratios), "measured", len(ratios), (min(ratios), max(ratios)), "interval: all models"
            )
        for key, bits in (("two", 2), ("three", 3)):
            less = [1e3 * (one.truncated[bits] - one.nested[bits]) for one in each]
            yield Finding(key, min(less), "measured", len(less), (min(less), max(less)), "interval: all models")
        yield Table(
            "Loss from one file, nats a byte",
            ("model", "float32", *(f"{bits} bits" for bits in each[0].nested), "INT8", "INT4", *(f"truncated, {bits}" for bits in FEW),
             *(f"without scalars, {bits}" for bits in FEW)),
            [(name, one.plain, *one.nested.values(), one.int8, one.int4, *one.truncated.values(), *one.without.values())
             for name, one in found.items()],
            "without scalars: searched and fed back, but no gain and offset of a width's own",
        )  # fmt: skip
        yield Chart("Loss by bits", "bits", "nats a byte", tuple(
            Series(name, tuple(map(float, one.nested)), tuple(one.nested.values())) for name, one in found.items()))  # fmt: skip
        rows = [
            (made.kind, one)
            for made in bench.each(labs, "routers")
            for one in routed(made, self.head_rows, self.head_steps)
        ]
        for key, router in (("weight", "by weight"), ("head", "by head")):
            gains = [1e3 * (one.even - one.loss) for _, one in rows if one.router == router]
            yield Finding(
                key, min(gains), "measured", len(gains), (min(gains), max(gains)), "interval: models and means"
            )
        yield Table("Each token in bits of its own, against the same for all",
                    ("model", "router", "mean bits", "loss", "loss of even bits"),
                    [(name, one.router, one.mean_bits, one.loss, one.even) for name, one in rows],
                    "even: between the widths beside in proportion")  # fmt: skip

    def _runs(self, bench: Bench, made: Lab) -> Iterator[Shown]:
        from shoal.study._d2moe_runs import Runner

        every = made.held.ravel()
        symbols = every[: self.requests * (self.tokens + 1)].reshape(self.requests, -1)
        runner = Runner(made, symbols, int(self.share * made.int8_bytes()), 1e6 * self.rate_mb)
        yield from self._engines(bench, runner)
        yield from self._classes(bench, runner)
        yield from self._resident(bench, runner)
        yield from self._replayed(bench, runner)

    def _engines(self, bench: Bench, runner: Runner) -> Iterator[Shown]:
        from statistics import median

        from shoal.study._d2moe_runs import COPIES, ENGINES, HEBF, NUMBER, PER_BYTE, bubbles_s

        runs: dict[str, list[Ran]] = {}
        for _ in bench.each(tuple(f"round {at}" for at in range(1, self.rounds + 1)), "engines"):
            for engine in ENGINES:
                runs.setdefault(engine.name, []).append(runner.ran(engine))
        for key, other in (
            ("fifo", "FIFO, routed bits"), ("lru", "LRU, routed bits"), ("static", "static bits, distance, ahead"),
            ("copies", COPIES), ("fifo8", "FIFO, INT8"),
        ):  # fmt: skip
            ratios = [a.tokens_per_s / b.tokens_per_s for a, b in zip(runs[HEBF], runs[other], strict=True)]
            yield Finding(
                key, median(ratios), "emulated", len(ratios), (min(ratios), max(ratios)), "interval: all rounds"
            )
        waits = {name: median(bubbles_s(each.told) for each in found) for name, found in runs.items()}
        rounds = zip(
            *(map(bubbles_s, [each.told for each in runs[name]]) for name in (HEBF, PER_BYTE, NUMBER)), strict=True
        )
        ratios = [own / min(others) for own, *others in rounds]
        yield Finding("bubbles", median(ratios), "emulated", len(ratios), (min(ratios), max(ratios)), "interval: all rounds; "
                      "the same planes, bits, policy and prefetch; against tokens per byte and by number")  # fmt: skip
        yield Table(
            f"{self.requests} requests of {self.tokens} bytes, store at {self.rate_mb:g} MB/s (emulated), {100 * self.share:g} % of INT8's bytes",
            ("engine", "tokens/s", "bits brought", "loss", "hits, %", "bubbles, s", "read, MB"),
            [(name, median(each.tokens_per_s for each in found), found[-1].mean_bits, found[-1].loss, 100 * found[-1].told.hit_rate,
              waits[name], found[-1].told.read_bytes / 1e6) for name, found in runs.items()],
            "bits brought: of experts multiplied; hits are of records",
        )  # fmt: skip

    def _classes(self, bench: Bench, runner: Runner) -> Iterator[Shown]:
        """Each request is of each class once, so that all classes are judged on the same text."""
        from shoal.llm.offload.bit_router import CLASSES
        from shoal.study._d2moe_runs import by_class

        bench.say("classes")
        found = by_class(runner, tuple(CLASSES), self.head_rows)
        for key, losses, count in (
            ("classes", found.own, self.head_rows * runner.made.held.shape[1]),
            ("shared", found.losses, runner.symbols.size),
        ):
            high, normal, low = (losses[name] for name in CLASSES)
            why = f"{high:.4f}, {normal:.4f} and {low:.4f} nats a byte"
            yield Finding(key, high <= normal <= low, "measured", count, why=why)
        yield Finding("mixed", found.mixed_per_s / found.high_per_s, "emulated", 3)
        yield Table("Classes of requests, served together", ("class", "mean bits", "loss", "loss in bits of its own"),
                    [(name, CLASSES[name], found.losses[name], found.own[name]) for name in CLASSES],
                    "loss: of the few bytes decoded; in bits of its own: of more text, each token in the bits that it asks for")  # fmt: skip

    def _resident(self, bench: Bench, runner: Runner) -> Iterator[Shown]:
        from shoal.study._d2moe_runs import residents

        bench.say("resident")
        int8_bytes = runner.made.int8_bytes()
        int8, *others = residents(runner)
        allowed = [each for each in others if each.loss <= 1.01 * int8.loss]
        if allowed:
            best = min(allowed, key=lambda each: each.bytes)
            yield Finding("saved", 100 * (1 - best.bytes / int8_bytes), "measured", 1, why=f"{best.name}")
        else:
            yield Finding("saved", 0.0, "measured", len(others), why="no setting is within 1 % of INT8")
        yield Table("All experts resident: bytes in the store, loss", ("setting", "kB", "of INT8, %", "loss", "over INT8, %"),
                    [(each.name, each.bytes / 1e3, 100 * each.bytes / int8_bytes, each.loss, 100 * (each.loss / int8.loss - 1))
                     for each in (int8, *others)])  # fmt: skip

    def _replayed(self, bench: Bench, runner: Runner) -> Iterator[Shown]:
        from shoal.study._d2moe_runs import foretold

        rates = [1e6 * float(each) for each in words(self.rates_mb)]
        rows = foretold(runner, rates)
        bench.say("replay")
        ratios = [each.said / each.obtained for each in rows]
        worst = max(ratios, key=lambda each: abs(each - 1))
        yield Finding(
            "replay", worst, "simulated", len(ratios), (min(ratios), max(ratios)), "interval: engines and rates"
        )
        yield Table("Measured, and foretold from the record of the same engine at the first rate",
                    ("engine", "MB/s", "tokens/s", "foretold"),
                    [(each.name, each.rate / 1e6, each.obtained, each.said) for each in rows], "emulated")  # fmt: skip

    def _memory(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study._d2moe_memory import saved

        bench.say("memory from outside")
        found = saved(bench.scratch, 4, self.hidden)
        yield Finding("resident", 100 * found.share, "measured", 1, why=(
            f"peak {found.int8_peak_bytes / 1e6:.0f} MB with INT8 resident, {found.peak_bytes / 1e6:.0f} MB with four bits within "
            f"half of that; stores held {found.int8_held_bytes / 1e6:.0f} and {found.held_bytes / 1e6:.0f} MB"))  # fmt: skip

    def _bound(self) -> Iterator[Shown]:
        from shoal.study._d2moe_bound import bound

        found = bound(self.layers, self.seed)
        yield Finding("optimum", max(found.hottest), "computed", self.layers, (min(found.hottest), max(found.hottest)),
                      "interval: all layers")  # fmt: skip
        yield Table(
            "Spans over the best of all orders, 2 to 7 experts", ("order", "mean", "within 15 %, %", "worst"),
            [(name, sum(each) / len(each), 100 * sum(one <= 1.15 for one in each) / len(each), max(each)) for name, each in (
                ("hottest first", found.hottest), ("tokens per byte", found.per_byte), ("Johnson", found.johnson))],
            "a layer is a flow shop of two machines, for which Johnson's order is the best",
        )  # fmt: skip

    def _shapes(self, bench: Bench, labs: list[Lab]) -> Iterator[Shown]:
        from shoal.store import TierFigures
        from shoal.study._d2moe_shapes import ENGINES, SHAPES, Device, compared

        device = Device(1e9 * self.memory_gb, 1e12 * self.tflops, TierFigures("flash", 1e9 * self.flash_gb, 1e-4))
        rows = []
        for key, shape, made in zip(("mixtral", "olmoe"), SHAPES, (labs[0], labs[-1]), strict=True):
            bench.say(f"shape: {shape.name}")
            found = compared(shape, made.learned, device, self.requests, self.steps, self.share)
            rates = [rate for rate, _ in found]
            yield Finding(
                key,
                rates[-1] / rates[0],
                "simulated",
                self.steps,
                why=f"{shape.layers} layers, {made.kind}'s routes",
            )
            rows += [(shape.name, engine.name, *each) for engine, each in zip(ENGINES, found, strict=True)]
        yield Table(f"Flash at {self.flash_gb:g} GB/s, {100 * self.share:g} % of INT8's bytes in memory (simulated)",
                    ("shape", "engine", "tokens/s of so many layers", "bubbles, s"), rows)  # fmt: skip

    def _refused(self, made: Lab) -> Iterator[Shown]:
        from shoal.study._d2moe_proof import refusals

        found = refusals(made)
        yield Finding("refused", len(found) == 5, "measured", 5, why="; ".join(found))
