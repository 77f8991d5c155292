"""INT v.s. FP: which numbers of few bits lose less at which block size, and what multiplying in them takes."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Claim,
    Finding,
    Holds,
    Note,
    Shown,
    Source,
    Table,
    Within,
    untestable,
    words,
)
from shoal.study._int_vs_fp_shown import (
    FORMATS,
    Gap,
    Losses,
    against_table,
    area,
    charts,
    close,
    gaps_row,
    gates,
    int8_wins,
    lead,
    lost_table,
    quartiles,
    saved,
)

if TYPE_CHECKING:
    from shoal.study._int_vs_fp_training import Recipe, Trained
    from shoal.study._networks import Network
    from shoal.study._operands import Operands

ALONE = "takes torch: pip install 'shoal[train]'"
OWN = "small_lm"
TRAINING = ("loss", "kl8", "kl4")


@dataclass(frozen=True)
class IntVsFp:
    """Theory by root search; what formats lose of real weights and activations, block by block, beside it.

    Operands of every product whose columns are whole blocks are taken from trained networks on real text and photos;
    grouped convolutions are left out. Products in four bits are computed from the rounded operands, as they are and
    turned by a Hadamard matrix of the block's size. A small model of the characters of Python's own descriptions is
    trained with all operands of its products rounded, forward and backward, and with none rounded, from the same
    weights on the same batches. A multiply-add's gates are counted as the publication counts them.
    """

    models: str = "minilm+efficientnet_lite0"  # trained ones, or light ones with seeded weights, separated by +
    items: int = 8  # that activations are taken from
    places: int = 512  # and rows, of each product
    turned: int = 16  # columns that a rotation turns together; 0: the largest power of two that divides them
    steps: int = 300  # of training
    repeats: int = 3  # trainings with other seeds
    values: int = 1 << 22  # drawn for the errors of narrow scales
    seed: int = 0  # of draws, signs and first weights

    title = "INT v.s. FP: which low-bit numbers lose less at which block size"
    source = Source(
        "Chen et al.", "INT v.s. FP: A Comprehensive Study of Fine-Grained Low-bit Quantization Formats", 2025,
        arxiv="2510.25602",
    )  # fmt: skip
    quick = "models=squeezenet+shufflenet,items=1,places=64,steps=4,repeats=1,values=1048576"
    claims = (
        Claim("crossover_mx8", "crest factor at which MXINT8 and MXFP8 are alike", 7.55, "", Within(relative=0.02)),
        Claim("crossover_mx6", "… MXINT6 and MXFP6", 1.96, "", Within(relative=0.02)),
        Claim("crossover_mx4", "… MXINT4 and MXFP4", 2.04, "", Within(relative=0.02)),
        Claim("crossover_nv4", "… NVINT4 and NVFP4", 2.39, "", Within(relative=0.05)),
        Claim("theory", "layers whose blocks lose what theory says, to 2 dB", None, "%", AtLeast(80.0)),
        Claim("int8", "operands of which MXINT8 loses less than MXFP8", 100.0, "%", AtLeast(90.0)),
        Claim("same", "rotated networks answer the same: largest difference, of the largest answer", None, "",
              AtMost(1e-4)),
        Claim("turned", "W4A4: by how much a rotation moves QSNR of NVINT4 − NVFP4 towards INT", 1.35, "dB",
              AtLeast(0.5)),
        Claim("nv4", "W4A4: QSNR of NVINT4 − NVFP4, rotated", 1.30, "dB", AtLeast(0.0)),
        Claim("loss", "loss after training in MXINT8 off that in float32", 0.12, "%", AtMost(1.0)),
        Claim("kl8", "products cast to eight bits: divergence of MXINT8 over MXFP8", "0.33, Qwen3-0.6B", "×", AtMost(0.99)),
        Claim("kl4", "… to four, rotated: divergence of NVINT4 over NVFP4", "0.65, Qwen3-0.6B", "×", AtMost(0.99)),
        Claim("overflow", "bfloat16 values that round to 128 at a scale of their own 127th part", 16.82, "%",
              Within(absolute=0.3)),
        Claim("biased", "codes to −128, scales in bfloat16: mean error off zero, in standard errors", "biased", "",
              AtLeast(5.0)),
        Claim("unbiased", "… codes to −127 only", "not biased", "", AtMost(3.0)),
        Claim("area_mxint8", "area of a multiply-add in MXINT8, of that in MXFP8", 0.79, "×", Within(relative=0.1)),
        Claim("area_nvfp4", "… in NVFP4", 0.54, "×", Within(relative=0.1)),
        Claim("area_nvint4", "… in NVINT4", 0.38, "×", Within(relative=0.1)),
        Claim("energy8", "energy of a multiply-add in MXINT8 below MXFP8", 37.0, "%", AtLeast()),
        Claim("energy4", "… in NVINT4 below NVFP4", 38.0, "%", AtLeast()),
        Claim("packed", "every format: bytes there and back, as many as stated", None, "", Holds()),
        Claim("refused", "what cannot be coded is refused by the name of what is wrong", None, "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Theory, training, real operands, narrow scales, gates."""
        yield from self._crossovers()
        made = yield from self._training(bench)
        yield from self._operands(bench, made)
        yield from self._narrow()
        yield from self._gates()
        yield from self._formats()

    def _crossovers(self) -> Iterator[Shown]:
        from shoal.compress import PAIRS, crossover

        for each in PAIRS:
            key = f"crossover_{each.integer[:2]}{each.bits}"
            yield Finding(key, crossover(each), "computed", why="rounded-up scales counted as 1.5 too large")

    def _operands(self, bench: Bench, made: Sequence[Operands]) -> Iterator[Shown]:
        from shoal.study._networks import network
        from shoal.study._operands import operands

        every: dict[str, Losses] = {}
        gaps: list[Gap] = []
        apart: list[float] = []
        if made:
            every[OWN], gaps = self._lost(OWN, made)
        for name in bench.each(words(self.models), "model"):
            found = network(bench, name, self.items)
            bench.say(f"{name}: {found.fed}")
            every[name], own = self._lost(name, operands(found, self.places, self.seed))
            gaps += own
            apart += self._apart(found)
        yield lost_table(every)
        yield from charts(every)
        yield Note(
            "Activations behind a rectifier hold many zeros. Whole numbers lose nothing of these, and so less than the "
            "theory of normal values says; of floating-point numbers it is the large values' error that counts."
        )
        yield close(every)
        yield int8_wins(every)
        if apart:
            yield Finding("same", max(apart), "measured", len(apart), why="n: answers; onnxruntime, float32")
        else:
            yield untestable("same", "no model has a matrix product")
        yield from self._products(gaps)

    def _lost(self, model: str, given: Iterable[Operands]) -> tuple[Losses, list[Gap]]:
        """What each operand loses in each format, and NVINT4 − NVFP4 of each product, as it is and rotated."""
        from shoal.study._blocks import Lost, lost

        losses: dict[tuple[str, str, str], Lost] = {}
        gaps = []
        for each in given:
            for side, matrix in (("x", each.x), ("w", each.w)):
                losses |= {(each.layer, side, name): lost(name, matrix) for name in FORMATS}
            gaps.append((model, lead(each, None, 0), lead(each, self.turned, self.seed)))
        return losses, gaps

    def _apart(self, found: Network) -> list[float]:
        """The largest difference of each answer of the rotated network, of the largest answer; without products none."""
        from shoal.compress import layers_of, rotated
        from shoal.study._operands import answers

        layers = [each for each in layers_of(found.graph) if each.kind != "Conv" and each.shape[1] % 32 == 0]
        if not layers:
            return []
        turned = rotated(found.graph, layers, self.turned, self.seed)
        both = zip(*(answers(graph, found.samples) for graph in (found.graph, turned)), strict=True)
        return [float(np.abs(one - other).max() / np.abs(one).max()) for one, other in both]

    def _products(self, gaps: Sequence[Gap]) -> Iterator[Shown]:
        plain, turned = (np.array([gap[1:][at] for gap in gaps]) for at in (0, 1))
        yield Table(
            "W4A4 products: QSNR of NVINT4 − NVFP4",
            ("model", "products", "as they are, dB", "INT wins, %", "rotated, dB", "INT wins, %"),
            [
                gaps_row(name, [gap for gap in gaps if gap[0] == name])
                for name in dict.fromkeys(gap[0] for gap in gaps)
            ],
            note="means over products, both operands rounded; published, of single operands: −0.05 and 1.30 dB",
        )
        spread = "mean over products; interval: quartiles"
        moved = turned - plain
        yield Finding("turned", float(moved.mean()), "measured", len(gaps), quartiles(moved), spread)
        yield Finding("nv4", float(turned.mean()), "measured", len(gaps), quartiles(turned), spread)

    def _narrow(self) -> Iterator[Shown]:
        from shoal.study._narrow import bias, overflowing

        shares = {
            kind: overflowing(kind, self.values, self.seed) * 100 for kind in ("bfloat16", "float16", "float32")
        }
        others = ", ".join(f"{kind} {share:.3g} %" for kind, share in shares.items() if kind != "bfloat16")
        yield Finding("overflow", shares["bfloat16"], "computed", self.values, why=f"normal values; {others}")
        values = np.random.default_rng(self.seed).standard_normal(self.values, np.float32)
        found = {
            (kind, least): bias(values, kind, least) for kind in ("bfloat16", "float32") for least in (-128, -127)
        }
        yield Table(
            "Signed errors of eight-bit codes, blocks of 32 normal values, scales of the largest 127th part",
            ("arithmetic", "codes", "at −128, %", "mean error, steps", "in standard errors"),
            [(kind, f"{least} to 127", each.at_end * 100, each.mean, each.deviations)
             for (kind, least), each in found.items()],
        )  # fmt: skip
        yield Finding("biased", abs(found["bfloat16", -128].deviations), "computed", self.values)
        yield Finding("unbiased", abs(found["bfloat16", -127].deviations), "computed", self.values)

    def _gates(self) -> Iterator[Shown]:
        yield gates(FORMATS)
        yield against_table()
        for name in ("mxint8", "nvfp4", "nvint4"):
            yield area(name)
        yield saved("energy8", "mxint8", "mxfp8")
        yield saved("energy4", "nvint4", "nvfp4")

    def _formats(self) -> Iterator[Shown]:
        from shoal.formats import EXAMPLES
        from shoal.study._blocks import packs, refusals

        yield Finding("packed", all(map(packs, EXAMPLES)), "computed", len(EXAMPLES))
        said = refusals()
        yield Finding("refused", all(said.values()), "computed", len(said), why=", ".join(said))

    def _training(self, bench: Bench) -> Generator[Shown, None, Sequence[Operands]]:
        """What training shows; handed back are operands of the model trained in float32."""
        if find_spec("torch") is None:
            yield from (untestable(key, ALONE) for key in TRAINING)
            return ()
        from shoal.study._int_vs_fp_training import ARITHMETICS, Recipe, seen, trained
        from shoal.study._prose import prose

        text = prose()
        finals: dict[str, list[float]] = {name: [] for name in ARITHMETICS}
        models = []
        recipes = [Recipe(steps=self.steps, seed=self.seed + number) for number in range(self.repeats)]
        for recipe in recipes:
            for name in bench.each(list(ARITHMETICS), f"training {recipe.seed - self.seed + 1}/{self.repeats}"):
                found = trained(text, name, recipe)
                finals[name].append(found.final)
                if name == "float32":
                    models.append(found)
        plain = np.array(finals["float32"])
        yield Table(
            f"Trained for {self.steps} steps, {len(text):,} characters; loss on held-out text, nats a character",
            ("arithmetic", "loss", "off float32, %"),
            [
                (name, fmean(each), float((np.array(each) / plain - 1).mean() * 100))
                for name, each in finals.items()
            ],
            note=f"means over {self.repeats} seeds",
        )
        off = np.abs(np.array(finals["mxint8"]) / plain - 1) * 100
        yield Finding(
            "loss", float(off.mean()), "measured", len(off), (off.min(), off.max()), "interval: all trainings"
        )
        yield from self._casts(text, models[0], recipes[0])
        return seen(text, models[0], recipes[0], self.places)

    def _casts(self, text: str, model: Trained, recipe: Recipe) -> Iterator[Shown]:
        from shoal.study._int_vs_fp_training import casts

        plain = casts(text, model, FORMATS, recipe)
        turned = casts(text, model, FORMATS[:-2], recipe, 32) | casts(text, model, FORMATS[-2:], recipe, 16)
        yield Table(
            "The model trained in float32, its products cast to a format",
            ("format", "divergence, nats", "loss", "rotated: divergence, nats", "rotated: loss"),
            [(name, plain[name].divergence, plain[name].loss, turned[name].divergence, turned[name].loss)
             for name in FORMATS],
            note="Kullback–Leibler from the float model, a character; rotations have the block's size",
        )  # fmt: skip
        yield Finding("kl8", plain["mxint8"].divergence / plain["mxfp8"].divergence, "measured")
        yield Finding("kl4", turned["nvint4"].divergence / turned["nvfp4"].divergence, "measured")
