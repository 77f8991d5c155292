"""Many whole models behind a router on a machine of three tiers of memory, their ops fused into streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within, untestable


@dataclass(frozen=True)
class Sn40l:
    """Switching between whole models, machines that hold them all and whole answers follow from the machines' figures.

    Networks are laid out op by op, at published sizes and as light models, and fused under limits of units and memory; groups
    really run, tile by tile. A composition in small is trained here: eight experts on kinds of text, a router, one module
    for all, from tiers that are held to rates (emulated).
    """

    experts: int = 150  # on one node
    footprint: int = 850  # experts whose machines are counted
    reserve_gb: float = 40.0  # of a DGX's fast memory, for keys and values
    prompts: int = 8  # that come together, each for another expert
    prompt_tokens: int = 256  # of each
    out_tokens: int = 20  # of each answer
    requests: int = 4000  # of a stream
    launch_us: float = 5.0  # of a kernel from software
    models: str = "squeezenet+shufflenet+resnet50+densenet121"  # light ones that are fused, separated by +
    tiled: str = "squeezenet+shufflenet"  # whose groups run tile by tile; none: small decoders alone
    large: bool = True  # lay out decoders of all published sizes; without, one
    steps: int = 600  # of training an expert
    text: int = 400_000  # bytes of each kind
    drawn: int = 200  # stretches of each kind that the router learns
    held: int = 64  # stretches of 128 bytes of each kind that losses are taken over
    each: int = 40  # prompts of each kind that the router is judged on
    new: int = 24  # bytes of an answer
    fast_ms: float = 20.0  # of an expert's copy from the fastest tier
    switched: int = 3  # switches to each expert on each tier
    mixed: int = 60  # requests of each mix on a tier held to a rate
    seed: int = 0  # of weights and draws

    title = "SN40L: whole expert models behind a router, three tiers of memory, fused streams of ops"
    source = Source(
        "Prabhakar et al.", "SambaNova SN40L: Scaling the AI Memory Wall with Dataflow and Composition of Experts", 2024,
        arxiv="2405.07518", venue="MICRO 2024",
    )  # fmt: skip
    quick = (
        "models=squeezenet,tiled=none,large=false,steps=1,held=2,text=60000,each=3,new=2,fast_ms=1,switched=1,"
        "requests=200,mixed=4,drawn=30"
    )
    claims = (
        Claim("switch_a100", "switching models: DGX A100's time over SN40L's", 31, "×", Within(relative=0.1)),
        Claim("switch_h100", "… DGX H100's", 15, "×", Within(relative=0.1)),
        Claim("footprint", "DGX with all experts in fast memory, for one node: at most", 19, "×", Within(relative=0.1)),
        Claim("overall_a100", "whole answers: DGX A100's time over SN40L's, reached in the sweep", 6.6, "×", AtLeast()),
        Claim("overall_h100", "… DGX H100's", 3.7, "×", AtLeast()),
        Claim("overall_both", "… both at one point, off at most", None, "%", AtMost(10)),
        Claim("too_large", "an expert larger than the fast memory is refused", None, "", Holds()),
        Claim("streams", "hits of least recently used, three streams: off a count apart", None, "%", AtMost(1e-9)),
        Claim("hidden", "… waiting that copying ahead hides", None, "%", AtLeast(99)),
        Claim("fusion", "networks of published sizes that fusing makes 2 to 13 times as fast", "2–13 ×", "%", AtLeast(100)),
        Claim("fourier", "… gain of the Fourier convolution over the most of the others", "gains most", "×", AtLeast(1)),
        Claim("limits", "groups keep to units and memory, and are all ops in order", None, "", Holds()),
        Claim("bytes", "bytes moved, fused over unfused, the most of the networks", None, "×", AtMost(1)),
        Claim("tensors", "group by group off op by op, of the largest value", "the same", "", AtMost(1e-6)),
        Claim("tiles", "… tile by tile off op by op, of the largest value", "the same", "", AtMost(1e-5)),
        Claim("tile_bytes", "… intermediate tensors at their peak, over op by op: the most of the networks", None, "×", AtMost(1)),
        Claim("tile_plan", "… what a group's tiles take, over what its plan sets aside: the most", None, "×", AtMost(1)),
        Claim("tiled", "an op larger than the chip is refused: it must be tiled", None, "", Holds()),
        Claim("addresses", "memory by addresses given before a run, over the least possible", None, "×", AtMost(1.1)),
        Claim("loss", "text held out: loss by the router's choice over that of one model of an expert's size", None, "×", AtMost(0.999)),
        Claim("routing", "… over that by each kind's own expert", None, "×", AtMost(1.05)),
        Claim("equal_bytes", "… over that of one model as large as all experts", None, "×", AtMost(1)),
        Claim("router", "prompts held out that go to their expert", None, "%", AtLeast(90)),
        Claim("default", "text of no kind goes to the default, which is said", None, "", Holds()),
        Claim("same", "answers are those of the chosen model by itself", None, "", Holds()),
        Claim("switch", "time of a switch off bytes over bandwidth, tiers of three rates", None, "%", AtMost(20)),
        Claim("switch_16", "… tier 16 times slower: times as long", 16, "×", Within(relative=0.2)),
        Claim("switch_33", "… 33 times", 33, "×", Within(relative=0.2)),
        Claim("ahead", "waiting for switches that copying the next request's expert hides", None, "%", AtLeast(80)),
        Claim("mixes", "three mixes on a real store, least recently used leaves: hits off a count apart", None, "%", AtMost(1e-9)),
        Claim("oracle", "… copies that who knows all requests needs, over those of least recently used", None, "×", AtMost(1)),
        Claim("node", "150 experts of a trillion parameters on a real node", 150, "", AtLeast()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Figures, fusing, the composition in small."""
        from shoal.cost.composition import Expert
        from shoal.study import _sn40l_figures as figures
        from shoal.study import _sn40l_fusion as fusion
        from shoal.study import _sn40l_tiles as tiles

        of = Expert()
        asked = figures.Settings(self.experts, self.prompts, self.prompt_tokens, self.out_tokens)
        yield from figures.switching(of)
        yield from figures.footprint(of, self.footprint, 1e9 * self.reserve_gb)
        yield from figures.overall(of, asked)
        yield from figures.streams(of, asked, self.requests, self.seed)
        bench.say("fusing")
        yield from fusion.fusing(bench, 1e-6 * self.launch_us, self.models, not self.large)
        yield from tiles.tiled(bench, self.tiled)
        yield from self._small(bench)
        yield untestable("node", "takes that node; what its memory holds is counted above")

    def _small(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study import _sn40l_mixes as mixes
        from shoal.study import _sn40l_served as served

        for each in served.trained_small(self.steps, self.text, self.held, self.drawn, bench):
            if not isinstance(each, served.Small):
                yield each
                continue
            yield from served.routed(each, self.each, self.seed)
            yield from served.same(each, self.new)
            bench.say("switches on tiers held to rates")
            yield from served.switches(each, 1e-3 * self.fast_ms, self.switched)
            yield from served.hidden(each, self.new, self.switched)
            yield from mixes.mixes(each, max(1, self.new // 4), self.mixed, bench)
