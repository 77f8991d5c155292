"""TeLLMe: prompts and new tokens of a ternary language model on a small FPGA, by tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within, untestable


@dataclass(frozen=True)
class Tellme:
    """An engine that looks up sums of three activations is simulated from its structure, prompts and new tokens apart.

    A BitNet of 0.7 billion weights goes through it layer by layer: tiles of weights are loaded into one half of URAM while
    the other is computed on, attention over a prompt goes by tiles of scores from its end, the processors do the head. The
    same engine computes layers of a small ternary decoder that is trained here, which also gives the counts that the formulas
    are held against. That decoder is run from a file of three weights in five bits by this machine's kernels, beside
    onnxruntime's.
    """

    width: int = 192  # of the decoder that is trained
    layers: int = 2  # of it
    heads: int = 6  # of its attention
    hidden: int = 512  # of its gated products
    context: int = 128  # bytes that it sees
    steps: int = 300  # of its training
    letters: int = 64  # of greedy text
    rounds: int = 15  # of timing
    placements: int = 12  # questions to the planner
    seed: int = 0  # of weights and of what is drawn

    title = "TeLLMe: prompts and new tokens of a ternary model on a small FPGA, by tables"
    source = Source(
        "authors of arXiv 2510.15926",
        "TeLLMe v2: An Efficient End-to-End Ternary LLM Prefill and Decode Accelerator with Table-Lookup Matmul on Edge FPGAs",
        2025,
        arxiv="2510.15926",
    )
    quick = "width=32,layers=1,heads=2,hidden=64,context=32,steps=6,letters=3,rounds=1,placements=1"
    claims = (
        Claim("ttft_64", "time to the first token, 64 tokens", 0.45, "s", Within(relative=0.15)),
        Claim("ttft_128", "time to the first token, 128 tokens", 0.96, "s", Within(relative=0.15)),
        Claim("decode", "new tokens", 25, "tokens/s", Within(relative=0.15)),
        Claim("watt", "power", 5, "W", Within(relative=0.25)),
        Claim("half_ttft", "half of the look-ups a cycle: time to the first token over the usual", None, "×",
              Within(relative=0.1, target=2.0)),
        Claim("half_decode", "… a new token takes more by", None, "%", AtMost(5.0)),
        Claim("ports_decode", "another port: new tokens over the usual", None, "×", AtLeast(1.2)),
        Claim("ports_ttft", "… time to the first token changes by", None, "%", AtMost(1.0)),
        Claim("crossed", "tokens from which computing takes longer than loading", None, "", Within(absolute=1, target=5)),
        Claim("tiles", "two tiles of each matrix fit into URAM; larger ones are refused with the largest that fits", None, "",
              Holds()),
        Claim("orders", "attention in three orders of tiles off attention in one go", None, "", AtMost(1e-5)),
        Claim("loads", "from the end no more blocks of keys are loaded than from the beginning", None, "", Holds()),
        Claim("layer", "trained layers through the tables are those of the packed kernel, exactly", None, "", Holds()),
        Claim("counted", "… tables, look-ups, words of URAM, bytes and cycles are those of the formulas", None, "", Holds()),
        Claim("text", "greedy text from the file of three weights in five bits is torch's", None, "", Holds()),
        Claim("size", "bits of a weight in that file", 5 / 3, "bit", Within(relative=0.01)),
        Claim("prefill_int8", "a prompt packed over onnxruntime's int8, this machine", None, "×", AtLeast(1.0)),
        Claim("prefill_float", "… over onnxruntime's float32", None, "×", AtLeast(1.0)),
        Claim("decode_int8", "decoding packed over onnxruntime's int8, this machine", None, "×", AtLeast(1.0)),
        Claim("decode_float", "… over onnxruntime's float32", None, "×", AtLeast(1.0)),
        Claim("split", "the planner places both phases on FPGA and laptop as well as the best of all four ways, or better", None,
              "", Holds()),
        Claim("divided", "… questions whose best of four divides the phases", None, "", AtLeast(1)),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """The engine, then the decoder that is trained here."""
        from shoal.errors import MissingExtra
        from shoal.study import _tellme_engine as engine
        from shoal.study._tellme_split import split
        from shoal.study._ternary_cpu import OnCpu, Sizes
        from shoal.study._ternary_layers import layers_of

        bench.say("the engine")
        yield from engine.published()
        yield from engine.moves()
        yield from engine.tiles()
        yield from engine.orders(self.seed)
        yield engine.look_up_tables()
        yield from split(bench, self.placements)
        sizes = Sizes(self.width, self.layers, self.heads, self.hidden, self.context, self.steps, self.seed)
        trained = sizes.trained(bench)
        if isinstance(trained, MissingExtra):
            yield from (untestable(key, trained.message) for key in ("layer", "counted"))
        else:
            yield from engine.layers_exact(list(layers_of(trained.model)))
        places = {"prefill": self.context, "decode": 1}
        kernels = OnCpu("tern3x5t", 5 / 3, self.letters, self.rounds)
        yield from kernels.agrees(bench, sizes)
        yield from kernels.speeds(bench, sizes, places)
