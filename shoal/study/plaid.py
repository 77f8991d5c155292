"""Plaid: units that carry out threes of a loop's nodes, and the compiler that finds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Note, Shown, Source, Within, words


@dataclass(frozen=True)
class Plaid:
    """Loops of linear algebra, images and networks are traced from Python and mapped on three arrays of sixteen ALUs.

    The conventional one has an ALU and a crossbar a tile and another configuration each cycle; Plaid four ALUs a tile, three of
    them round a local router; the spatial one stands still and takes large loops in pieces. One description of each array is
    what the mapper routes over, what is carried out cycle by cycle on whole numbers, and what cells and events are counted
    of. Power and area are such counts times rows of two tables at 45 nm. Arrays have as many ports of the memory: four.
    """

    kernels: str = "all"  # loops, separated by +
    unrolls: str = "1+2+4"  # copies of their bodies
    largest: int = 48  # nodes of a loop that is tried
    iterations: int = 64  # of a loop each time it is entered, where cycles are compared
    rounds: int = 150  # of improving a mapping, for each interval that is tried
    clock_mhz: float = 100.0  # of all arrays
    seed: int = 0  # of motifs and mappings

    title = "Plaid: an array of units that carry out threes of a loop's nodes"
    source = Source(
        "Li et al.",
        "Enhancing CGRA Efficiency Through Aligned Compute and Communication Provisioning",
        2025,
        arxiv="2412.08137",
        venue="ASPLOS 2025",
    )
    quick = "kernels=gemm+relu_add,unrolls=1,rounds=20"
    claims = (
        Claim("maps", "every loop maps on the three arrays and gives there what numpy gives", "same generality", "", Holds()),
        Claim("bound", "no interval of iterations is below the least that units and cycles of values allow", None, "", Holds()),
        Claim("same_speed", "Plaid's cycles over the conventional array's, geometric mean", "same performance", "×",
              Within(absolute=0.125, target=1.025)),
        Claim("over_spatial", "Plaid against the spatial array, geometric mean", 1.4, "×",
              Within(absolute=0.3, target=1.5)),
        Claim("power", "power saved against the conventional array", 43.0, "%", Within(absolute=12.0)),
        Claim("area", "area saved against the conventional array", 46.0, "%", Within(absolute=12.0)),
        Claim("spatial_area", "area saved against the spatial array", 48.0, "%", Within(absolute=12.0)),
        Claim("spatial_power", "power over the spatial array's", "nearly the same", "×", Within(relative=0.25, target=1.0)),
        Claim("covered", "nodes but loads and stores that are in motifs, mean", None, "%", AtLeast(60.0)),
        Claim("greedy", "motifs that the greedy search misses of the most that are possible", None, "%", AtMost(10.0)),
        Claim("no_local", "area × cycles still saved without local routers, the other ports kept", None, "%", AtMost(5.0)),
        Claim("separate", "area × cycles still saved with a router for each ALU", None, "%", AtMost(5.0)),
        Claim("refused", "unknown ops, cycles, parts apart, too many configurations and no mapping are told", None, "", Holds()),
        Claim("placed", "a product takes what its mapped loop takes, and a plan reckons with the same", None, "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Map and carry out, then count."""
        from shoal.machines.cgra import conventional, plaid, separate, spatial
        from shoal.study import _plaid_loops as loops
        from shoal.study._plaid_drawn import drawn
        from shoal.study._plaid_refused import product, refused
        from shoal.study._plaid_silicon import savings, without

        arrays = (conventional(), plaid(), spatial())
        unrolls = [int(each) for each in words(self.unrolls)]
        chosen = list(loops.chosen(words(self.kernels), unrolls, self.largest))
        every = [loops.compiled(kernel, unroll, arrays, self.rounds, self.seed)
                 for kernel, unroll in bench.each(chosen, "loop")]  # fmt: skip
        yield from loops.performance(every, self.iterations)
        yield from loops.mining(every, 60)
        yield from savings(every, self.clock_mhz * 1e6)
        bench.say("without the idea")
        yield from without(
            every, plaid(local=False), separate(), self.iterations, self.rounds, self.clock_mhz * 1e6
        )
        yield from drawn(every)
        yield refused()
        yield product()
        yield Note(
            "Changed after first results: Plaid's registers a tile, from four to two (one to two points of power and area "
            "more are saved, cycles stayed); on all arrays a result enters links in the cycle in which it is made, which "
            "helps the conventional one most; the wire from an ALU to its own register counts nothing; the kernel seidel "
            "adds the element that the iteration before stores last, so that one addition waits for it and not four."
        )
        yield Note("The data memory, clock trees and decoders are the same or left out; the tables' rows are of 45 nm, the "
                   "publication's silicon was of another node.")  # fmt: skip
