"""TerEffic: ternary language models on FPGA cards, weights packed five in a byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within, untestable


@dataclass(frozen=True)
class Tereffic:
    """A core that reads a tile of packed ternary weights a cycle is simulated from its structure.

    MatMul-free decoders of the published sizes are decoded layer by layer on it: weights on two cards, and from one
    card's HBM. The same core computes the layers of the small decoder of that kind that comes with shoal, tile by tile,
    which also gives the cycles that the formulas are held against. Boards to compare with are priced by the data sheet's
    cost model. The small decoder is run from its packed file by this machine's kernels, token by token, beside
    onnxruntime's.
    """

    wide: int = 1024  # width of another whose weights are drawn, as wide as the published 370M
    deep: int = 4  # layers of it
    held: int = 200  # stretches of text that the small decoder has not learned from
    letters: int = 64  # of greedy text
    rounds: int = 15  # of timing
    streams: int = 8  # at once, at most

    title = "TerEffic: ternary language models on FPGA cards, five weights in a byte"
    source = Source("authors of arXiv 2502.16473", "TerEffic: Highly Efficient Ternary LLM Inference on FPGA", 2025,
                    arxiv="2502.16473")  # fmt: skip
    quick = "wide=64,deep=1,held=8,letters=3,rounds=1,streams=5"
    claims = (
        Claim("resident", "370M held on two cards, one stream", 12_700, "tokens/s", Within(relative=0.1)),
        Claim("streamed", "2.7B from one card's HBM, one stream", 521, "tokens/s", Within(relative=0.1)),
        Claim("resident_watt", "… 370M a watt", 467, "tokens/s/W", Within(relative=0.25)),
        Claim("streamed_watt", "… 2.7B a watt", 16, "tokens/s/W", Within(relative=0.25)),
        Claim("orin", "370M in float16 on Jetson Orin Nano", 85, "tokens/s", Within(relative=0.25)),
        Claim("a100", "2.7B in float16 on A100", 260, "tokens/s", Within(relative=0.25)),
        Claim("orin_gain", "370M on two cards over Jetson Orin Nano", 149, "×", Within(relative=0.3)),
        Claim("a100_gain", "2.7B from HBM over A100", 2, "×", Within(relative=0.3)),
        Claim("pair", "two streams over one, on two cards", None, "×", AtLeast(1.9)),
        Claim("knee", "streams from which computing decides, off loading over computing", None, "", AtMost(1.0)),
        Claim("moves", "clock, width, channels, bits, links and cards move results as the formulas say", None, "", Holds()),
        Claim("eight", "in 8 bits the 370M does not fit on two cards, and the error says how many it needs", None, "",
              Holds()),
        Claim("layer", "trained layers through the core are those of the packed kernel, exactly", None, "", Holds()),
        Claim("cycles", "… its counted cycles off ⌈inputs/P⌉ · ⌈outputs/P⌉ a row and one filling", None, "cycles", Within(target=0)),
        Claim("refused", "weights that are not ternary and bytes above 242 are refused", None, "", Holds()),
        Claim("foresees", "perplexity a byte of text held out, of a small one trained here (bytes drawn evenly: 256)", None, "",
              AtMost(4.0)),
        Claim("text", "… its greedy text from the packed file is torch's", None, "", Holds()),
        Claim("size", "… bits of a weight in that file", 1.6, "bit", Within(relative=0.01)),
        Claim("decode_int8", "decoding packed over onnxruntime's int8, this machine", None, "×", AtLeast(1.0)),
        Claim("decode_float", "decoding packed over onnxruntime's float32, this machine", None, "×", AtLeast(1.0)),
        Claim("wide_int8", "… in a decoder as wide as the published 370M: over int8", None, "×", AtLeast(1.0)),
        Claim("wide_float", "… over float32", None, "×", AtLeast(1.0)),
        Claim("perplexity", "perplexity of the published models is their own", None, "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """The cards, their rivals, then the small decoder."""
        from shoal.errors import MissingExtra
        from shoal.study import _tereffic_cards as cards
        from shoal.study import _tereffic_lm as small
        from shoal.study._tereffic_cards_rivals import rivals

        bench.say("cards")
        yield cards.said()
        yield from cards.published(self.streams)
        yield from cards.moves()
        yield from cards.refusals()
        yield from rivals(bench)
        try:
            yield from cards.layers_exact(list(small.small_layers()))
        except MissingExtra as fault:
            yield from (untestable(key, fault.message) for key in ("layer", "cycles"))
        yield from small.agrees(bench, self.letters, self.held)
        yield from small.speeds(bench, self.rounds, self.wide, self.deep)
        yield untestable("perplexity", "the published checkpoints are not here")
