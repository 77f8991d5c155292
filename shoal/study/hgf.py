"""Ternary language models with a gated correction of low rank, after HGF."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within, untestable, words

if TYPE_CHECKING:
    from shoal.study._hgf_arms import Course


@dataclass(frozen=True)
class Hgf:
    """Decoders learn bytes of Python's documentation, alike in all but their products.

    float32; ternary (BitNet b1.58); ternary with a correction of low rank beside each layer; float32 with differential
    attention; and a correction trained afterwards, for a third of the steps more. Norms, weights at first, batches,
    steps and rate are the same, and nothing decays. Losses are of text that was held out. What is stored and run are
    ONNX files: five ternary weights in a byte, corrections in float16.
    """

    width: int = 192  # of the decoder
    layers: int = 2  # of it
    heads: int = 6  # of its attention
    hidden: int = 512  # of its gated products
    context: int = 128  # bytes that it sees
    steps: int = 300  # of training; published: 2500 and 3500
    batch: int = 8  # stretches of a step
    rate: float = 3e-3  # of learning, for all
    rank: int = 2  # of the corrections
    gate: Literal["scalar", "channel", "input"] = "scalar"  # of the corrections
    ranks: str = "1+2+4+8"  # of the sweep
    rivals: str = "int2g64+int3g64"  # formats of the float32 network coded after training
    seeds: int = 2  # networks of each arm
    tested: int = 200  # stretches held out that are tested with
    larger: int = 512  # width of another decoder, of two layers
    larger_steps: int = 100  # of its training
    larger_rank: int = 4  # of its corrections
    letters: int = 64  # of text that is made
    rounds: int = 15  # of timing
    threads: int = 1  # that train
    seed: int = 0  # of the first network of each arm

    title = "HGF: ternary weights, and a gated correction of low rank beside them"
    source = Source(
        "author of arXiv 2602.05269",
        "Hybrid Gated Flow (HGF): Stabilizing 1.58-bit LLMs via Selective Low-Rank Correction",
        2026,
        arxiv="2602.05269",
    )
    quick = (
        "width=32,layers=1,heads=2,hidden=64,context=32,steps=6,ranks=1+2,rivals=int2g32,seeds=1,tested=8,"
        "larger=64,larger_steps=3,letters=3,rounds=2,threads=1"
    )
    claims = (
        Claim("order", "loss: float32 < corrected < ternary, with every seed", "0.849 < 0.931 < 1.029", "", Holds()),
        Claim("recovered", "share of the gap made good, from the exported files", 55.0, "%", Within(absolute=25)),
        Claim("overhead", "bytes of the corrections over those of the ternary layers, in the files", "12–15", "%",
              AtMost(20.0)),
        Claim("sweep", "largest fall of that share from one rank to the next, less the seeds' spread", None, "points",
              AtMost(0.0)),
        Claim("rival", "loss of the best of the same bytes (wider ternary, few bits after training), less corrected",
              None, "nats", AtLeast(0.0)),
        Claim("logits", "the kernels' logits off torch's, worst stretch", None, "", AtMost(0.01)),
        Claim("text", "greedy text by the kernels is torch's", None, "", Holds()),
        Claim("slower", "time of a token with corrections over without", "bytes alone: 1.12–1.15", "×", AtMost(1.5)),
        Claim("shut", "with all gates 0 it answers as the ternary network, exactly", None, "", Holds()),
        Claim("larger_overhead", "bytes of the corrections in a wider decoder", "12–15", "%", AtMost(15.0)),
        Claim("larger_recovered", "share of the gap made good in a wider decoder, fewer steps", 55.0, "%",
              Within(absolute=25)),
        Claim("unstable", "float32 with differential attention alone does not converge", "loss above 1.68", "", Holds()),
        Claim("refused", "a loss that is not finite names step and arm; ranks that are too high are refused", None, "",
              Holds()),
        Claim("billions", "the same at 1.2 and 3 billion parameters", "preliminary", "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """The arms, then their files, other ranks and rivals, and a wider decoder."""
        from shoal.study import _hgf_shown as shown
        from shoal.study._hgf_arms import FLOAT, FLOAT_DIFFERENTIAL, TERNARY, corrected
        from shoal.study._hgf_sweep import Sweep

        course, own = self._course(bench), corrected(self.rank, self.gate)
        yield shown.refused(course)
        seeds = range(self.seed, self.seed + self.seeds)
        arms = (FLOAT, TERNARY, own, corrected(self.rank, self.gate, after=True))
        found = {arm.name: [course.trained(arm, seed) for seed in seeds] for arm in bench.each(arms, "arm")}
        plain, ternary, hybrid = (found[arm.name] for arm in (FLOAT, TERNARY, own))
        yield from shown.unstable(course, FLOAT_DIFFERENTIAL, seeds, found)
        bench.say("files")
        files = [shown.exported_all(trio, bench.scratch / f"seed{at}") for at, trio in
                 enumerate(zip(plain, ternary, hybrid, strict=True))]  # fmt: skip
        held = [shown.held_losses(trio, course) for trio in files]
        yield from shown.judged(files, held, found)
        yield shown.shut_gates(hybrid[0], ternary[0], course)
        yield from shown.run_by_kernels(hybrid[0], files[0][2], course, self.letters)
        yield from shown.speed(bench, (ternary[0], hybrid[0]), self.rounds)
        spread = max(each.share for each in held) - min(each.share for each in held)
        sweep = Sweep(bench, course, self.seed, self.rank, self.gate, files[0], held[0])
        yield from sweep.shown([int(each) for each in words(self.ranks)], words(self.rivals), spread)
        wide = replace(self, width=self.larger, heads=self.larger // 64, hidden=2 * self.larger, layers=2,
                       steps=self.larger_steps)._course(bench)  # fmt: skip
        trio = (FLOAT, TERNARY, corrected(self.larger_rank, self.gate))
        yield from shown.larger(bench, [wide.trained(arm, self.seed) for arm in trio], wide)
        yield untestable("billions", "takes weeks of training")

    def _course(self, bench: Bench) -> Course:
        from shoal.study._hgf_arms import Course
        from shoal.train import Recipe
        from shoal.train.language import Decoder

        decoder = Decoder(self.width, self.layers, self.heads, self.hidden, self.context)
        recipe = Recipe(steps=self.steps, batch=self.batch, optimiser="adamw", rate=self.rate, warmup=0.05, clip=1.0,
                        threads=self.threads)  # fmt: skip
        return Course(decoder, recipe, self.tested, bench.say)
