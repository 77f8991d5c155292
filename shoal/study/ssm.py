"""State-space models against Transformers at long context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within, words

if TYPE_CHECKING:
    from shoal.llm.profile import Shares, Subject
    from shoal.study._ssm_measured import Measured


@dataclass(frozen=True)
class Ssm:
    """Three models of one width and about as many weights, drawn from a seed: Llama, Mamba-2, and Bamba, which has both
    kinds of layer. Those with scans run with the scan of transformers and with one in products of chunks.

    Prompts are read in one pass and only the last place's logits made; all models take turns at each length, after a
    round that does not count, and the median counts (fewer rounds at the longest). With one thread its own time counts.
    Memory is what a process of its own holds at most beyond what it had without the model. Public models are not run:
    their configurations, a board's data sheet and stated efficiencies give memory and time.
    """

    width: int = 64  # of the models
    layers: int = 4  # of Mamba-2
    chunk: int = 64  # tokens of the quicker scan's chunks
    models: str = "llama+mamba2+mamba2-chunked+bamba+bamba-chunked"  # that run, Llama first
    lengths: str = "512+1024+2048+4096+8192+16384+32768"  # tokens of prompts
    fitted: int = 4096  # the one at which the roofline is fitted
    weighed: str = "1024+4096+16384"  # lengths at which memory is measured
    limit_mb: int = 100  # of the emulated memory
    repeats: int = 5  # rounds of timing
    most_s: float = 50.0  # of timing at one length, then two rounds do
    steps: int = 8  # tokens after each prompt
    threads: int = 1  # that compute
    seed: int = 0  # of what scans are checked with

    title = "State-space, hybrid and Transformer language models at long context"
    source = Source(
        "Mitra, Karami, Xu, Huang, Kwon",
        "Characterizing State Space Model and Hybrid Language Model Performance with Long Context",
        2026,
        arxiv="2507.12442",
        venue="ISPASS 2026",
    )
    quick = (
        "width=32,layers=4,models=llama+mamba2+mamba2-chunked,lengths=64+128+256,fitted=128,weighed=256,limit_mb=8,"
        "repeats=1,steps=2"
    )
    claims = (
        Claim("matched", "numbers of weights of the models apart, at most", None, "%", AtMost(5.0)),
        Claim("exact", "the scan in chunks off the recurrence, of any chunk and length", None, "", AtMost(1e-4)),
        Claim("states", "states and logits of decode steps off those of a prefill", None, "", AtMost(1e-4)),
        Claim("slope_attention", "slope of Llama's prefill between the two longest prompts (logarithms)", "quadratic",
              "", AtLeast(1.5)),
        Claim("slope_scan", "slope of Mamba-2's prefill there", "linear", "", AtMost(1.2)),
        Claim("short", "Llama's prefill over Mamba-2's at the shortest", "up to 1.9", "×", AtLeast(1.0)),
        Claim("long", "Mamba-2's prefill over Llama's at the longest", "up to 4", "×", AtLeast(1.0)),
        Claim("crossover", "Mamba-2 overtakes Llama at a length between, by measurement", None, "", Holds()),
        Claim("solved", "length solved from a roofline fitted at one length over that measured", None, "×",
              Within(absolute=0.35, target=1.0)),
        Claim("decode_attention", "time of a token after the longest prompt over that after the shortest, Llama", None,
              "×", AtLeast(1.15)),
        Claim("decode_scan", "the same time for Mamba-2 off its median, any length", "constant", "%", AtMost(15.0)),
        Claim("cache", "bytes kept of a sequence are those the configuration tells, of scans the same for any length",
              None, "", Holds()),
        Claim("memory", "memory predicted off that measured, worst", None, "%", AtMost(15.0)),
        Claim("fits", "under a limit prompts 15 % below the predicted longest run, those 15 % above are refused", None,
              "", Holds()),
        Claim("shares", "shares of operations off 100 % in sum, worst", None, "points", AtMost(2.0)),
        Claim("scan_share", "share of scan and convolution in Mamba-2's longest prefill", 55.0, "%", AtLeast()),
        Claim("scan_change", "change of that share by a quicker scan", None, "points", AtMost(0.0)),
        Claim("context_card", "longest prompt on 24 GB, Mamba-2 over a Transformer of its size, best pair", 4.0, "×",
              Within(absolute=1.0)),
        Claim("ttft_card", "quicker to the first token at 57 thousand tokens on an RTX 4090, best pair", 4.0, "×",
              Within(absolute=1.25, target=3.75)),
        Claim("short_card", "Transformer quicker below 8 thousand tokens there, best pair", 1.9, "×",
              Within(absolute=0.5, target=1.5)),
        Claim("energy_card", "energy of a Transformer's prefill over Mamba-2's there", 4.03, "×",
              Within(absolute=1.25, target=3.75)),
        Claim("memory_card", "less memory at 57 thousand tokens, best pair", 64.0, "%", Within(absolute=15)),
        Claim("share_edge", "share of scan and convolution on a Jetson Orin Nano, the most", 55.0, "%", AtLeast()),
        Claim("refused", "an unknown kind of layer or model, and a prompt longer than positions, are refused", None, "",
              Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """What is exact, then what is measured, then what is simulated."""
        from shoal.study import _ssm_exact as exact
        from shoal.study import _ssm_measured as shown
        from shoal.study._ssm_boards import simulated
        from shoal.study._ssm_models import matched

        subjects = matched(self.width, self.layers, self.chunk, words(self.models))
        yield shown.sizes(subjects)
        yield exact.refused(self.width, self.layers, self.chunk)
        yield exact.scans(self.seed)
        yield exact.states(self.width, self.layers, self.chunk)
        yield from simulated()
        bench.say("operations")
        shares = self._shares(subjects)
        yield from shown.operations(subjects, shares)
        bench.say("memory")
        yield from shown.memory_of(subjects, _sizes(self.weighed), self.limit_mb * 10**6)
        bench.say("latency")
        measured = self._measured(subjects)
        yield from shown.latency(measured)
        yield from shown.crossings(measured, shares)

    def _shares(self, subjects: tuple[Subject, ...]) -> tuple[Shares, ...]:
        from shoal.llm.profile import Point, breakdown

        lengths = dict.fromkeys((self.fitted, _sizes(self.lengths)[-1]))
        return breakdown(subjects, [Point(each) for each in lengths], self.threads)

    def _measured(self, subjects: tuple[Subject, ...]) -> Measured:
        from shoal.llm.profile import Point, Protocol, sweep
        from shoal.study._ssm_measured import Measured

        lengths = _sizes(self.lengths)
        protocol = Protocol(repeats=self.repeats, steps=self.steps, most_s=self.most_s, threads=self.threads)
        return Measured(subjects, lengths, sweep(subjects, [Point(each) for each in lengths], protocol))


def _sizes(text: str) -> tuple[int, ...]:
    """Ascending."""
    return tuple(sorted(map(int, words(text))))
