"""A model within a fraction of its own size in memory: fetched ahead, in tiles, read by several at once, trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within

MODEL = "gemma3-270m"


@dataclass(frozen=True)
class ZeroInfinity:
    """A decoder runs in transformers' own modules while its weights lie in a file on this machine's disk.

    Records are fetched ahead of their use within a hard budget of memory; the vocabulary is read in tiles. Each run is a
    process of its own whose memory is looked at from outside. Against the clock, the disk is held to a rate (emulated) at
    which a step's reading takes as long as its arithmetic, and the store's record is replayed in simulated time.

    Several processes, each with a disk held to a rate, read records in parts and gather them, or have one of them read and
    send all. Two processes train a decoder, each with half of weights, gradients and Adam's states in a file.
    """

    model: str = MODEL  # or a small one that comes with shoal: "llama"
    budget: float = 0.25  # of the weights' bytes
    new: int = 8  # tokens of text
    tokens: int = 256  # of a step against the clock, all of which are scored: so many that a disk can keep up
    last: int = 768  # of one that asks for the last logits alone
    steps: int = 3  # of it, beside the first
    rates: str = "0.5+1+2+4"  # of reading over arithmetic, held against the formula
    tile_kb: int = 24576  # of a tile
    parts_mb: float = 16.0  # that several workers read
    disk_mb: float = 10.0  # a second, of each worker's disk: so slow that two cores can gather for four
    width: int = 128  # of the decoder that is trained
    learn: int = 50  # steps of training

    title = "ZeRO-Infinity: models larger than memory, fetched ahead in tiles"
    source = Source("Rajbhandari et al.", "ZeRO-Infinity: Breaking the GPU Memory Wall for Extreme Scale Deep Learning",
                    2021, "2104.07857", "SC 2021")  # fmt: skip
    quick = "model=llama,tokens=16,last=16,steps=1,rates=1,tile_kb=32,new=2,parts_mb=1,width=32,learn=3"
    claims = (
        Claim("states", "bytes a parameter of weights, gradients and Adam's states", 20, "B", Within()),
        Claim("half", "bandwidth for half the peak of 70 Tflop/s, a batch of one of 1,024 tokens", 70, "GB/s",
              Within(relative=0.03)),
        Claim("optimiser", "… for nine tenths with Adam's states, a batch of two", 1500, "GB/s", AtMost()),
        Claim("text", "text is that of the model in memory", None, "", Holds()),
        Claim("logits", "logits off those of the model in memory", 0, "", AtMost(1e-4)),
        Claim("again", "logits with all weights in memory and with the budget are equal to the bit", None, "", Holds()),
        Claim("held", "memory of records over the budget", 1.0, "×", AtMost()),
        Claim("resident", "resident memory that the budget saves, of the bytes that it leaves out", None, "%", AtLeast(90)),
        Claim("overlap", "a text scored, one record ahead: the longer of reading and arithmetic, over the time taken", None, "%", AtLeast(90)),
        Claim("ahead", "… times quicker than without", None, "×", AtLeast(1.2)),
        Claim("efficiency", "share of arithmetic without overlap, off the formula", None, "%", AtMost(20)),
        Claim("replayed", "time of all runs against the clock, off the replay in simulated time", None, "%", AtMost(15)),
        Claim("tiled", "a vocabulary larger than the budget: refused whole, answered in tiles", None, "", Holds()),
        Claim("working", "… bytes used at once, whole over tiles, of as many tiles", None, "×", AtLeast(2.0)),
        Claim("parts2", "records in parts of two workers, over one that reads and sends all", 2, "×", Within(relative=0.2)),
        Claim("parts4", "… of four", 4, "×", Within(relative=0.2)),
        Claim("curve", "loss in each step, training in two processes off torch's Adam in one", 0, "nats", AtMost(1e-5)),
        Claim("halves", "… that adds the same halves of the batch", 0, "nats", AtMost(1e-6)),
        Claim("share", "a worker's weights, gradients and Adam's states, of all", 50, "%", Within(relative=0.05)),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Formulas, several workers, then the model."""
        from shoal.study import _zero_infinity_clock as clock
        from shoal.study import _zero_infinity_parts as parts
        from shoal.study import _zero_infinity_text as text
        from shoal.study import _zero_infinity_training as training

        yield from text.formulas()
        yield from parts.read_in_parts(self.parts_mb, self.disk_mb, bench)
        yield from training.trained(self.width, self.learn, bench)
        bench.say("weights")
        subject = text.subject(self.model, self.tile_kb << 10)
        budget_bytes = max(round(self.budget * subject.bytes), subject.least_bytes)
        yield from text.same(subject, budget_bytes, self.new, bench)
        yield from text.tiled(subject, bench)
        yield from clock.clocked(
            subject, budget_bytes, clock.Wanted(self.tokens, self.last, self.steps), self.rates, bench
        )
