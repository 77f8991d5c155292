"""Agile-Quant: four-bit weights, activations in eight or four bits, and fewer tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

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
    median_of,
    untestable,
    words,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shoal.study._agile_rows import Setting, Surprises
    from shoal.train.language.forward import Forward

PUBLISHED = 2.55  # times as quick as FP16, on a telephone


@dataclass(frozen=True)
class AgileQuant:
    """A small decoder for bytes of Python's documentation is judged on text that it was not trained on.

    Weights are coded by `shoal.compress` with GPTQ, the embedding and the head stay as they are. In a forward pass in
    numpy activations are rounded as the publication has it: what products read and queries, keys and values by a scale
    of each token, what norms read by powers of two by channel, shares of the softmax to powers of a half. After the
    attention of the layers at a quarter, a half and three quarters, the tokens that pay least attention to the first one
    go, of attention before it is rounded. Perplexity is that of the places that are left, beside the same places of the
    network that keeps all; what follows the last token, which always stays, is told apart. Choosing who stays looks at
    later tokens, as a prefill can; the last token's figure alone owes nothing to that.
    """

    weights: str = "int4g64"  # the format of four bits
    stretches: int = 768  # of 128 bytes, that perplexity is taken over
    calibration: int = 16  # stretches that weights and activations are fitted to
    ratios: str = "0.1+0.2+0.3"  # of the tokens that go at each of three layers, separated by +
    score: str = "to_first"  # of kv/scores
    passages: int = 64  # that embeddings of a sentence encoder are taken of; 0: none
    tokens: int = 256  # of the prefill that is timed
    width: int = 1024  # of the decoder that is timed, and three times that between its gates
    rounds: int = 15  # of each way, in turn
    columns: int = 16384  # of sums that must not overflow
    seed: int = 0  # of what is drawn

    title = (
        "Agile-Quant: bits of activations and tokens by what attention does, four-bit products in lanes of 16 bits"
    )
    source = Source(
        "Shen et al.", "Agile-Quant: Activation-Guided Quantization for Faster Inference of LLMs on the Edge", 2023,
        arxiv="2312.05693", venue="AAAI 2024",
    )  # fmt: skip
    quick = "stretches=8,calibration=2,ratios=0.2,passages=0,tokens=16,width=64,rounds=3,columns=512"
    claims = (
        Claim("w4a8", "W4A8: perplexity above W4A16", "like weights alone", "%", AtMost(3.0)),
        Claim("trip", "W4A4: perplexity with TRIP over that without", None, "×", AtMost(0.999)),
        Claim("sentences_trip", "… of a sentence encoder: 1 − cosine of embeddings, with TRIP over without", None, "×",
              AtMost(0.999)),
        Claim("pruned", "W4A8, a fifth of the tokens dropped three times: perplexity of the next token above W4A8",
              "hardly any", "%", AtMost(3.0)),
        Claim("range", "largest activation over the deviation, the same tokens dropped over none", "smaller", "×",
              AtMost(0.999)),
        Claim("lanes", "two products in a lane of 16 bits are those of 32 bits, W4A4 and W4A8", None, "", Holds()),
        Claim("overflow", "… with every code 15, over 16,384 columns", None, "", Holds()),
        Claim("kernels", "every kernel here for codes of four bits gives sums of whole numbers bit by bit", None, "", Holds()),
        Claim("two_parts", "TRIP's two products and one shift are the product of shifted codes", None, "", Holds()),
        Claim("shifts", "shares of the softmax by shifts give what multiplications give", None, "", Holds()),
        Claim("unpruned", "dropping nothing leaves every logit bit by bit", None, "", Holds()),
        Claim("ends", "the first and the last token are never dropped, by any score", None, "", Holds()),
        Claim("refused", "r ≥ 1, r < 0, no shares, codes beyond a lane are refused", None, "", Holds()),
        Claim("linear", "linear layers of a prefill, W4A8 over float32", None, "×", AtLeast(1.0)),
        Claim("against", "… over onnxruntime's eight bits", None, "×", AtLeast(1.0)),
        Claim("prefill", "the whole prefill, W4A8 and a fifth dropped three times, over float32", PUBLISHED, "×",
              AtLeast(1.5)),
        Claim("w4a4_speed", "linear layers of a prefill, W4A4 over float32", None, "×", AtLeast(1.0)),
        Claim("device", "against FP16 on Snapdragon 870 and Raspberry Pi 4B", PUBLISHED, "×", AtLeast()),
        Claim("large", "perplexity of LLaMA, OPT and BLOOM as with weights alone", "see there", "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """What is exact, the language model, the sentence encoder, the clock."""
        yield from self._exact()
        yield from self._language(bench)
        yield from self._sentences(bench)
        yield from self._clock(bench)
        yield untestable("device", "takes a telephone and a board with Arm cores")
        yield untestable("large", "takes models of billions of weights")

    def _exact(self) -> Iterator[Shown]:
        from shoal.study import _agile_exact as exact

        why = "numpy's 16 bits, which wrap as a processor's do"
        yield Finding("lanes", exact.lanes_agree(self.columns, self.seed), "computed", 30, why=why)
        agree = exact.kernels_agree(self.columns, self.seed)
        yield Finding("kernels", all(agree.values()), "computed", len(agree), why=", ".join(agree))
        yield Finding("overflow", exact.lanes_hold(self.columns), "computed", self.columns)
        yield Finding("two_parts", exact.two_parts_agree(self.columns, self.seed), "computed", 54)
        yield Finding("shifts", exact.halvings_agree(self.seed), "computed", 512)
        said = exact.refusals()
        yield Finding("refused", all(said.values()), "computed", len(said), why=", ".join(said))

    def _language(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study import _agile_exact as exact
        from shoal.study import _agile_rows as rows
        from shoal.train.language import tiny

        decoder, weights = tiny()
        ground = rows.Ground.of(decoder, weights, self.stretches, self.calibration, bench.scratch)
        found: dict[str, Surprises] = {}
        ratios = [float(each) for each in words(self.ratios)]
        settings = rows.settings(self.weights, ratios, self.score, decoder.layers)
        for setting in bench.each(settings, "setting"):
            found[setting.name] = ground.judged(setting)
        yield rows.perplexities(found, "W4A8")
        yield from self._judged(found)
        yield from self._ranges(ground.forward(settings[1]), ground.fitted, settings)
        yield from ground.shares(settings[1])
        plain = ground.forward(settings[0])
        yield Finding("unpruned", exact.unpruned_alike(plain, ground.fitted[:2]), "computed", 2)
        yield Finding("ends", exact.ends_stay(plain, ground.fitted[:2]), "computed", 2, why="r of 0.05 to 0.99")

    def _judged(self, found: Mapping[str, Surprises]) -> Iterator[Shown]:
        from shoal.study._agile_rows import PRUNED, dropping, more

        spread = "interval: 95 %, over stretches"
        value, ends = more(found["W4A8"].nats, found["W4A16"].nats)
        yield Finding("w4a8", value, "measured", self.stretches, ends, spread)
        value, (low, high) = more(found["W4A4 + TRIP"].nats, found["W4A4"].nats)
        yield Finding("trip", 1 + value / 100, "measured", self.stretches, (1 + low / 100, 1 + high / 100), spread)
        pruned = found.get(dropping(PRUNED))
        if pruned is None:
            yield untestable("pruned", f"no ratio of {PRUNED:g} was asked for")
            return
        value, ends = more(pruned.nats[:, -1:], found["W4A8"].nats[:, -1:])
        yield Finding("pruned", value, "measured", self.stretches, ends, f"after the last token; {spread}")

    def _ranges(
        self, forward: Forward, symbols: NDArray[np.int64], settings: tuple[Setting, ...]
    ) -> Iterator[Shown]:
        """Largest magnitude over deviation of what norms and products read, by what is dropped."""
        from shoal.study._agile_rows import PRUNED, dropping, peaks

        found = {
            each.name: peaks(replace(forward, kept=each.pruning.kept if each.pruning else None), symbols)
            for each in settings
            if each.name == "W4A8" or each.pruning
        }
        plain, names = found["W4A8"], list(found["W4A8"])
        yield Chart(
            "Largest activation over the deviation, by the tokens dropped at each of three layers", "tensor", "max / σ",
            tuple(Series(name, names, [each[tensor] for tensor in names]) for name, each in found.items()), kind="bars",
        )  # fmt: skip
        if dropping(PRUNED) not in found:
            yield untestable("range", f"no ratio of {PRUNED:g} was asked for")
            return
        first = min(layer for each in settings if each.pruning for layer in each.pruning.layers)
        later = [name for name in names if name.startswith("layers.") and int(name.split(".")[1]) > first]
        shares = [found[dropping(PRUNED)][name] / plain[name] for name in later]
        why = "tensors behind the first layer that drops; interval: least and most of them"
        yield Finding("range", float(np.mean(shares)), "measured", len(shares), (min(shares), max(shares)), why)

    def _sentences(self, bench: Bench) -> Iterator[Shown]:
        from shoal.errors import InputError, MissingExtra
        from shoal.study._agile_sentences import cosines

        if not self.passages:
            yield untestable("sentences_trip", "no passages were asked for")
            return
        try:
            found = dict(cosines(bench, self.weights, self.passages))
        except (InputError, MissingExtra) as fault:
            yield untestable("sentences_trip", fault.message)
            return
        rows = [(name, float(each.mean()), float(each.min())) for name, each in found.items()]
        yield Table("MiniLM: cosine of its embedding with float32's", ("bits", "mean", "least"), rows,
                    f"{self.passages} passages of real text; softmax and norms stay in float32")  # fmt: skip
        with_, without = (1 - found[name] for name in ("W4A4 + TRIP", "W4A4"))
        yield Finding("sentences_trip", float(with_.mean() / without.mean()), "measured", self.passages)

    def _clock(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study import _agile_speed as speed
        from shoal.train.language import Decoder

        wide = Decoder(self.width, 4, max(2, self.width // 64), 3 * self.width, self.tokens)
        bench.say("linear layers")
        clocks = {
            (tokens, rows, columns): speed.products(tokens, rows, columns, self.rounds)
            for tokens in (self.tokens, 1)
            for rows, columns in dict.fromkeys((rows, columns) for _, rows, columns in wide.products())
        }
        yield speed.table(clocks)
        layers = [clock for (tokens, _, _), clock in clocks.items() if tokens == self.tokens]
        why = f"{self.tokens} tokens, {speed.THREADS} threads; the shape that gains least"
        for key, slow in (("linear", "float32"), ("against", "onnxruntime W8A8")):
            least = min((clock.gains(slow, "W4A8") for clock in layers), key=np.median)
            yield median_of(key, least, "measured", why)
        bench.say("prefill")
        whole = speed.prefills(wide, self.tokens, self.rounds, self.seed)
        yield Table(
            f"Prefill of {self.tokens} tokens, four layers of {self.width}", ("way", "ms"),
            [(name, whole.ms(name)) for name in whole.seconds], f"in numpy but for the products; {speed.THREADS} threads",
        )  # fmt: skip
        yield median_of("prefill", whole.gains("float32", "W4A8, pruned"), "measured",
                        "weights of normal values: time does not depend on them; published against FP16")  # fmt: skip
        yield untestable("w4a4_speed", "kernels here multiply activations in eight bits; four would take the same "
                         "instructions")  # fmt: skip
        yield Note("Eight-bit dot products of the processor do what a lane of 16 bits does elsewhere; the packed lanes are "
                   "held to exactness in numpy only.")  # fmt: skip
