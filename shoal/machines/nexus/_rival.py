"""What rivals of the array give and take: the same words from outside, memories, ALUs and prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from shoal.machines._bill import bill
from shoal.machines.nexus._array import MessageArray
from shoal.machines.nexus._prices import message_prices


@dataclass(frozen=True)
class Traffic:
    """16-bit words that cross the port, and the products of the algorithm."""

    before: int  # to be there before the loop begins
    beside: int  # of what streams by while it runs
    after: int  # of results
    products: int
    times: int = 1  # how often, one after another

    @property
    def words(self) -> int:
        """All of them."""
        return self.times * (self.before + self.beside + self.after)

    def cycles(self, computing: int, port_words: int) -> int:
        """Of computing with what crosses the port before, beside and after it."""
        ends = ceil(self.before / port_words) + ceil(self.after / port_words)
        return max(computing, ceil(self.times * self.beside / port_words)) + self.times * ends


@dataclass(frozen=True)
class Rival:
    """What a workload takes on a machine."""

    cycles: int
    useful: float  # share of the ALUs' cycles in which one does arithmetic of the algorithm
    busy: float  # share of the places' cycles in which one does anything for the algorithm
    energy_j: float


def rival_energy_j(array: MessageArray, counts: Mapping[str, float], cycles: int) -> float:
    """By the prices of the array of messages: the same ALUs, memories, wires and leakage."""
    joules = bill(counts, message_prices(array.values), array.static_w, array.seconds(cycles))
    return sum(joules.values())


def systolic(
    array: MessageArray, products: tuple[tuple[int, int, int], ...], traffic: Traffic, useful: int
) -> Rival:
    """Dense products (rows, inner, columns) on as many multiply-adders, output stationary; zeros are computed as well.

    A multiply-adder does in a cycle what takes an ALU two, so what is useful counts half; busy ones may multiply zeros.
    """
    cycles = macs = edges = 0
    for rows, inner, columns in products:
        tiles = ceil(rows / array.rows) * ceil(columns / array.columns)
        cycles += tiles * (inner + array.rows + array.columns - 2)
        macs += tiles * array.places * inner
        edges += tiles * inner * (array.rows + array.columns)
    total = traffic.cycles(cycles, array.port_words)
    counts = {"product": macs, "sum": macs, "local word": edges / 2, "hop": 32 * macs, "fifo": 0, "configuration": 0,
              "outside": traffic.words}  # fmt: skip
    return Rival(total, useful / 2 / total / array.places, macs / total / array.places,
                 rival_energy_j(array, counts, total))  # fmt: skip
