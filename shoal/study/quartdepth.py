"""QuartDepth: depth estimation with weights and activations in four bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, TypeAlias

from shoal.errors import MissingExtra
from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Chart,
    Claim,
    Finding,
    Holds,
    Note,
    Series,
    Shown,
    Source,
    Table,
    untestable,
)

if TYPE_CHECKING:
    from shoal.study._ohq_runs import Network
    from shoal.study._quartdepth_runs import Quality, Samples
    from shoal.study._quartdepth_scenes import Scenes

Found: TypeAlias = "dict[str, list[Quality]]"  # by way, of each calibration seed
BITS = (4, 8)


@dataclass(frozen=True)
class Quartdepth:
    """A small network learns depth from rendered rooms; then its weights and activations are rounded, step by step.

    Steps: nearest values, polishing (a logarithmic grid for activations where that loses less), compensation (weights
    changed in closed form, biases corrected), reconstruction (rounding learned for the network's answers). Depths are in
    metres and scored as they are, nothing is aligned. The smaller networks run on onnxruntime, weights packed; what an
    accelerator would take is modelled.
    """

    width: int = 16  # channels of the network at half of the picture's side
    scenes: int = 2000  # rooms that it learns from
    steps: int = 1500  # of training
    tested: int = 400  # other rooms
    calibration: int = 128  # rooms of those that rounding looks at, as many as published
    seeds: int = 3  # choices of those
    learning: int = 200  # steps, of rounding
    others: bool = True  # other ways to as few bits too
    seed: int = 0  # of rooms, network and choices

    title = "QuartDepth: activations polished, weights compensated and reconstructed, four bits both"
    source = Source(
        "Shen et al.", "QuartDepth: Post-Training Quantization for Real-Time Depth Estimation on the Edge", 2025,
        arxiv="2503.16709", venue="CVPR 2025",
    )  # fmt: skip
    quick = "width=8,scenes=24,steps=5,tested=4,calibration=3,seeds=1,learning=4,others=false"
    claims = (
        Claim("trained", "δ1 of the float network on rooms it never saw", None, "%", AtLeast(85.0)),
        Claim(
            "outliers", "largest value over deviation in decoder activations, worst channel", "extreme", "",
            AtLeast(8.0),
        ),
        Claim("polish", "δ1 gained by polishing at W4A4, mean of calibrations", "more", "points", AtLeast(0.0)),
        Claim("compensate", "δ1 gained by compensation after that", "more", "points", AtLeast(0.0)),
        Claim("reconstruct", "δ1 gained by reconstruction after that", "more", "points", AtLeast(0.0)),
        Claim("recovered", "of the δ1 that nearest values lose, what all steps bring back", None, "%", AtLeast(60.0)),
        Claim("eight", "δ1 lost at W4A8 less that lost at W4A4, all steps", None, "points", AtMost(0.0)),
        Claim(
            "closed", "error that compensation takes off outputs on calibration rooms, worst layer", None, "%",
            AtLeast(0.0),
        ),
        Claim("fresh", "error that it takes off on other rooms, mean of layers", None, "%", AtLeast(0.0)),
        Claim("same", "packed four-bit model in the engine, off the same values in float32", None, "%", AtMost(0.1)),
        Claim("faster", "frames a second of the modelled accelerator, W4A4 over W8A8", "faster", "×", AtLeast(1.0)),
        Claim("fused", "frames a second with fused ops over each op by itself, W4A4", "faster", "×", AtLeast(1.0)),
        Claim("bytes", "bytes of main memory are the sizes of the graph's tensors, fused or not", None, "", Holds()),
        Claim("refused", "wrong calibration is refused with a clear error", None, "", Holds()),
        Claim("published", "Metric3D and Depth Anything on NYUv2 and KITTI", "competitive", "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Train, round step by step, check the parts, model the accelerator."""
        try:
            network, learnt, test = self._trained(bench)
        except MissingExtra as fault:
            yield from (untestable(claim.key, f"{fault.message}: {fault.hint}") for claim in self.claims)
            return
        yield from self._float(network, test)
        yield from self._ladder(bench, network, learnt, test)
        yield from self._parts(bench, network, learnt)
        yield from _accelerated(network)
        yield untestable("published", "takes these networks, their data, and a chip")

    def _trained(self, bench: Bench) -> tuple[Network, Scenes, Scenes]:
        """The network, what it learnt from, and rooms to test with."""
        from shoal.compress import opened
        from shoal.study._ohq_runs import Network
        from shoal.study._quartdepth_net import Training, trained
        from shoal.study._quartdepth_scenes import scenes

        bench.say("training on rooms, or taking the network that is kept")
        path = trained(Training(self.width, self.scenes, self.steps, seed=self.seed))
        test, learnt = scenes(self.tested, self.seed + 1), scenes(min(self.scenes, 512), self.seed)
        folder = bench.scratch / "depth"
        folder.mkdir()
        return Network(opened(path), (), test.samples(), folder), learnt, test

    def _float(self, network: Network, test: Scenes) -> Iterator[Shown]:
        """As it was trained."""
        from shoal.study._quartdepth_runs import quality, tails

        found = quality(network.answers(network.file({})), test)
        why = f"AbsRel {found.relative:.1f} %, RMSE {found.rms_m:.2f} m, {network.graph.weights_bytes // 4} weights"
        yield Finding("trained", found.near, "measured", len(test.depths), why=why)
        each = tails(network.graph, test.samples(64), "up")
        rows = [(some.op, some.worst, some.usual, some.kurtosis) for some in each]
        columns = ("layer", "max/σ, worst channel", "max/σ, median channel", "kurtosis of all values")
        yield Table("What the decoder's layers read", columns, rows)
        yield Finding("outliers", max(some.worst for some in each), "measured", len(each))

    def _ladder(self, bench: Bench, network: Network, learnt: Scenes, test: Scenes) -> Iterator[Shown]:
        """Every step, for each choice of calibration rooms; other ways for the first."""
        from shoal.study._quartdepth_runs import RECONSTRUCTION, RTN, ladder, quality, rivals, smaller

        plain = quality(network.answers(network.file({})), test)
        found: Found = {}
        for number in bench.each(range(self.seeds), "calibration"):
            samples = self._samples(learnt, number)
            ways = {f"W4A{bits} {name}": way for bits in BITS for name, way in ladder(bits, self.learning).items()
                    if bits == BITS[0] or name in (RTN, RECONSTRUCTION)}  # fmt: skip
            if number == 0 and self.others:
                ways |= {f"W4A4 {name}": way for name, way in rivals(4, self.learning).items()}
            for name, way in ways.items():
                file = network.written(smaller(network.graph, way, samples).model)
                found.setdefault(name, []).append(quality(network.answers(file), test))
                bench.say(f"{name}: δ1 {found[name][-1].near:.1f} %")
        yield _ways(plain, found)
        yield _chart(plain, found)
        yield from _steps(plain, found)

    def _samples(self, learnt: Scenes, number: int) -> Samples:
        """Calibration rooms: so many of those it learnt from, others for each number."""
        import numpy as np

        chosen = np.random.default_rng([self.seed, number]).permutation(len(learnt.depths))[: self.calibration]
        return learnt[chosen].samples()

    def _parts(self, bench: Bench, network: Network, learnt: Scenes) -> Iterator[Shown]:
        """Compensation by itself, layer by layer, and the exported model beside the same values in float32."""
        import numpy as np

        from shoal.compress.techniques.polish import Polish
        from shoal.study._quartdepth_runs import COMPENSATION, Way, compensated, ladder, refusals, smaller

        bench.say("layer by layer")
        samples, fresh = self._samples(learnt, 0), network.test[:32]
        walked = compensated(network.graph, Polish(4), samples, fresh)
        columns = ("layer", "calibration rooms", "other rooms")
        rows = list(zip(walked.layers, walked.seen, walked.fresh, strict=True))
        yield Table("Error that compensation takes off outputs, % of their energy", columns, rows)
        yield Finding("closed", min(walked.seen), "measured", len(rows), (min(walked.seen), max(walked.seen)))
        yield Finding("fresh", mean(walked.fresh), "measured", len(rows), (min(walked.fresh), max(walked.fresh)),
                      "intervals: all layers")  # fmt: skip
        way = Way(ladder(4, 1)[COMPENSATION].techniques)
        answers = network.answers(network.written(smaller(network.graph, way, samples).model))
        pairs = list(zip(answers, walked.answers, strict=False))
        off = [100 * float(np.linalg.norm(one - other) / np.linalg.norm(other)) for one, other in pairs]
        why = "of the norm, mean of rooms; a logarithm that ends another way at the edge of a step changes a code"
        yield Finding("same", mean(off), "measured", len(off), (min(off), max(off)), why)
        told = refusals(network.graph, samples)
        yield Finding("refused", all(told.values()), "computed", len(told), why=", ".join(told))


def _ways(plain: Quality, found: Found) -> Table:
    rows = [("float32", plain.near, 0.0, plain.relative, plain.rms_m, 0)]
    for name, some in found.items():
        near = mean(each.near for each in some)
        rows.append((name, near, plain.near - near, mean(each.relative for each in some),
                     mean(each.rms_m for each in some), len(some)))  # fmt: skip
    columns = ("way", "δ1, %", "lost, points", "AbsRel, %", "RMSE, m", "calibrations")
    return Table("Depths on other rooms, in metres as they are", columns, rows)


def _chart(plain: Quality, found: Found) -> Chart:
    from shoal.study._quartdepth_runs import LADDER

    count = len(found[f"W4A4 {LADDER[0]}"])
    series = [
        Series(f"calibration {number}", list(LADDER), [found[f"W4A4 {name}"][number].near for name in LADDER])
        for number in range(count)
    ]
    float32 = Series("float32", list(LADDER), [plain.near] * len(LADDER))
    return Chart("W4A4, step by step", "steps so far", "δ1, %", (*series, float32))


def _steps(plain: Quality, found: Found) -> Iterator[Shown]:
    """What each of them gains."""
    from shoal.study._quartdepth_runs import LADDER

    near = {name: [each.near for each in some] for name, some in found.items()}
    steps = [near[f"W4A4 {name}"] for name in LADDER]
    for key, before, after in zip(("polish", "compensate", "reconstruct"), steps, steps[1:], strict=False):
        gains = [new - old for old, new in zip(before, after, strict=True)]
        yield Finding(key, mean(gains), "measured", len(gains), (min(gains), max(gains)), "interval: calibrations")
    shares = [100 * (last - first) / (plain.near - first) for first, last in zip(steps[0], steps[-1], strict=True)
              if first < plain.near]  # fmt: skip
    if shares:
        yield Finding("recovered", mean(shares), "measured", len(shares), (min(shares), max(shares)))
    else:
        yield untestable("recovered", "nearest values lose nothing")
    more = [four - eight for four, eight in zip(steps[-1], near[f"W4A8 {LADDER[-1]}"], strict=True)]
    yield Finding("eight", mean(more), "measured", len(more), (min(more), max(more)), "interval: calibrations")


def _accelerated(network: Network) -> Iterator[Shown]:
    """The graph on a tile engine, in several widths."""
    from shoal.machines.tiles import TileEngine, Widths, groups_of
    from shoal.study._quartdepth_bytes import tensors_bytes

    machine, rows, rates, alike = TileEngine(), [], {}, []
    for widths in (Widths(16, 16, floating=True), Widths(8, 8), Widths(4, 8), Widths(4, 4)):
        for fused in (False, True):
            ran = machine.run(groups_of(network.graph, fused), widths)
            rates[widths.name, fused] = ran.items_per_s
            alike.append(ran.dram_bytes == tensors_bytes(network.graph, widths, fused))
            rows.append((widths.name, fused, ran.items_per_s, 1e3 * ran.watts, ran.items_per_s / ran.watts,
                         ran.dram_bytes / 1e3, 1e6 * ran.joules, *(1e6 * each for each in ran.energy_j.values())))  # fmt: skip
    columns = ("widths", "fused", "frames/s", "mW", "frames/s/W", "main memory, kB", "µJ a frame", *(
        f"{name}, µJ" for name in ran.energy_j))  # fmt: skip
    yield Table(f"{machine.rows}×{machine.inner}×{machine.places} multipliers at {machine.clock_hz / 1e9:g} GHz", columns,
                rows, "all layers in the same widths; energies are choices of the study, in machines/energy.csv")  # fmt: skip
    yield Finding("faster", rates["W4A4", True] / rates["W8A8", True], "modelled", why="fused both")
    yield Finding("fused", rates["W4A4", True] / rates["W4A4", False], "modelled")
    yield Finding(
        "bytes", all(alike), "modelled", len(alike), why="weights, their biases in 32 bits, and activations"
    )
    yield Note(
        "The publication gives no figures of its accelerator's units; sizes and energies here are for example."
    )
