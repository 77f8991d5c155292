"""H2EAL: some heads read both ends of a text, others chosen pages, on tiles of DRAM bonded to logic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shoal.study import AtLeast, AtMost, Bench, Claim, Finding, Holds, Shown, Source, untestable, words
from shoal.study._h2eal_machine import MACHINE_CLAIMS, machine_findings

if TYPE_CHECKING:
    from shoal.study._h2eal_recall import Memory


@dataclass(frozen=True)
class H2eal:
    """A cache of keys and values is exchanged in models of transformers, without a change to their code.

    A model of two layers with eight heads each remembers facts that are hidden in 512 bytes of Python's documentation
    and is asked for them at the end. Gates of its heads are learned as DuoAttention does; half of the heads then keep
    the first and the last tokens only, the others read a quarter of their pages, chosen by bounds. Prompts are seen
    whole. Mechanisms that are exact are held against a trained Llama of four layers and Gemma-3-270M; time is that of a
    model with seeded weights. Pages that were read at 4000 bytes, beyond the 512 that the model has learned, drive the
    simulation of the machine.
    """

    texts: int = 64  # that are asked of
    page: int = 8  # tokens, of texts of 512
    share: float = 0.25  # of the context, that pages may be read of
    gate_texts: int = 64  # that gates are learned on
    gate_steps: int = 120  # of learning gates; published: 2000
    draws: int = 5  # of random gates
    ratios: str = "0.125+0.25+0.5+0.75+1"  # shares of heads with pages
    pages: str = "8+16+32"  # sizes that are tried
    reuses: str = "1+2+4+8"  # steps for which a choice is good, that are tried
    new: int = 48  # tokens of greedy text
    gemma: bool = True  # is Gemma-3-270M run too; it takes 3 GB and a minute to load
    context: int = 8192  # of decoding that is timed
    layers: int = 4  # of it
    rounds: int = 9  # of timing
    recorded: int = 4000  # tokens of the context at which pages are recorded
    machine: Literal["whole", "few"] = "whole"  # contexts and layers that are simulated
    seed: int = 0  # of what is drawn

    title = "H2EAL: each head streams or reads chosen pages, on memory bonded to logic"
    source = Source(
        "authors of arXiv 2508.16653",
        "H2EAL: Hybrid-Bonding Architecture with Hybrid Sparse Attention for Efficient Long-Context LLM Inference",
        2025,
        arxiv="2508.16653",
        venue="ICCAD 2025",
    )
    quick = (
        "texts=6,gate_texts=4,gate_steps=2,draws=1,ratios=0.5,pages=16,reuses=4,new=4,gemma=false,context=512,layers=2,"
        "rounds=1,recorded=640,machine=few"
    )
    claims = (
        Claim("logits", "exact mechanisms' logits off the model's own, of the largest, trained Llama", None, "",
              AtMost(1e-4)),
        Claim("text", "… greedy text is the same", None, "", Holds()),
        Claim("gemma_logits", "exact mechanisms' logits off the model's own, Gemma-3-270M", None, "", AtMost(1e-4)),
        Claim("gemma_text", "… greedy text is the same", None, "", Holds()),
        Claim("tiles", "attention merged from tiles off attention in one go, random splits, one tile empty", None, "",
              AtMost(1e-5)),
        Claim("bound", "no key of a page exceeds its page's bound", None, "", Holds()),
        Claim("bytes", "bytes of the cache read in a step off the formulas, worst policy", None, "%", AtMost(1.0)),
        Claim("recall", "facts remembered with everything read", None, "%", AtLeast(90.0)),
        Claim("recall_drop", "facts lost with half of the heads streaming and a quarter of the pages",
              "accuracy: 0.87 %", "points", AtMost(2.0)),
        Claim("streaming_below", "facts lost beyond that by streaming alone, of the same bytes", None, "points",
              AtLeast(10.0)),
        Claim("separated", "mean gate of the half that is kept over that of the half that is not", None, "",
              AtLeast(0.2)),
        Claim("random_below", "facts lost beyond that with random heads streaming", None, "points", AtLeast(2.0)),
        Claim("cheap", "facts lost with heads classed by where attention goes, without learning", None, "points",
              AtMost(2.0)),
        Claim("decode", "decoding at 8192 tokens over the same with everything read", None, "×", AtLeast(1.0)),
        Claim("overhead", "time of our full cache above transformers' own generate", None, "%", AtMost(5.0)),
        Claim("refused", "empty pages, a budget below the sink, ratios outside 0 to 1 are refused", None, "", Holds()),
        Claim("accuracy", "mean accuracy lost over the published benchmarks", 0.87, "%", AtMost()),
        *MACHINE_CLAIMS,
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """What is exact, what is remembered, the clock, the machine."""
        from shoal.study._h2eal_recall import Memory, gates_shown, ratios_shown, recall_shown, swept
        from shoal.train.library import torch_threads

        with torch_threads():
            yield from self._exact(bench)
            memory = Memory(bench, self.texts, self.page, self.share, self.gate_texts, self.gate_steps)
            yield from gates_shown(memory)
            yield from recall_shown(memory, self.draws)
            yield ratios_shown(memory, [float(each) for each in words(self.ratios)])
            yield swept(memory, *([int(each) for each in words(text)] for text in (self.pages, self.reuses)))
            yield from self._clock(bench)
            yield from self._machine(bench, memory)
        yield untestable("accuracy", "takes models of billions of weights and long benchmarks")

    def _exact(self, bench: Bench) -> Iterator[Shown]:
        from shoal.llm.tiny import tiny
        from shoal.study import _h2eal_exact as exact
        from shoal.train.language import corpus

        bench.say("what is exact")
        model = tiny("llama").module("sdpa")
        text = corpus()[1].astype("int64")
        found = exact.agreement(model, text[:200], self.new)
        yield Finding("logits", exact.worst([found]), "computed", len(found.logits), why="; ".join(found.logits))
        yield Finding("text", all(found.texts.values()), "computed", len(found.texts))
        yield from self._gemma(bench)
        yield Finding("tiles", exact.tiles_off(500, 20, self.seed), "computed", 20, why="16 tiles, 500 tokens")
        holds, count = exact.bounds_hold(model, text[:400], 16, self.seed)
        yield Finding("bound", holds, "computed", count, why="keys with places turned in")
        off = exact.bytes_off(model, text[: 256 + self.new], 256)
        yield Finding("bytes", max(off.values()), "computed", len(off), why=", ".join(off))
        said = exact.refusals()
        yield Finding("refused", all(said.values()), "computed", len(said), why=", ".join(said))

    def _gemma(self, bench: Bench) -> Iterator[Shown]:
        import numpy as np

        from shoal.study import _h2eal_exact as exact

        if not self.gemma:
            yield from (untestable(key, "was not asked for") for key in ("gemma_logits", "gemma_text"))
            return
        bench.say("Gemma-3-270M")
        prompt = np.random.default_rng(self.seed).integers(1000, 100_000, 600)
        found = exact.agreement(exact.gemma(), prompt, self.new)
        why = "600 symbols that are drawn, beyond its windows of 512"
        yield Finding("gemma_logits", exact.worst([found]), "computed", len(found.logits), why=why)
        yield Finding("gemma_text", all(found.texts.values()), "computed", len(found.texts))

    def _clock(self, bench: Bench) -> Iterator[Shown]:
        from shoal.llm.tiny import tiny
        from shoal.study._h2eal_speed import Long, overhead

        bench.say("the clock")
        yield from Long(self.context, self.layers, self.rounds, max(2, self.rounds), self.seed).shown()
        yield overhead(tiny("llama").module("sdpa"), 128, max(8, self.new), self.rounds)

    def _machine(self, bench: Bench, memory: Memory) -> Iterator[Shown]:
        """The pages that were read, replayed."""
        bench.say("recording pages")
        yield from machine_findings(memory.recorded(self.recorded, 16), quick=self.machine == "few")
