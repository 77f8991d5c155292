"""Speculative decoding with the drafter apart from the target, after Dovetail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within, untestable


@dataclass(frozen=True)
class Dovetail:
    """A head drafts bytes for the tiny decoder from a process of its own, over a socket.

    Heads learn the target's features on Python's documentation: fused by DGF's gate with one block and with two, or by one
    matrix (EAGLE). Beside them stand a model of one layer and prompt lookup. Texts continue what was held out. Times are of
    rounds, taken in turns; curves and acceptance, by which the length of a chain is chosen, are of other texts. What it
    would bring for seven billion weights is simulated with the acceptance measured here.
    """

    prompts: int = 200  # texts that must be the target's own
    prompt: int = 64  # bytes of each
    new: int = 64  # bytes that are written
    steps: int = 400  # of training each drafter
    ablated: int = 48  # prompts for each drafter
    timed: int = 12  # prompts for each length of a chain
    repeats: int = 15  # of each point of the curve of passes
    draws: int = 20_000  # of first tokens
    core: int = -1  # of this machine, the drafter's alone; -1: the last one
    seed: int = 0  # of draws

    title = "Dovetail: drafting on a small fast device for a target on a large slow one"
    source = Source(
        "Zhang et al.",
        "Dovetail: A CPU/GPU Heterogeneous Speculative Decoding for LLM inference",
        2025,
        arxiv="2412.18934",
        venue="EMNLP",
    )
    quick = "prompts=2,prompt=24,new=10,steps=2,ablated=1,timed=1,repeats=2,draws=500"
    claims = (
        Claim("same", "greedy texts that differ from the target's own, two processes, chains and trees", "unchanged", "",
              Within(target=0)),
        Claim("bytes", "rounds whose bytes on the link are not as the formula says", None, "", Within(target=0)),
        Claim("exact", "sampling: probabilities off the analytic ones, vocabulary of three, all draws gone through",
              "unchanged", "", AtMost(1e-9)),
        Claim("draws", "sampling: chi-square of first tokens, p", None, "", AtLeast(0.001)),
        Claim("bad", "a random drafter leaves the text as it is and makes it slower", None, "", Holds()),
        Claim("order", "tokens accepted a round: DGF of two blocks > DGF > plain fusion > prompt lookup", "so", "", Holds()),
        Claim("chosen", "speed lost by the length of a chain that is chosen, against the best by trying all", None, "%",
              AtMost(10.0)),
        Claim("model", "speed foreseen, off the measured one", None, "%", AtMost(15.0)),
        Claim("speedup", "over the target alone, two processes, tuned on the way", 2.77, "×", AtLeast(1.0)),
        Claim("gives_up", "with a drafter that is not worth it, the tuner stops drafting", None, "", Holds()),
        Claim("simulated", "7B target on a desktop's CPU, head on a graphics card, over the CPU alone", 2.77, "×",
              Within(absolute=1.25, target=2.75)),
        Claim("refused", "another vocabulary and malformed trees are refused; if the drafter dies, the target goes on",
              None, "", Holds()),
        Claim("llama", "Llama-2-Chat-7B on HumanEval with 3 GB of video memory", 5.86, "tokens/s", AtLeast()),
        Claim("thirteen", "13B models on several devices", "1.79–10.1", "×", AtLeast(1.79)),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """On one thread of torch, for the drafter has a core of its own."""
        from shoal.train.library import torch_threads

        with torch_threads():
            yield from self._shown(bench)
        yield untestable("llama", "takes its weights and a graphics card")
        yield untestable("thirteen", "takes their weights and several graphics cards")

    def _shown(self, bench: Bench) -> Iterator[Shown]:
        """Exactness, two processes, then drafters beside one another and boards of the catalog."""
        import os

        from shoal.llm.drafting import elsewhere
        from shoal.llm.tiny import tiny
        from shoal.study import _dovetail_shown as shown
        from shoal.study._dovetail_runs import DGF, desk, drafters

        target = tiny("llama").module(attention="sdpa")
        texts, named = drafters(target, self.steps, bench), desk(target, self.prompts, self.prompt, self.new)
        yield from shown.exactness(named, shown.made(texts[DGF]), self.draws, self.seed)
        cores, context = sorted(os.sched_getaffinity(0)), self.prompt + self.new + 1
        with elsewhere(texts[DGF], context=context, core=cores[-1] if self.core < 0 else self.core) as drafter:
            bench.say("the same text")
            yield from shown.same_text(named, drafter)
            bench.say("lengths of chains")
            sweep = shown.swept(named, drafter, self.timed, self.repeats)
            yield from shown.speeds(sweep)
            yield from shown.tuned(named, drafter, sweep, self.timed)
        yield from shown.gives_up(named, sweep, max(2, self.timed // 3), context)
        bench.say("drafters")
        spread = named.prompts[:: max(1, self.prompts // self.ablated)][: self.ablated]
        found = shown.compared(named, texts, spread)
        yield from shown.ablation(found)
        yield from shown.two_boards(sweep, found)
        yield shown.refused(named, texts[DGF])
