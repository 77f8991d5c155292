"""MST-compression: binary channels from one another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from shoal.study import (
    AtMost,
    Bench,
    Chart,
    Claim,
    Finding,
    Holds,
    Series,
    Shown,
    Source,
    Table,
    Within,
    untestable,
    words,
)
from shoal.study._mst_nets import Net, paths_timed, random_ratio, roots_are_best, trained_net, weights_agree

if TYPE_CHECKING:
    from shoal.compress.tree import ChannelTree

# rows, columns, and the share of XNORs that a tree needs on average, in %
RANDOM = ((64, 576, 46.0), (128, 1152, 47.0), (256, 2304, 47.4), (512, 4608, 47.9))


@dataclass(frozen=True)
class Mst:
    """A residual network of binary convolutions is trained with a penalty on the length of its channels' trees.

    For each strength and seed: accuracy, XNORs over those of the dense network, stored bytes, and a model of the
    layers unrolled in an FPGA. The tree's sums are held against those of the training graph at every layer.

    The strengths were settled after earlier sweeps, and the best of them is picked on the test items it is reported for.
    Differences are stored as Rice-coded gaps where that is shortest, which the publication does not have.
    """

    task: str = "digits"  # of train/tasks
    net: str = "residual_cnn:width=32"  # of train/nets
    algorithm: str = "bireal"  # of train/binary
    strengths: str = "0+0.003+0.01+0.03+0.1+0.3"  # of the penalty, separated by +; the first is 0
    seeds: int = 2  # networks of each strength
    steps: int = 1500  # of training
    spread: float = 0.5  # share of signs off a common pattern at the start; 0.5: there is none
    pictures: int = 64  # whose sums are compared
    largest: int = 4  # random matrices, of four sizes
    seed: int = 0  # of the first network

    title = "MST-compression: each binary channel from its nearest neighbour, along a minimum spanning tree"
    source = Source(
        "Vo et al.", "MST-compression: Compressing and Accelerating Binary Neural Networks with Minimum Spanning Tree",
        2023, arxiv="2308.13735",
    )  # fmt: skip
    quick = "net=residual_cnn:width=8,strengths=0+3,seeds=1,steps=20,pictures=4,largest=1"
    claims = (
        Claim(
            "exact", "sums by the tree are those of the training graph, every layer and picture", None, "", Holds()
        ),
        Claim("free", "XNORs over dense ones without any penalty, worst layer", None, "%", AtMost(50.0)),
        Claim(
            "random",
            "share of XNORs of random signs off the reference, most of all sizes",
            None,
            "points",
            AtMost(0.5),
        ),
        Claim(
            "trained",
            "XNORs over dense ones at the best strength that costs ≤ 1 point",
            "significant",
            "%",
            AtMost(30.0),
        ),
        Claim("accuracy", "accuracy lost at that strength", "negligible", "points", AtMost(1.0)),
        Claim("bytes", "bytes of the trees over packed signs at that strength", "significant", "%", AtMost(99.0)),
        Claim("least", "no tree weighs less than scipy's minimum spanning tree, or more", None, "", Holds()),
        Claim("root", "no other root gives a tree less depth", None, "", Holds()),
        Claim(
            "tables",
            "look-up tables over those of the dense layers, unrolled in an FPGA",
            "lower",
            "%",
            AtMost(50.0),
        ),
        Claim(
            "rate",
            "pictures a second over those of the dense layers, unrolled in an FPGA",
            None,
            "×",
            Within(target=1.0),
        ),
        Claim(
            "processor",
            "a tree in native code against dense XNOR-popcount on this processor",
            None,
            "×",
            AtMost(1.0),
        ),
        Claim(
            "imagenet",
            "accuracy and compression of VGG-small and ResNets on CIFAR-10 and ImageNet",
            "see there",
            "",
            Holds(),
        ),
    )

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Random signs, trained networks, then the best of them."""
        yield from self._random()
        levels = [float(each) for each in words(self.strengths)]
        found: dict[float, list[Net]] = {}
        for level in bench.each(levels, "strength"):
            found[level] = [self._net(level, self.seed + seed, bench) for seed in range(self.seeds)]
        nets = [net for each in found.values() for net in each]
        yield from _curve(found)
        exact = all(layer.exact for net in nets for layer in net.layers)
        yield Finding("exact", exact, "measured", sum(len(net.layers) for net in nets))
        plain = [layer.tree.ratio * 100 for net in found[levels[0]] for layer in net.layers]
        yield Finding("free", max(plain), "measured", len(plain), (min(plain), max(plain)), "interval: all layers")
        yield from _best(found, levels[0])
        yield from _checked([layer.tree for net in nets for layer in net.layers])
        yield from _timed(nets[-1])
        yield untestable("imagenet", "takes ImageNet and weeks of training")

    def _net(self, strength: float, seed: int, bench: Bench) -> Net:
        net = trained_net(
            self.task, self.net, self.algorithm, strength, seed, self.steps, self.pictures, self.spread
        )
        bench.say(f"strength {strength:g}, seed {seed}: accuracy {net.accuracy:.4f}, XNORs {net.ratio:.3f}")
        return net

    def _random(self) -> Iterator[Shown]:
        rows = [
            (count, columns, 100 * random_ratio(count, columns, self.seed), known)
            for count, columns, known in RANDOM[: self.largest]
        ]
        yield Table("XNORs of random signs over dense ones", ("rows", "columns", "tree, %", "reference, %"), rows)
        yield Finding("random", max(abs(row[2] - row[3]) for row in rows), "computed", len(rows))


def _curve(found: dict[float, list[Net]]) -> Iterator[Shown]:
    """Accuracy against XNORs."""
    rows = [
        (strength, net.seed, 100 * net.accuracy, 100 * net.ratio, 100 * net.bytes_share, 100 * net.penalty_share,
         max(layer.tree.depth for layer in net.layers))
        for strength, nets in found.items()
        for net in nets
    ]  # fmt: skip
    columns = ("strength", "seed", "accuracy, %", "XNORs, %", "bytes, %", "penalty of the loss, %", "depth")
    yield Table("Networks by the strength of the penalty; XNORs and bytes over dense ones", columns, rows)
    seeds = sorted({row[1] for row in rows})
    series = [
        Series(
            f"seed {seed}", [row[3] for row in rows if row[1] == seed], [row[2] for row in rows if row[1] == seed]
        )
        for seed in seeds
    ]
    yield Chart("Accuracy against XNORs", "XNORs over dense ones, %", "accuracy, %", tuple(series), kind="points")


def _best(found: dict[float, list[Net]], plain: float) -> Iterator[Shown]:
    """Of the strengths that cost at most a point on average, the one with the fewest XNORs."""
    usual = mean(net.accuracy for net in found[plain])
    lost = {level: 100 * (usual - mean(net.accuracy for net in nets)) for level, nets in found.items()}
    share = {level: 100 * mean(net.ratio for net in nets) for level, nets in found.items()}
    best = min((level for level in found if lost[level] <= 1), key=lambda level: share[level])
    nets = found[best]
    each = [100 * net.ratio for net in nets]
    why = f"strength {best:g}; interval: seeds"
    yield Finding("trained", share[best], "measured", len(nets), (min(each), max(each)), why)
    yield Finding("accuracy", lost[best], "measured", len(nets), why=f"strength {best:g}, mean of seeds")
    stored = [100 * net.bytes_share for net in nets]
    yield Finding("bytes", mean(stored), "measured", len(nets), (min(stored), max(stored)), why)
    yield from _baselines(nets[0])
    yield from _in_hardware(nets)


def _baselines(net: Net) -> Iterator[Shown]:
    """What a chain would weigh, and what a limit of depth costs."""
    from shoal.compress.tree import channel_tree, distances, greedy_path

    rows = []
    for layer in net.layers:
        tree = layer.tree
        held = channel_tree(tree.signs, max_depth=3)
        rows.append(
            (layer.name, tree.weight, tree.depth, held.weight, held.depth, greedy_path(distances(tree.signs)))
        )
    columns = ("layer", "tree", "depth", "tree, depth ≤ 3", "depth", "greedy chain")
    yield Table("Signs that differ along trees and chains, of the best strength", columns, rows)


def _in_hardware(nets: list[Net]) -> Iterator[Shown]:
    from shoal.compress.tree_hardware import UnrolledXnor

    machine, rows = UnrolledXnor(), []
    for layer in nets[0].layers:
        tree = layer.tree
        dense, hung = machine.dense(tree.rows, tree.columns, layer.places), machine.tree(tree, layer.places)
        rows.append((layer.name, dense.luts, hung.luts, dense.stages, hung.stages, dense.pictures_per_s,
                     hung.pictures_per_s, hung.latency_s * 1e6))  # fmt: skip
    columns = ("layer", "tables, dense", "tables, tree", "stages, dense", "stages, tree", "pictures/s, dense",
               "pictures/s, tree", "latency, tree, µs")  # fmt: skip
    yield Table(f"Unrolled in an FPGA of {machine.clock_hz / 1e6:g} MHz", columns, rows)
    tables = 100 * sum(row[2] for row in rows) / sum(row[1] for row in rows)
    yield Finding("tables", tables, "modelled", len(rows))
    yield Finding("rate", min(row[6] / row[5] for row in rows), "modelled", len(rows),
                  why="one output place a cycle either way; a tree adds stages, not cycles between places")  # fmt: skip


def _checked(trees: list[ChannelTree]) -> Iterator[Shown]:
    alike = weights_agree(trees)
    if alike is None:
        yield untestable("least", "scipy is not installed")
    else:
        yield Finding("least", alike, "computed", len(trees))
    yield Finding("root", roots_are_best(trees), "computed", len(trees))


def _timed(net: Net) -> Iterator[Shown]:
    rows = [(layer.name, *paths_timed(layer.tree, layer.places)) for layer in net.layers[:2]]
    columns = ("layer", "dense, native or best, ms", "dense, numpy, ms", "tree, numpy, ms")
    yield Table(
        "One picture on this processor", columns, [(name, *(1e3 * each for each in row)) for name, *row in rows]
    )
    yield untestable("processor", "there is no native executor of trees; the table has numpy's times")
