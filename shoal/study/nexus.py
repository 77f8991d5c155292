"""Nexus Machine: messages that carry instructions to where data is, and are computed wherever an ALU is idle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.errors import InputError
from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Claim,
    Finding,
    Holds,
    Note,
    Shown,
    Source,
    Within,
    untestable,
    words,
)

if TYPE_CHECKING:
    from shoal.machines.nexus import MessageArray, Sparse
    from shoal.study._nexus_layers import PrunedLayer
    from shoal.study._nexus_workloads import Workload


@dataclass(frozen=True)
class Nexus:
    """Kernels on uneven matrices, graphs and pruned layers run cycle by cycle on five arrays of equal ALUs and memory.

    Messages, with and without products on their way, and the two arrays after triggered instructions are one simulator,
    and compute values. Loops of the CGRA are traced and mapped by the compiler of Plaid's study, on a mesh with a port of the
    memory at each ALU; it is held up by its conflicts, and gets the best of many loops. The systolic array is a formula.
    All have the same port to outside, the same prices; arrays of messages the same placement.
    Layers are pruned by magnitude, with the inputs they see. With `matrix=FILE` the kernels of `op` run on that matrix alone.
    """

    vertices: int = 10  # of graphs: the power of two
    degree: int = 8  # edges of a vertex
    products: int = 7  # rows of matrices whose product is made: the power of two
    depth: int = 16  # of factors of sampled products
    rounds: int = 20  # of PageRank, at most
    models: str = "squeezenet+minilm"  # whose layer is pruned: that, or a light model with seeded weights
    shares: str = "0.7+0.8+0.9+0.95"  # of weights that are zero
    ports: str = "4+8+16+32+64"  # words a cycle that are tried
    timed: int = 7  # runs of the simulator that are timed
    lanes: int = 12  # of the CGRA's loops, at most
    matrix: str = ""  # a file of Matrix Market; with it alone `op` is run, and no claim is judged
    op: str = "spmv"  # kernels on that matrix: spmv, spmspm, sddmm, bfs, pagerank, sssp
    array: str = "4x4"  # rows and columns of processing elements
    seed: int = 0  # of what is drawn

    title = "Nexus Machine: active messages that are computed on their way"
    source = Source(
        "Juneja et al.", "Nexus Machine: An Active Message Inspired Reconfigurable Architecture for Irregular Workloads", 2025,
        arxiv="2502.12380", venue="MICRO 2025",
    )  # fmt: skip
    quick = "vertices=7,degree=6,products=5,depth=4,rounds=3,models=squeezenet,shares=0.9,ports=8,lanes=1,timed=1"
    claims = (
        Claim("cgra", "uneven workloads: times as fast as a generic CGRA, geometric mean", "1.9 (v3; v1: 1.5 over the best)",
              "×", Within(absolute=0.5, target=1.8)),
        Claim("tia", "… as an array of triggered instructions at their data", "1.35 over prior art, on average",
              "×", AtLeast(1.05)),
        Claim("useful", "share of ALU cycles with the algorithm's arithmetic, over the CGRA's", "1.7 (v3; v1: 1.6)", "×",
              AtLeast(1.0)),
        Claim("busy", "share of places that do anything for the algorithm, over the CGRA's", "1.7 (v3; v1: 1.6)", "×",
              AtLeast(1.0)),
        Claim("energy", "energy of the CGRA over Nexus", None, "×", AtLeast(1.0)),
        Claim("dense", "dense products: systolic cycles over those of Nexus, the most", "no gain", "×", AtMost(1.0)),
        Claim("share", "products, and sums of ways, that are made on the way, of all", None, "%", AtLeast(5.0)),
        Claim("skewed", "products of matrices with hubs: array cycles without products on the way over with", None, "×",
              AtLeast(1.05)),
        Claim("even", "the same of even matrices", None, "×", AtMost(1.05)),
        Claim("integers", "SpMV, SpMSpM, SDDMM and layers off numpy, whole numbers", None, "", AtMost(0.0)),
        Claim("floats", "SpMV in float32 off float64, of the largest", None, "", AtMost(1e-5)),
        Claim("bfs", "levels off a queue's", None, "", AtMost(0.0)),
        Claim("sssp", "lengths of shortest ways off Dijkstra's", None, "", AtMost(0.0)),
        Claim("pagerank", "ranks off float64's", None, "", AtMost(1e-6)),
        Claim("layer", "pruned layers in float32 off onnxruntime, of the largest", None, "", AtMost(1e-5)),
        Claim("layer_int16", "… in 16-bit integers", None, "", AtMost(1e-3)),
        Claim("shallow", "FIFOs of one message end every kernel, with the same values", None, "", Holds()),
        Claim("stuck", "one network for all legs gets stuck, and the circle of FIFOs is named", None, "", Holds()),
        Claim("refused", "a vector larger than all memories is refused with name, bytes and capacity", None, "", Holds()),
        Claim("rate", "simulated cycles of processing elements a second of one core", None, "M/s", AtLeast(3.0)),
        Claim("silicon", "area and power in 22 nm equal those of the other arrays", "equal", "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Compare, then what must hold."""
        from shoal.machines.nexus import MessageArray
        from shoal.study import _nexus_checks as checks
        from shoal.study import _nexus_compared as compare

        rows, columns = self._sides()
        array = MessageArray(rows=rows, columns=columns)
        if self.matrix:
            yield from self._on_file(bench, array)
            return
        workloads = self._workloads()
        layers = list(self._layers(bench))
        found = [
            compare.compared(each, array, self.lanes) for each in bench.each([*workloads, *layers], "workload")
        ]
        yield from compare.findings(found)
        yield from compare.tables(found)
        yield from compare.exactness(found)
        bench.say("what must hold")
        yield from self._against_onnxruntime(bench)
        yield checks.floats(array, self._matrices(self.vertices)["R-MAT"], self.seed)
        yield checks.shallow(workloads, array)
        yield checks.stuck(array)
        yield checks.too_large(array)
        yield from checks.skew(array, self.products, self.degree * 2**self.products)
        bench.say("the port's width")
        of_each = {each.workload.kernel: each for each in reversed(found) if each.workload.kernel != compare.DENSE}
        few = list(of_each.values())
        yield compare.narrow(
            [each.workload for each in few], array, [int(each) for each in words(self.ports)], self.lanes
        )
        yield compare.edges(few, self.lanes)
        yield compare.efforts(found, self.lanes)
        yield compare.swaps(few)
        hottest = max(
            (each for each in found if each.workload.kernel == "SpMSpM"), key=lambda each: each.gain(each.tia)
        )
        yield compare.heat(f"{hottest.workload.name}, Nexus", hottest.messages)
        yield compare.heat(f"{hottest.workload.name}, TIA-like", hottest.tia)
        bench.say("the simulator's speed")
        yield checks.speed(array, self.timed)
        yield Note("The share of ALU cycles with the algorithm's arithmetic gains as much as speed does by construction, as the "
                   "arithmetic is the same: it is no second piece of evidence. The share of busy places is one.")  # fmt: skip
        yield Note("The CGRA's lanes are taken to have equally much to do, and what comes between two runs of an inner loop to "
                   "need no routes; both favour it. How far it is behind depends on how many "
                   "loops are tried for it, as the table of lanes shows, and on shortest paths, where it is farthest. Loading and emptying memories counts for all; layout, power and area are "
                   "not here.")  # fmt: skip
        yield untestable(
            "silicon", "takes a layout in 22 nm; here ALUs, memory, port and leakage are equal by assumption"
        )

    def _sides(self) -> tuple[int, int]:
        """Rows and columns of the array."""
        sides = self.array.split("x")
        if len(sides) != 2 or not all(each.isdecimal() for each in sides):
            raise InputError("no rows and columns", where="array", needed="4x4, for instance", had=self.array)
        return int(sides[0]), int(sides[1])

    def _on_file(self, bench: Bench, array: MessageArray) -> Iterator[Shown]:
        """All machines on a matrix from a file."""
        from shoal.machines.nexus import matrix_market
        from shoal.study import _nexus_compared as compare
        from shoal.study._nexus_workloads import workload_of

        path = Path(self.matrix)
        matrix = matrix_market(path)
        ops = words(self.op)
        workloads = [workload_of(op, path.name, matrix, array, self.depth, self.rounds, self.seed) for op in ops]
        found = [compare.compared(each, array, self.lanes) for each in bench.each(workloads, "workload")]
        yield from compare.tables(found)
        yield compare.accuracy(found)

    def _workloads(self) -> list[Workload]:
        """Sparse kernels and graphs, and a dense product."""
        import numpy as np

        from shoal.machines.nexus import numbered, of_dense
        from shoal.study import _nexus_workloads as work

        found = [
            work.spmv_of(name, numbered(each), self.seed) for name, each in self._matrices(self.vertices).items()
        ]
        for name, each in self._matrices(self.products).items():
            own = numbered(each)
            found += [work.spmspm_of(name, own, own), work.sddmm_of(name, own, self.depth, self.seed)]
        for name, each in self._matrices(self.vertices).items():
            found.append(work.bfs_of(name, each, int(each.lengths.argmax())))
            if name != "Laplacian":
                found.append(work.pagerank_of(name, each, self.rounds))
        for name, each in self._matrices(self.vertices - 1).items():  # lengths of edges take a second word
            lengths = numbered(each, 99, self.seed)
            found.append(work.sssp_of(name, lengths, int(each.lengths.argmax())))
        source, size = np.random.default_rng(self.seed), 2**self.products
        dense = of_dense(source.integers(1, 99, (size, size)).astype(np.float64))
        columns = source.integers(-9, 10, (size, 16)).astype(np.float64)
        return [*found, work.spmm_of(f"dense, {size}×{size} by {size}×16", "dense", dense, columns)]

    def _matrices(self, scale: int) -> dict[str, Sparse]:
        """Hubs, a small world, a grid; each of about 2**scale rows."""
        from shoal.machines.nexus import laplacian, rmat, small_world

        count = 2**scale
        return {
            "R-MAT": rmat(scale, self.degree * count, self.seed),
            "small world": small_world(count, self.degree, 0.1, self.seed),
            "Laplacian": laplacian(round(count**0.5)),
        }

    def _layers(self, bench: Bench) -> Iterator[Workload]:
        """A layer of each model at each share of zeros, with as many inputs as fit at a time."""
        from shoal.machines.accelerators.nexus import Nexus as Machine
        from shoal.machines.nexus import of_dense
        from shoal.study._nexus_workloads import spmm_of

        for name, share, layer in self._pruned(bench, words(self.shares)):
            weights, inputs = layer.operands(Machine())
            yield spmm_of(f"{name}, {float(share):.0%} zeros", "pruned", of_dense(weights), inputs)

    def _against_onnxruntime(self, bench: Bench) -> Iterator[Finding]:
        """Whole layers through the accelerator, at the most zeros but one."""
        from shoal.machines.accelerators.nexus import Nexus as Machine

        share = (words(self.shares)[-2:])[0]
        layers = [layer for _, _, layer in self._pruned(bench, (share,))]
        why = f"{float(share):.0%} zeros: " + ", ".join(layer.call.name for layer in layers)
        for key, machine in (("layer", Machine(values="float32")), ("layer_int16", Machine())):
            yield Finding(key, max(layer.off(machine) for layer in layers), "simulated", len(layers), why=why)

    def _pruned(self, bench: Bench, shares: tuple[str, ...]) -> Iterator[tuple[str, str, PrunedLayer]]:
        from shoal.study._networks import network
        from shoal.study._nexus_layers import pruned_layer

        for name in words(self.models):
            whole = network(bench, name, 1)
            for share in shares:
                yield name, share, pruned_layer(whole, float(share), bench.scratch)
