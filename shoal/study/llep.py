"""Least-loaded expert parallelism: overloaded devices give tokens away, and the experts' weights with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within, untestable, words


@dataclass(frozen=True)
class Llep:
    """Experts in worker processes; each step's tokens are shared out by plain expert parallelism or by least load.

    Two and three workers of one thread answer forced routing and whole trained models like one process. On two workers steps
    are timed by turns, under forced routing and on real text of one narrow subject; memory is counted in steps of its own. Eight
    accelerators that are not here are simulated at the published shapes: products by a curve over their rows, tokens and
    weights over links that send and receive at once.
    """

    experts: int = 32  # of the layer that is measured
    width: int = 256  # of its tokens
    hidden: int = 512  # of its experts
    tokens: int = 16384  # of a step; many, so that they outweigh experts as in the published layers
    rounds: int = 9  # of timing, both ways in turn
    models: str = "mixtral+experts16"  # small trained ones
    word: str = "socket"  # what narrow text is about
    stretches: int = 16  # of 128 bytes of it
    flops: float = 989e12  # a second, of a simulated device
    share: float = 0.6  # of these that large products reach
    memory_gb: float = 4800.0  # GB/s that it reads weights with
    link_gb: float = 450.0  # GB/s of its link, each way
    half_rows: float = 128.0  # rows of a product at half of the rate
    least: int = 1024  # tokens of a chunk there, as published
    context: int = 8192  # tokens, of the whole simulated model
    seed: int = 0  # of what is drawn

    title = "LLEP: experts' tokens and weights spilled to the least loaded device"
    source = Source("Salesforce AI Research", "Least-Loaded Expert Parallelism: Load Balancing An Imbalanced Mixture-of-Experts",
                    2026, arxiv="2601.17111")  # fmt: skip
    quick = "experts=16,width=32,hidden=32,tokens=256,rounds=1,models=mixtral,stretches=2"
    claims = (
        Claim("equal", "forced routing, 0 to 95 % and all to one expert, 2 and 3 workers: off one process", "exact", "",
              AtMost(1e-5)),
        Claim("model", "whole trained models on workers: logits off one process", "exact", "", AtMost(1e-5)),
        Claim("served", "texts over a plan of experts, plain and least loaded: tokens off one process", "exact", "", AtMost(0)),
        Claim("lost", "… with a worker killed meanwhile", None, "", AtMost(0)),
        Claim("gain", "two workers, 95 % into one expert: standard over least loaded", "up to 5 on 8 GPUs", "×", AtLeast(1.6)),
        Claim("gain_cpu", "… processor time of the busier worker", "up to 5 on 8 GPUs", "×", AtLeast(1.5)),
        Claim("rising", "… the gain grows from even routing by 50 to 95 %", None, "", Holds()),
        Claim("balanced", "… even routing: time off the standard one", None, "%", AtMost(5)),
        Claim("memory", "peak memory of a step, any routing, over even routing: least loaded", None, "×", AtMost(1.3)),
        Claim("memory_plain", "… standard", "grows", "×", AtLeast(1.3)),
        Claim("uneven", "text of one subject: copies at the busier of two workers", "30–35 at one of 8", "%", AtLeast(55)),
        Claim("text_gain", "… standard over least loaded, two workers", "1.9 on 8 GPUs", "×", AtLeast(0.95)),
        Claim("simulated_low", "eight devices, 95 % into one expert: ratio, least of three models", "up to 5", "×", AtLeast(3)),
        Claim("simulated_high", "… most of three models", "up to 5", "×", AtMost(7)),
        Claim("simulated_text", "… of gpt-oss-120b, as the text gives it", 6.11, "×", Within(relative=0.1)),
        Claim("simulated_plain", "… standard, over even routing", 4.6, "×", Within(relative=0.1)),
        Claim("simulated_even", "… even routing: ratio", None, "×", AtMost(1.05)),
        Claim("simulated_memory", "… peak memory, standard over least loaded, most", 4.0, "×", AtLeast()),
        Claim("rivals", "… soonest of random spill, replicas and α = 1.5 over it, 80 % into four", None, "×", AtLeast(1.0)),
        Claim("whole_low", "whole gpt-oss-120b, imbalance as recorded: ratio, at least", 1.9, "×", AtLeast(1.3)),
        Claim("whole_high", "… at most", 1.9, "×", AtMost(2.5)),
        Claim("training", "fine-tuning converges sooner", 1.25, "×", AtLeast()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Forced routing on workers, trained models on workers, eight simulated devices."""
        from shoal.cost.expert_layer import Accelerator
        from shoal.study import _llep_forced as forced
        from shoal.study import _llep_served as served
        from shoal.study import _llep_simulated as simulated
        from shoal.study import _llep_text as text

        layer = forced.Layer(self.experts, self.width, self.hidden, self.tokens)
        small = forced.Layer(min(self.experts, 19), self.width, self.hidden, min(self.tokens, 512))
        bench.say("forced routing")
        least, table = forced.least_rows(layer, self.seed)
        yield table
        yield from forced.equal(small, least, self.seed)
        yield from forced.timed(layer, least, self.rounds, self.seed)
        bench.say("trained models")
        kinds = words(self.models)
        yield from text.same(kinds, least)
        yield from served.served(kinds)
        yield from text.narrow(kinds[0], self.word, self.stretches, least, self.rounds)
        bench.say("eight devices")
        device = Accelerator(
            self.flops, self.share, 1e9 * self.memory_gb, 1e9 * self.link_gb, half_rows=self.half_rows
        )
        yield from simulated.layers(device, self.least, self.seed)
        yield from simulated.rivals(device, self.least, self.seed)
        yield from simulated.whole(device, self.least, self.context, self.seed)
        yield untestable("training", "gradients do not pass through workers: only forward passes are built")
