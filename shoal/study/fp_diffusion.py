"""FP-diffusion: floating-point numbers of eight and four bits for networks that draw pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.errors import InputError
from shoal.study import AtLeast, AtMost, Bench, Claim, Finding, Holds, Shown, Source, untestable

if TYPE_CHECKING:
    from shoal.study._fp_diffusion_drawn import Drawn
    from shoal.study._fp_diffusion_lab import Lab


@dataclass(frozen=True)
class FpDiffusion:
    """A U-Net that takes noise out of 8×8 digits is trained once, and its weights and what its products read are coded.

    Each weight format has its split into exponent and mantissa bits and its largest value searched together, for each
    row or for each tensor; activations likewise for each tensor, on what the float network is fed at steps spread over
    the sampler's schedule. Rounding is to the nearest value or learned, layer by layer. The convolutions of time and the
    first and last one have eight bits throughout. Pictures are drawn through onnxruntime, from the same noise in all
    settings, and judged by the Fréchet distance of 64 features of a classifier of digits, to the digits and to the
    float network's own pictures, and one by one by their PSNR to those.

    Rounding of activations to floating-point numbers is computed in float32 (onnxruntime has no kernels that multiply
    them): what is lost is real, speed is not looked at. Normalisation, gates, sums and enlarging stay in float32.
    """

    width: int = 36  # channels of the network at 8×8
    blocks: int = 2  # of it at 4×4
    steps: int = 1200  # of its training, 128 pictures each
    sampled: int = 50  # steps of the sampler
    pictures: int = 1008  # drawn in each setting
    batch: int = 16  # drawn at a time
    noises: int = 32  # pictures that are calibrated with
    points: int = 10  # of the sampler's steps, from which calibration samples are taken
    near: float = 0.1  # share of the steps that the ablation is calibrated on: those that begin at pure noise
    rounding: int = 200  # steps of learning how to round a layer
    seeds: int = 2  # of noise and calibration, for what is compared closely
    epochs: int = 40  # of the judge's training
    other: str = "minilm"  # a network that the same pipeline codes: that, a light model, or none
    items: int = 4  # that it is calibrated with
    threads: int = 1  # of training and of runs
    seed: int = 0  # of training, and the first of noise

    title = "FP-diffusion: floating-point numbers of few bits, with learned rounding, for diffusion networks"
    source = Source(
        "Chen et al.", "Low-Bitwidth Floating Point Quantization for Efficient High-Quality Diffusion Models", 2024,
        arxiv="2408.06995",
    )  # fmt: skip
    quick = (
        "width=16,blocks=0,steps=20,sampled=5,pictures=96,batch=32,noises=32,points=2,near=0.4,rounding=5,seeds=1,epochs=2,"
        "other=none,threads=1"
    )
    claims = (
        Claim("judge", "the judge's accuracy on digits that it was not trained on", None, "%", AtLeast(97.0)),
        Claim("refused", "E + M ≠ k − 1, a largest value of 0 and calibration without samples are refused", None, "", Holds()),
        Claim("no_worse", "squared error of a row of weights in FP4 over that in INT4 of searched scale, worst row", None, "×", AtMost(1.0001)),
        Claim("fp8", "FP8/8: Fréchet distance to the digits off the float network's", "no degradation", "%", AtMost(5.0)),
        Claim("fp8_noise", "… to the float network's pictures, over that between two float runs of other noise", None, "×", AtMost(1.0)),
        Claim("int4", "nearest values: Fréchet distance to the float network's pictures, INT4/8 over FP4/8", "poor images", "×", AtLeast(1.0)),
        Claim("learned", "FP4/8: that distance with learned rounding over the nearest values'", None, "×", AtMost(0.999)),
        Claim("fp4_psnr", "learned rounding, a scale a row: PSNR of FP4/8 above INT4/8", "better", "dB", AtLeast(0.0)),
        Claim("fp4_distance", "… or Fréchet distance of FP4/8 over INT4/8", "better", "×", AtMost(1.0)),
        Claim("coarse", "learned rounding, a scale a tensor: PSNR of FP4/8 above INT4/8", None, "dB", AtLeast(0.0)),
        Claim("ablation", "FP4/8 calibrated on all steps: PSNR above calibration near pure noise alone", None, "dB", AtLeast(0.0)),
        Claim("packed", "every coded weight is on its stored grid; bytes are k bits, scales and splits; unpacked alike", None, "", Holds()),
        Claim("other", "another network (MiniLM) by the same code, FP8/8: relative error of its answers", None, "%", AtMost(10.0)),
        Claim("duration", "the whole study on this machine", None, "min", AtMost(20.0)),
        Claim("published", "LSUN and Stable Diffusion: FID, precision and recall", "no visible degradation", "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Formats by themselves; then one seed in all settings, what is close under more seeds, and another network."""
        from shoal.study import _fp_diffusion_shown as shown
        from shoal.study import _fp_diffusion_stored as stored
        from shoal.study._fp_diffusion_drawn import drawn
        from shoal.study._fp_diffusion_lab import lab

        begun = time.monotonic()
        made = lab(self, bench)
        yield Finding("judge", 100 * made.judge.accuracy, "measured", made.judge.tested)
        yield stored.refused(made.graph)
        yield from stored.weights(made, made.samples(self.seed))
        first = drawn(made, bench, self.seed, self.pictures)
        yield shown.table(first)
        yield from shown.eight_bits(made, first)
        yield from self._close(bench, made, first)
        yield from shown.ablation(made, first, self.near)
        yield stored.packed(first)
        yield from self._other(bench)
        taken_s = time.monotonic() - begun
        yield Finding("duration", taken_s / 60, "measured", why="networks that are kept are not trained again")
        yield untestable("published", "takes the pretrained networks and their data")

    def _close(self, bench: Bench, made: Lab, first: Drawn) -> Iterator[Shown]:
        """What may depend on the noise."""
        from shoal.study import _fp_diffusion_shown as shown
        from shoal.study._fp_diffusion_drawn import drawn

        others = range(self.seed + 1, self.seed + self.seeds)
        runs = [first, *(drawn(made, bench, seed, self.pictures, shown.CLOSE) for seed in others)]
        yield shown.seeds(runs)
        yield shown.ratio("int4", runs, "INT4/8 nearest", "FP4/8 nearest")
        yield shown.ratio("learned", runs, "FP4/8 learned", "FP4/8 nearest")
        rows = shown.lead("fp4_psnr", runs, "FP4/8 learned", "INT4/8 learned")
        coarse = shown.lead("coarse", [first], "FP4/8 a tensor, learned", "INT4/8 a tensor, learned")
        yield from (rows, shown.ratio("fp4_distance", runs, "FP4/8 learned", "INT4/8 learned"), coarse)
        yield shown.verdict(made, first, float(rows.obtained or 0), float(coarse.obtained or 0))

    def _other(self, bench: Bench) -> Iterator[Shown]:
        """The same code on a network of another kind."""
        from shoal.study._fp_diffusion_shown import other

        if self.other == "none":
            yield untestable("other", "no other network was asked for")
            return
        try:
            yield from other(bench, self.other, self.items, self.threads)
        except InputError as fault:
            yield untestable("other", f"{fault.message}: {fault.hint}" if fault.hint else fault.message)
