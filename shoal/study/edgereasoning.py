"""Reasoning under limits of time: budgets, steps, votes, and formulas of latency and energy, after EdgeReasoning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within, untestable, words

if TYPE_CHECKING:
    from shoal.study._edge_runs import Class
    from shoal.study._edge_timed import Timed


@dataclass(frozen=True)
class Edgereasoning:
    """Byte models of a few sizes learn chains of sums, differences and products modulo ten.

    Some write every total before the answer, others answer at once. They are asked what none has learned from: freely,
    with a hard cut after which an answer is forced, with a wish in the prompt, without thinking, and by vote of samples.
    Prefill and decode of a model of 270 million weights are timed apart, on one thread by its own time, and fitted;
    errors are of lengths held out. Accuracy and foreseen latency of all configurations make a frontier; what it chooses
    under a limit is run. Energy is modelled where no counter can be read. Figures of the board are its roofline.
    """

    widths: str = "32+48+64"  # of the students
    layers: int = 2  # of them
    slots: int = 6  # operations of the longest question
    steps: int = 1500  # of training
    batch: int = 32  # questions of a step
    rate: float = 3e-3  # of learning
    learned: int = 30_000  # questions
    tested: int = 200  # questions that none has learned from
    votes: str = "1+2+4+8+16"  # samples
    temperature: float = 1.0  # of the samples
    limits: int = 5  # of latency that are asked for
    answers: int = 30  # timed one by one under each
    subject: str = "gemma3"  # what is timed; or small
    longest: int = 1024  # tokens of its prompts
    outputs: str = "8+32+128"  # tokens that it writes, held out
    texts: str = "1+2+4"  # at once
    rounds: int = 2  # of timing
    threads: int = 1  # that train
    seed: int = 0  # of training, questions and samples

    title = "EdgeReasoning: how long to think, how often, and with which model, under a limit of time"
    source = Source(
        "authors of arXiv 2511.01866",
        "EdgeReasoning: Characterizing Reasoning LLM Deployment on Edge GPUs",
        2025,
        arxiv="2511.01866",
    )
    quick = (
        "widths=8+16,layers=1,slots=3,steps=15,batch=16,learned=400,tested=16,votes=1+4,limits=2,answers=3,"
        "subject=small,longest=128,outputs=4+8,texts=1+2,rounds=1"
    )
    claims = (
        Claim("prefill", "error of the formula of prefill, lengths held out", None, "%", AtMost(15.0)),
        Claim("decode", "error of the summed decode, prompts held out", "near-linear", "%", AtMost(10.0)),
        Claim("batches", "error of the time between tokens of several texts at once", None, "%", AtMost(15.0)),
        Claim("intercept", "time of a token that sees nothing over weights by measured bandwidth", None, "×",
              Within(relative=0.3, target=1.0)),
        Claim("slope", "time of each token seen over its cache by measured bandwidth", None, "×",
              Within(relative=0.5, target=1.0)),
        Claim("staircase", "prefill rises in steps of 128 tokens", "tensor-core padding", "", Holds()),
        Claim("energy", "error of energy by fitted power, points held out", None, "%", AtMost(15.0)),
        Claim("budget", "accuracy rises with the budget, then is flat", None, "", Holds()),
        Claim("steps", "right answers with steps written out, less without, largest model", None, "points",
              AtLeast(5.0)),
        Claim("forced", "unparsable answers after a hard cut that forces one", None, "%", AtMost(0.0)),
        Claim("compliance", "chains that keep to the budget that the prompt asks for", None, "%", AtLeast(90.0)),
        Claim("votes", "right answers by vote of the most samples, less a single one's, where that is above chance",
              None, "points", AtLeast(0.0)),
        Claim("parallel", "a vote of a smaller model is as right as the largest in no more time", None, "", Holds()),
        Claim("deadline", "answers within 1.1 of the limit, configuration chosen for it", None, "%", AtLeast(90.0)),
        Claim("stated", "chosen configurations whose accuracy on other questions fits the stated interval", None, "%",
              AtLeast(90.0)),
        Claim("orin", "time between tokens over the roofline's floor on a Jetson AGX Orin, worst of 1.5B, 8B, 14B",
              None, "% more", AtMost(30.0)),
        Claim("dominant", "least share of decode there, 1024 tokens after 128", "decode dominates", "%",
              AtLeast(90.0)),
        Claim("refused", "no budget, no time for a token, samples at temperature 0: refused, the minimum told", None,
              "", Holds()),
        Claim("benchmarks", "accuracy of models of billions of weights on MMLU-Redux under budgets", None, "", Holds()),
        Claim("cloud", "a token is cheaper at the edge than from the cloud", "cheaper", "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """What students reach, then what time costs, then what is chosen."""
        from shoal.study import _edge_shown as shown
        from shoal.study._edge_task import questions
        from shoal.study._edge_timed import energy_found, latency_found

        told = self._class(bench)
        bench.say("budgets")
        yield from shown.budgets(told)
        bench.say("votes")
        yield from shown.votes(told)
        others = questions(self.tested, 2, self.slots, self.seed + 2, held_out=True)
        yield from shown.frontier(told, others, self.limits, self.answers, bench)
        yield shown.refused(next(iter(told.options())))
        bench.say(f"times of {self.subject}")
        timed = self._timed()
        yield from latency_found(timed)
        bench.say("energy")
        yield from energy_found(timed)
        efficiency = min(1.0, timed.floor_s / timed.latency.decode.first_s)
        yield from shown.orin(efficiency)
        yield shown.note(efficiency)
        yield untestable("benchmarks", "such models do not fit here")
        yield untestable("cloud", "there is no device and no bill to compare")

    def _class(self, bench: Bench) -> Class:
        """All students, trained now or before."""
        from shoal.study._edge_runs import Class, Student
        from shoal.study._edge_task import questions
        from shoal.study._edge_trained import Training
        from shoal.train import Recipe

        recipe = Recipe(steps=self.steps, batch=self.batch, optimiser="adamw", rate=self.rate, warmup=0.05, clip=1.0,
                        seed=self.seed, threads=self.threads)  # fmt: skip
        arms = [Training(int(width), self.layers, self.slots, steps, recipe, self.learned)
                for steps in (False, True) for width in words(self.widths)]  # fmt: skip
        students = [Student(each.name, each.trained(bench.say), self.slots, each.steps, self.temperature)
                    for each in arms]  # fmt: skip
        asked = questions(self.tested, 2, self.slots, self.seed + 1, held_out=True)
        return Class(tuple(students), tuple(asked), tuple(map(int, words(self.votes))), self.seed)

    def _timed(self) -> Timed:
        from shoal.study._edge_timed import Timed

        outputs, texts = (tuple(map(int, words(each))) for each in (self.outputs, self.texts))
        return Timed(self.subject, self.longest, outputs, texts, self.rounds)
