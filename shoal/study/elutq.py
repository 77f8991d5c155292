"""ELUTQ: bit planes with free scales, and products with them by whole numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.errors import InputError, MissingExtra
from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Claim,
    Finding,
    Holds,
    Shown,
    Source,
    Within,
    untestable,
    words,
)

if TYPE_CHECKING:
    from shoal.formats import Matrix
    from shoal.study._elutq_text import Ground, Read

TEXT = ("rtn2", "gptq2", "searched2", "narrow2", "gptq3", "searched3", "narrow3", "greedy", "greedy_float")


@dataclass(frozen=True)
class Elutq:
    """Planes are fitted to drawn and to trained weights beside whole numbers of as many bits, group by group.

    The small decoder that comes with shoal is coded by the ordinary pipeline: nearest values and GPTQ, whole numbers and
    planes, at two and three bits, each layer seeing what the coded ones before it make; the head stays in float32. All
    are judged on the same text, which was not learned from. What the kernels decode greedily is held against torch
    computing with the decoded weights. Speeds are taken in alternating rounds beside onnxruntime's own kernels.
    """

    drawn: int = 512  # rows of 2048 drawn weights
    group: int = 64  # columns of the decoder that share scales
    layers: int = 0  # of the decoder; 0: all
    samples: int = 64  # stretches of text that are calibrated on
    held: int = 0  # stretches that are judged on; 0: all that were held out
    prompts: int = 8  # texts that are decoded
    steps: int = 64  # bytes of each
    shape: str = "4096x4096"  # rows and columns of timed matrices
    threads: str = "1+2"  # that share a product, separated by +; the first decides
    rounds: int = 9  # of timing
    gemma: int = 2  # blocks of Gemma-3 270M whose weights are fitted (250 MB are fetched once); 0: none
    seed: int = 0  # of drawn values

    title = "ELUTQ: bit planes with a scale each, fitted by least squares, multiplied without decoding"
    source = Source(
        "Nie et al.", "ELUTQ: Efficient LUT-Aware Quantization for Deploying Large Language Models on Edge Devices", 2025,
        arxiv="2510.19482",
    )  # fmt: skip
    quick = "drawn=16,layers=1,samples=2,held=4,prompts=1,steps=3,shape=128x1024,threads=1,rounds=2,gemma=0"
    claims = (
        Claim("bits2", "stored bits of a weight, two planes in groups of 128", 2.375, "bits", Within()),
        Claim("bits3", "… three planes", 3.5, "bits", Within()),
        Claim("normal", "squared error of normal weights over their energy, two planes in groups of 128", None, "",
              AtMost(0.111)),
        Claim("student", "… of Student's t of four degrees of freedom", None, "", AtMost(0.18)),
        Claim("uniform", "even levels, over the range and searched: most off the reference", None, "%", AtMost(10.0)),
        Claim("minmax", "planes' error above that of even levels and whole numbers over the range, worst group of "
              "drawn and trained weights, of its energy", None, "%", AtMost(0.01)),
        Claim("searched", "… above those with scales searched", None, "%", AtMost(0.01)),
        Claim("gemma", "weights of Gemma-3 270M in two planes: squared error over that of the better of even levels and "
              "whole numbers with scales searched", None, "×", AtMost(1.0)),
        Claim("rtn2", "decoder at 2 bits: perplexity of nearest values over GPTQ", None, "×", AtLeast(1.0)),
        Claim("gptq2", "… of GPTQ over GPTQ with planes", "2.26, LLaMA2-7B on C4", "×", AtLeast(1.0)),
        Claim("searched2", "… of GPTQ with planes over GPTQ with scales searched", None, "×", AtMost(1.0)),
        Claim("narrow2", "… over that in groups of 32, nearly as many bits", None, "×", AtMost(1.0)),
        Claim("gptq3", "decoder at 3 bits: perplexity of GPTQ with planes over GPTQ", "0.971, LLaMA2-7B on C4", "×",
              AtMost(1.0)),
        Claim("searched3", "… over GPTQ with scales searched", None, "×", AtMost(1.0)),
        Claim("narrow3", "… over that in groups of 32, nearly as many bits", None, "×", AtMost(1.0)),
        Claim("greedy", "bytes that the kernels decode as torch does, activations in int8 as theirs", None, "%",
              AtLeast(100.0)),
        Claim("greedy_float", "… activations in float32", None, "%", AtLeast(100.0)),
        Claim("kernel", "products by the kernels off the decoded product, worst path and format", None, "%", AtMost(1.0)),
        Claim("paths", "… off numpy with the same activations in int8, of the largest answer", None, "", AtMost(1e-5)),
        Claim("neon", "the kernels for 64-bit ARM compile", None, "", Holds()),
        Claim("fp32", "one token times 4096 × 4096, two planes, one thread: times as fast as float32", None, "×",
              AtLeast(2.0)),
        Claim("int8", "… as onnxruntime's int8", None, "×", AtLeast(2.0)),
        Claim("uniform_int8", "2 bits with one scale a group: times as fast as onnxruntime's int8", None, "×",
              AtLeast(2.0)),
        Claim("ternary", "ternary in 2 bits: times as fast as onnxruntime's int8", None, "×", AtLeast(2.0)),
        Claim("four", "4 bits in groups of 32: times as fast as onnxruntime's MatMulNBits", None, "×", AtLeast(1.0)),
        Claim("llama_cpp", "two planes: times as fast as llama.cpp's nearest type", None, "×", AtLeast(1.3)),
        Claim("refused", "what cannot be coded is refused by the name of what is wrong", None, "", Holds()),
        Claim("llama3", "LLaMA3.1-8B at 2 bits: perplexity below that of whole numbers", 85.0, "%", AtLeast()),
        Claim("m2", "2-bit LLaMA2-7B on an Apple M2, four threads", 25.0, "tokens/s", AtLeast()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Formats, text, kernels."""
        yield from self._stored()
        yield from self._text(bench)
        yield from self._kernels(bench)
        yield untestable("llama_cpp", "see bench.lowbit, which has llama.cpp beside where it installs")
        yield untestable("llama3", "takes weights of 16 GB and a machine that holds them")
        yield untestable("m2", "takes that machine and 13 GB of weights")

    def _stored(self) -> Iterator[Shown]:
        from shoal.formats import make
        from shoal.study._elutq_fit import references, refusals

        for bits in (2, 3):
            form, shape = make(f"hlq{bits}g128"), (8, 1024)
            yield Finding(f"bits{bits}", form.stored_bits(shape) / (shape[0] * shape[1]), "computed")
        yield from references(self.drawn, self.seed)
        said = refusals()
        yield Finding("refused", all(said.values()), "computed", len(said), why=", ".join(said))

    def _text(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study._elutq_text import ground

        try:
            found = ground(bench, self.layers, self.samples, self.held)
        except MissingExtra as fault:
            yield from self._fits({}, bench)
            yield from (untestable(key, fault.message) for key in TEXT)
            return
        names = [f"{name}.weight" for name, *_ in found.decoder.products()]
        yield from self._fits({"the small decoder": [found.weights[name] for name in names]}, bench)
        yield from self._perplexities(found, bench)

    def _perplexities(self, found: Ground, bench: Bench) -> Iterator[Shown]:
        from shoal.study._elutq_decode import decoded
        from shoal.study._elutq_text import plain, read, table

        whole = plain(found)
        bench.say(f"float32: perplexity {whole.perplexity:.3f}")
        by_bits = {bits: read(found, bits, self.group, bench) for bits in (2, 3)}
        yield from table(whole, by_bits)
        for bits, ways in by_bits.items():
            yield from self._ordered(bits, ways)
        made = by_bits[2]["GPTQ, planes"].made
        assert made is not None
        yield from decoded(found, made, self.group, self.prompts, self.steps)

    def _ordered(self, bits: int, ways: Mapping[str, Read]) -> Iterator[Shown]:
        from shoal.study._elutq_text import NARROW, over

        uniform, planes = ways["GPTQ"], ways["GPTQ, planes"]
        if bits == 2:
            yield over("rtn2", ways["nearest"], uniform, self.seed)
            yield over("gptq2", uniform, planes, self.seed)
        else:
            yield over("gptq3", planes, uniform, self.seed)
        yield over(f"searched{bits}", planes, ways["GPTQ, scales searched"], self.seed)
        yield over(f"narrow{bits}", planes, ways[f"GPTQ, scales searched, groups of {NARROW}"], self.seed)

    def _fits(self, trained: Mapping[str, Sequence[Matrix]], bench: Bench) -> Iterator[Shown]:
        """Of drawn weights, of trained ones, and of a model that others published."""
        from shoal.study._elutq_fit import GEMMA, REFERENCE, drawn, fit, gain, published, shown

        matrices = {law: [drawn(law, self.drawn, self.seed)] for law in REFERENCE} | dict(trained)
        missing = "its weights were not asked for"
        try:
            matrices |= {GEMMA: published(self.gemma)} if self.gemma else {}
        except InputError as fault:
            missing = fault.message
        fits = {}
        for name in bench.each(list(matrices), "weights"):
            fits[name] = [fit(each, bits, self.group) for each in matrices[name] for bits in (2, 3)]
        yield from shown(fits)
        yield gain("gemma", fits[GEMMA]) if GEMMA in fits else untestable("gemma", missing)

    def _kernels(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study._elutq_kernels import agreement, other_machine, speed

        yield from agreement(self.seed)
        yield other_machine()
        threads = tuple(int(each) for each in words(self.threads))
        yield from speed(self._shape(), threads, self.rounds, bench)

    def _shape(self) -> tuple[int, int]:
        """Rows and columns of timed matrices."""
        parts = self.shape.split("x")
        if len(parts) != 2 or not all(part.isdigit() and int(part) for part in parts):
            raise InputError(
                f"'{self.shape}' is no shape", where="elutq:shape", needed="rows and columns: 4096x4096"
            )
        return int(parts[0]), int(parts[1])
