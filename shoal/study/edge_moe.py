"""Edge-MoE: a vision transformer with experts and several tasks, in fixed point on an FPGA."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.study import AtLeast, AtMost, Bench, Claim, Finding, Holds, Shown, Source, Table, untestable

if TYPE_CHECKING:
    from shoal.study._edge_moe_net import VisionExperts
    from shoal.study._edge_moe_task import Turned


@dataclass(frozen=True)
class EdgeMoe:
    """A network of two tasks is trained here, run in fixed point, and its choices of experts are replayed.

    Handwritten digits, enlarged and turned, are to be read and their turn to be told, by a transformer of four layers in
    which two have eight experts and a gate for each task, and by a dense twin in which every token goes through all
    that the experts have. The machine is a model of cycles: units, ports of one word a cycle, two buffers of weights,
    memory; no stalls. The published network's sizes give an image's time and energy, with choices of a random gate;
    what each idea is worth is the same without it. Seconds of this processor are those of PyTorch with one thread.
    """

    steps: int = 700  # of training
    copies: int = 4  # ways in which a digit is turned, of those to learn from
    tested: int = 597  # digits that are answered in fixed point
    rounds: int = 15  # of what is timed
    tokens: int = 129  # of the experts that are timed in two orders
    seed: int = 0  # of what is drawn

    title = "Edge-MoE: a multi-task vision transformer with experts on an FPGA"
    source = Source(
        "Sarkar, Liang, Fan, Wang, Hao",
        "Edge-MoE: Memory-Efficient Multi-Task Vision Transformer Architecture with Task-level Sparsity via "
        "Mixture-of-Experts",
        2023,
        arxiv="2305.18691",
        venue="ICCAD 2023",
    )
    quick = "steps=4,copies=1,tested=12,rounds=2,tokens=17"
    claims = (
        Claim("learned", "digits read by the network with experts", None, "%", AtLeast(90.0)),
        Claim("class_drop", "digits read by the dense twin beyond that", None, "points", AtMost(2.0)),
        Claim("turn_drop", "variance of turns explained by the dense twin beyond that with experts", None, "points",
              AtMost(2.0)),
        Claim("macs_task", "multiply-adds of perceptrons and experts that a task is spared against the twin", None, "%",
              AtLeast(50.0)),
        Claim("fixed_class", "digits read in float and not in fixed point", None, "points", AtMost(0.5)),
        Claim("fixed_turn", "variance of turns explained in float and not in fixed point", None, "points", AtMost(0.5)),
        Claim("fixed_error", "largest difference of fixed point from float, of the largest output", None, "%",
              AtMost(1.0)),
        Claim("fixed_alike", "… where no token has another expert for that", None, "%", AtMost(1.0)),
        Claim("softmax", "softmax in one pass off that in two, in float", "exact", "", AtMost(1e-6)),
        Claim("gelu", "GELU by table off the exact one, in fixed point", None, "", AtMost(1.5e-4)),
        Claim("saturates", "scores beyond 512 stay at the end of <32, 10>, and would come round without", None, "", Holds()),
        Claim("traffic", "weights fetched token by token over expert by expert, replayed choices, least", None, "×",
              AtLeast(8.0)),
        Claim("traffic_law", "… is choices over experts that have any, for each image and layer", None, "", Holds()),
        Claim("ports", "words a cycle of the skewed attention are as many for 1 to 16 rows of queries", "constant", "",
              Holds()),
        Claim("ports_naive", "words a cycle of attention by rows, 16 rows of queries over one", "grows", "×",
              AtLeast(2.0)),
        Claim("latency", "34.6 ms of an image over the modelled ones, or the reverse", 1.0, "×", AtMost(2.0)),
        Claim("energy", "0.50 J of an image (34.6 ms at 14.5 W) over the modelled ones, or the reverse", 1.0, "×", AtMost(2.0)),
        Claim("fits", "the design fits the xczu9eg", None, "", Holds()),
        Claim("two_pass", "(a) time of an image with softmax in two passes over that in one", None, "×", AtLeast(1.0)),
        Claim("token_order", "(b) time of an image token by token over expert by expert", None, "×", AtLeast(1.0)),
        Claim("naive_rows", "(c) time of an image with attention by rows over skewed", None, "×", AtLeast(1.0)),
        Claim("naive_columns", "(c) time of an image with attention by columns over skewed", None, "×", AtLeast(1.0)),
        Claim("exact_gelu", "(d) change of outputs by an exact GELU, of the largest output", None, "%", AtMost(1.0)),
        Claim("separate", "(e) multipliers with a linear unit for each kind of layer over those with one", None, "×",
              AtLeast(1.0)),
        Claim("one_buffer", "time of an image with one buffer of weights over two", None, "×", AtLeast(1.0)),
        Claim("computation", "multiply-adds spared against a network in which all experts are active", 80.0, "%", AtLeast()),
        Claim("grouped", "experts in PyTorch token by token over expert by expert, time here", None, "×", AtLeast(1.0)),
        Claim("efficiency_cpu", "images a joule over this processor's", 4.90, "×", AtLeast()),
        Claim("efficiency_gpu", "images a joule over a GPU's (RTX A6000)", 2.24, "×", AtLeast()),
        Claim("tasks", "segmentation and depth on Cityscapes", "measured", "", Holds()),
        Claim("refused", "too many experts, heads of no whole words, buffers beyond the device: refused by name", None, "",
              Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Training, values, schedules, an image's time, this processor."""
        from shoal.study import _edge_moe_frames as frames
        from shoal.study import _edge_moe_host as host
        from shoal.study import _edge_moe_values as values
        from shoal.study._edge_moe_replay import replayed
        from shoal.study._edge_moe_task import turned
        from shoal.train.library import torch_threads

        with torch_threads():
            learned, tested = turned(self.copies, self.seed)
            model, shown = self._trained(bench, learned, tested)
            yield from shown
            bench.say("fixed point")
            some = tested.first(self.tested)
            answers = values.answers(model, some)
            yield from values.shown(model, some, answers)
            yield from values.functions(self.seed)
            bench.say("replaying choices")
            yield from replayed([each for answer in answers for each in answer.chosen])
            bench.say("an image of the published network")
            made = frames.Frames(self.seed)
            yield from made.shown()
            yield frames.refused()
            bench.say("this processor")
            yield host.grouped(self.tokens, self.rounds, self.seed)
            yield from host.efficiency(made.whole.joules, self.rounds, self.seed)
        yield untestable("efficiency_gpu", "no such GPU is here")
        yield untestable("tasks", "takes the data set, and weights trained on it")

    def _trained(self, bench: Bench, learned: Turned, tested: Turned) -> tuple[VisionExperts, list[Shown]]:
        """The network with experts, and how it compares with its twin."""
        from shoal.study._edge_moe_task import CLASS, TURN, right
        from shoal.study._edge_moe_trained import TINY, Training, answered
        from shoal.train import Recipe

        recipe = Recipe(self.steps, optimiser="adamw", rate=2e-3, decay=0.05, warmup=0.05, clip=1.0, seed=self.seed)
        models = [Training(dense, recipe, self.copies).trained(learned, bench.say) for dense in (False, True)]
        (read, told), (twin_read, twin_told) = (
            [right(answered(model, tested.x, task), tested.y, task) for task in (CLASS, TURN)] for model in models
        )
        macs, twin_macs = (TINY.perceptron_macs(all_experts=dense) / 1e6 for dense in (False, True))
        count = len(tested.x)
        return models[0], [
            Finding("learned", read, "measured", count, why="one in ten by guessing"),
            Finding("class_drop", twin_read - read, "measured", count),
            Finding("turn_drop", twin_told - told, "measured", count),
            Finding("macs_task", 100 * (1 - macs / twin_macs), "computed"),
            Table("Two networks", ("network", "digits, %", "variance of turns, %", "M multiply-adds of perceptrons"),
                  [("experts", read, told, macs), ("dense twin", twin_read, twin_told, twin_macs)],
                  note=f"{count} digits that were not learned; each task runs the network by itself"),
        ]  # fmt: skip
