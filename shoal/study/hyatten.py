"""HyAtten: attention in light, whose small results are converted by few bits and whose large ones are multiplied out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Note, Shown, Source, Within, words

if TYPE_CHECKING:
    from shoal.machines.accelerators.photonic_attention import PhotonicAttention
    from shoal.study._hyatten_area import Attention


@dataclass(frozen=True)
class Hyatten:
    """Attention of two networks is multiplied by a model of photonic cores, with one source of error after another.

    MiniLM reads what Python's own library says about itself; a vision transformer, trained here, reads digits.

    A sum over one shot is made of whole numbers, disturbed, and converted at the step of eight bits. Converters of four
    bits hold the sums near zero; the others are multiplied out by digital multiply-adds behind a queue, cycle by cycle.
    How many there are is counted on MiniLM's operands. Then equal areas are filled: with such cores, with cores whose
    converters have eight bits, and with digital squares of multiply-adds; their figures stand in two tables with their
    sources. The number of multipliers is always the one of those tried with which a chip is fastest.
    """

    items: int = 4  # passages
    tokens: int = 128  # of each
    encoding_noise: float = 0.02  # standard deviation of a sum, as a share of it; assumed
    additive_noise: float = 2**-9  # standard deviation of a sum, as a share of full scale; assumed
    area_mm2: float = 400.0  # of each chip
    bits: str = "3+4+5+6+7"  # of converters of small results
    wavelengths: str = "6+12+24"  # products of a shot
    macs: str = "32+64+128+256+512+1024+1536+2048+3072"  # multipliers of a core
    noises: str = "0+0.5+1+2+4+8+16"  # times the noise assumed
    epochs: int = 60  # of training the vision transformer
    tested: int = 597  # digits that it has not seen, at most
    seed: int = 0  # of noise, of what is drawn and of training

    title = "HyAtten: converters of few bits for attention in light"
    source = Source(
        "Li, Chen, Mitra",
        "Hybrid Photonic-digital Accelerator for Attention Mechanism",
        2025,
        arxiv="2501.11286",
        venue="DATE 2025",
    )
    quick = "items=1,tokens=32,bits=4+6,wavelengths=12,macs=64+512+2048,noises=1+8,epochs=1,tested=10"
    claims = (
        Claim("quiet", "MiniLM, attention in light without noise, operands of 8 bits: least cosine of embeddings with float32's",
              "negligible loss", "", AtLeast(0.97)),
        Claim("noisy", "the same with the noise assumed", "negligible loss", "", AtLeast(0.95)),
        Claim("four", "all converters of 4 bits instead: mean cosine that is lost beyond that", None, "", AtLeast(0.05)),
        Claim("digits", "a vision transformer on digits, attention in light with the noise assumed: points of accuracy lost",
              "negligible loss", "%", AtMost(1.0)),
        Claim("digits_four", "all converters of 4 bits instead: points of accuracy lost beyond that", None, "%", AtLeast(1.0)),
        Claim("robust", "at any noise tried: most points of accuracy that the split loses against converters of 8 bits", None,
              "%", AtMost(1.0)),
        Claim("bell", "bell-shaped operands (a third of full scale): small results", None, "%", Within(absolute=2.0, target=94.0)),
        Claim("uniform", "uniform operands: small results", None, "%", Within(absolute=2.0, target=43.0)),
        Claim("changes", "other text has another share of small results in every layer", None, "", Holds()),
        Claim("perf", "split at 4 bits: performance an area over converters of 8 bits, factor 2 allowed", 9.8, "×",
              AtLeast(4.9)),
        Claim("efficiency", "split at 4 bits: energy efficiency an area over converters of 8 bits, factor 2 allowed", 2.2, "×",
              AtLeast(1.1)),
        Claim("best_perf", "the fastest split of those tried: performance an area over converters of 8 bits", None, "×",
              AtLeast(1.0)),
        Claim("best_efficiency", "that split: energy efficiency an area over converters of 8 bits", None, "×", AtLeast(1.0)),
        Claim("digital_perf", "split at 4 bits: performance an area over digital squares", None, "×", AtLeast(1.0)),
        Claim("digital_efficiency", "split at 4 bits: energy efficiency an area over digital squares", None, "×",
              AtLeast(1.0)),
        Claim("tops_w", "split at 4 bits: attention, two operations a multiply-add, factor 2 allowed", 42.0, "TOPS/W",
              AtLeast(21.0)),
        Claim("all_large", "were all results large: performance an area over converters of 8 bits", None, "×", AtMost(1.0)),
        Claim("same", "small converters of 8 bits: values, cycles, events and area of the core without a split", None, "",
              Holds()),
        Claim("fleet", "a board of a fleet is given products of matrices only, other ops are refused by name", None, "", Holds()),
        Claim("refused", "bits the wrong way round, negative noise and no wavelengths are refused", None, "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Sentences, operands, chips of equal area, and what decides between them."""
        from shoal.machines.accelerators.photonic_attention import PhotonicAttention
        from shoal.study import _hyatten_checks as checks
        from shoal.study import _hyatten_lit as lit
        from shoal.study._digits import digits
        from shoal.study._hyatten_area import Attention
        from shoal.study._hyatten_noise import noise
        from shoal.study._hyatten_text import encoder

        machine = PhotonicAttention(
            encoding_noise=self.encoding_noise, additive_noise=self.additive_noise, seed=self.seed
        )
        bench.say("sentences")
        read = encoder(self.items, self.tokens)
        yield from lit.sentences(read, machine, self.tokens)
        bench.say("digits")
        seen = lit.vision(bench.scratch / "digits.onnx", *digits(self.seed, self.tested), self.epochs, self.seed)
        yield from lit.pictures(seen, machine)
        bench.say("noise")
        yield from noise(read, seen, machine, [float(each) for each in words(self.noises)])
        bench.say("what is exact")
        yield from checks.shapes(machine, self.seed)
        yield checks.coincide(machine)
        yield checks.fleet(bench, read)
        yield checks.refusals()
        yield Note("The vision transformer learns digits with noise on their pixels: shifted by a pixel, as other networks here "
                   "learn them, its patches are others, and it reached 91 % in float32. That was chosen before any attention "
                   "went through light.")  # fmt: skip
        yield from self._areas(bench, machine, Attention(read.calls, read.operands(), self.area_mm2))

    def _areas(self, bench: Bench, machine: PhotonicAttention, work: Attention) -> Iterator[Shown]:
        from shoal.study._hyatten_shown import Chips

        bench.say("equal areas")
        chips = Chips(work, machine, whole(self.macs), self.seed)
        yield from chips.headline()
        bench.say("what decides")
        yield from chips.sensitivity()
        bench.say("bits, multipliers, wavelengths")
        yield from chips.pareto(whole(self.bits), whole(self.wavelengths))


def whole(text: str) -> Sequence[int]:
    """An option that lists whole numbers."""
    return [int(each) for each in words(text)]
