"""DeepSeek-V3 and its hardware: latent attention, FP8 in tiles, experts on few nodes, planes of a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within, untestable


@dataclass(frozen=True)
class DeepseekV3:
    """What the publication derives from sizes is derived from the models' configurations; what it does is done small.

    Cache, compute and limits come from configurations and link speeds, networks are built link by link. A small model of
    the same kind, trained on Python's documentation, answers with latent attention expanded and absorbed, with weights in
    blocks of FP8, and with experts on few nodes. Formats are judged on its activations and on weights of Gemma 3, sums in
    an emulation of the tensor cores. Tokens travel between processes that stand for nodes. A module that foresees the
    second token is trained behind the model and drafts for it.
    """

    sequence: int = 4096  # tokens of a training sequence
    link_gb: float = 50.0  # GB/s of a device's link between nodes
    inside_gb: float = 900.0  # … inside a node
    stretches: int = 8  # of 128 bytes, on which both ways of attention are compared
    tokens: int = 4096  # seen by the step that is timed
    rounds: int = 15  # of timing, both ways in turn
    gemma_blocks: int = 3  # of Gemma 3 270M, whose weights are coded; 0: none
    read: int = 512  # bytes whose activations are coded
    columns: int = 4096  # products of a sum
    held: int = 200  # stretches of 128 bytes that losses are taken over
    routed: int = 32  # tokens of each process
    width: int = 1024  # values of such a token
    ranks: int = 2  # processes of each of eight nodes
    ports: int = 64  # of a switch
    planes: int = 8  # of a network
    small_ports: int = 8  # of a switch in the simulated exchange; planes are half as many
    message_mb: float = 1.0  # from each device to each
    steps: int = 600  # of training the module that drafts
    letters: int = 400  # bytes that are drafted
    seed: int = 0  # of what is drawn

    title = "DeepSeek-V3: latent attention, fine-grained FP8, node-limited experts and a multi-plane network"
    source = Source(
        "Zhao et al.", "Insights into DeepSeek-V3: Scaling Challenges and Reflections on Hardware for AI Architectures",
        2025, arxiv="2505.09343", venue="ISCA 2025",
    )  # fmt: skip
    quick = (
        "stretches=1,tokens=256,rounds=2,gemma_blocks=0,read=64,columns=512,held=2,routed=2,width=128,ranks=1,"
        "small_ports=4,steps=4,letters=12"
    )
    claims = (
        Claim("kv_v3", "cache of a token, BF16: DeepSeek-V3", 70.272, "kB", Within(relative=0.01)),
        Claim("kv_72b", "… Qwen 2.5 72B", 327.680, "kB", Within(relative=0.01)),
        Claim("kv_405b", "… Llama 3.1 405B", 516.096, "kB", Within(relative=0.01)),
        Claim("train_v3", "training, GFLOP a token at 4,096 tokens: DeepSeek-V3", 250, "GFLOP", Within(relative=0.05)),
        Claim("train_72b", "… Qwen 2.5 72B", 394, "GFLOP", Within(relative=0.05)),
        Claim("train_405b", "… Llama 3.1 405B", 2448, "GFLOP", Within(relative=0.05)),
        Claim("exchange", "exchange of a layer, one expert a device, 50 GB/s", 120.96, "µs", Within(relative=0.01)),
        Claim("token", "… least time of a token", 14.76, "ms", Within(relative=0.01)),
        Claim("rate", "… tokens a second", 67, "tokens/s", Within(absolute=1)),
        Claim("exchange_inside", "exchange of a layer at 900 GB/s", 6.72, "µs", Within(relative=0.01)),
        Claim("token_inside", "… least time of a token", 0.82, "ms", Within(relative=0.01)),
        Claim("rate_inside", "… tokens a second, published as about", 1200, "tokens/s", Within(relative=0.02)),
        Claim("inputs", "another input gives another figure, with other models too", None, "", Holds()),
        Claim("absorbed", "latent attention absorbed: logits off the expanded ones", "the same", "", AtMost(1e-4)),
        Claim("kept", "bytes of the cache are those of the formula", None, "", Holds()),
        Claim("decode", "a step of the trained model, absorbed over expanded", "faster", "×", AtLeast(1.0)),
        Claim("decode_wide", "… of one wider layer", "faster", "×", AtLeast(1.0)),
        Claim("blocks", "weights in E4M3: error of 128 × 128 blocks over one scale", "smaller", "×", AtMost(0.999)),
        Claim("tiles", "activations in E4M3: error of 1 × 128 tiles over one scale", "smaller", "×", AtMost(0.999)),
        Claim("outlier", "weights with one outlier: error of the others, blocks over one scale", "smaller", "×",
              AtMost(0.5)),
        Claim("promotion", "sums of 13 fraction bits: error promoted every 128 over never", "smaller", "×", AtMost(0.999)),
        Claim("loss", "weights in blocks of FP8: loss above float32", "training: below 0.25", "%", AtMost(1.0)),
        Claim("logfmt", "activations: error of LogFMT-8 over E4M3 in the same tiles", "smaller", "×", AtMost(1.0)),
        Claim("ends", "LogFMT-8 keeps zeros, and the least and largest magnitude", None, "", Holds()),
        Claim("nodes", "nodes of a token at most, 8 of 256 experts on 8 nodes", 4, "", AtMost()),
        Claim("between", "bytes between nodes: at most 4, each once, over one copy an expert", 0.5, "×", AtMost()),
        Claim("between_nodes", "… over one copy a node, unlimited", None, "×", AtMost(0.999)),
        Claim("answers", "what comes back is what the experts make, off at most", None, "%", AtMost(0.5)),
        Claim("limit_loss", "loss of the trained model with half of the groups above that with all", "none given", "%",
              AtMost(1.0)),
        Claim("acceptance", "second token foreseen: drafts that the model accepts in text of its own", "80–90", "%", AtLeast(80)),
        Claim("agreement", "… places of held-out text where module and model foresee the same", "80–90", "%", AtLeast(80)),
        Claim("text", "drafted text is the model's own", None, "", Holds()),
        Claim("drafted", "speed at the published acceptance", 1.8, "×", Within(relative=0.01)),
        Claim("drafted_here", "speed at the acceptance here, the module's work counted", 1.8, "×", AtLeast(1.0)),
        Claim("endpoints_two", "fat tree of two layers: endpoints", 2048, "", Within()),
        Claim("endpoints_planes", "eight planes of it: endpoints", 16384, "", Within()),
        Claim("switches_planes", "… switches", 768, "", Within()),
        Claim("endpoints_three", "fat tree of three layers: endpoints", 65536, "", Within()),
        Claim("all_to_all", "all to all over planes over one network of three layers", "about equal", "×",
              Within(relative=0.1, target=1.0)),
        Claim("refused", "what cannot be is refused", None, "", Holds()),
        Claim("training", "FP8 training: loss above BF16 at 16 and 230 billion weights", 0.25, "%", AtMost()),
        Claim("server", "DeepSeek-V3 on a server with one consumer GPU", 20, "tokens/s", AtLeast()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Configurations and networks, the small model, processes, drafts."""
        from shoal.study import _deepseek_v3_figures as figures

        yield from figures.models(self.sequence)
        yield from figures.limits(self.link_gb, self.inside_gb)
        yield from figures.drafted()
        yield from figures.inputs_matter()
        yield from figures.refused()
        bench.say("networks")
        yield from figures.networks(self.ports, self.planes)
        yield from figures.exchanges(self.small_ports, 1e6 * self.message_mb)
        yield from self._small(bench)
        yield untestable("training", "takes training runs of billions of weights")
        yield untestable("server", "takes that server")

    def _small(self, bench: Bench) -> Iterator[Shown]:
        from shoal.llm.tiny import tiny
        from shoal.study import _deepseek_v3_latent as latent
        from shoal.study import _deepseek_v3_mtp as mtp
        from shoal.study import _deepseek_v3_numbers as numbers
        from shoal.study import _deepseek_v3_routing as routing
        from shoal.train.language import Stretches, corpus, stretches

        trained, (_, text) = tiny("deepseek_v3"), corpus()
        all_ = stretches(text, 128)
        held = Stretches(all_.x[: self.held], all_.y[: self.held])
        bench.say("latent attention")
        yield from latent.exact(trained, text, self.stretches)
        yield from latent.decode(trained, self.tokens, self.rounds)
        bench.say("formats")
        yield from numbers.weights(self.gemma_blocks, trained)
        yield from numbers.activations(trained, text, self.read)
        yield from numbers.sums(trained, text, self.columns, self.seed)
        yield from numbers.loss(trained, held)
        bench.say("experts")
        yield from routing.crossing(bench.scratch, self.routed, self.width, self.ranks, self.seed)
        yield from routing.limited(trained, held)
        bench.say("drafts")
        yield from mtp.drafted(trained, text, self.steps, self.letters, bench.say)
