"""What a binary layer takes in hardware where every weight is wiring: dense, and as a tree of channels.

A model of an FPGA in which one output place enters each cycle. Structure in, figures out: XNORs with a constant are
inverters or wires and vanish in the adders' look-up tables; a sum of m bits takes about one six-input table for every
bit (a counter of 6 bits to 3 takes three tables for six bits, and adding up their results about as many again). Adders
form a tree of pipelined stages; a child's sum waits for its parent's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from shoal.compress.tree import ChannelTree
from shoal.errors import InputError


@dataclass(frozen=True)
class LayerOnFpga:
    """A layer unrolled in hardware."""

    luts: int
    stages: int  # of its pipeline: cycles from an input to its sums
    places: int  # outputs a picture
    clock_hz: float

    @property
    def pictures_per_s(self) -> float:
        """One output place a cycle."""
        return self.clock_hz / self.places

    @property
    def latency_s(self) -> float:
        """From the first input to the last sum of a picture."""
        return (self.places + self.stages) / self.clock_hz


@dataclass(frozen=True)
class UnrolledXnor:
    """The machine."""

    clock_hz: float = 200e6
    luts_per_bit: float = 1.0  # of a sum of signs
    inputs_per_stage: int = 6  # bits that one stage of the adders brings down to 3

    def dense(self, rows: int, columns: int, places: int) -> LayerOnFpga:
        """Every row computed in full.

        Raises:
            InputError: a size below 1.
        """
        if min(rows, columns, places) < 1:
            raise InputError("no layer", had=f"{rows} rows, {columns} columns, {places} places")
        luts = math.ceil(rows * columns * self.luts_per_bit)
        return LayerOnFpga(luts, self._stages(columns), places, self.clock_hz)

    def tree(self, tree: ChannelTree, places: int) -> LayerOnFpga:
        """The root in full; every other row from its parent.

        A row's own part is summed up from the first cycle on, so that only one adder a level comes after the
        deepest row's parent; a row that adds nothing is its parent's wires.
        """
        if places < 1:
            raise InputError("no layer", had=f"{places} places")
        ready = [0] * tree.rows
        adders = 0
        for row in tree.order.tolist():
            above, own = int(tree.parent[row]), int(tree.distance[row])
            if above < 0:
                ready[row] = self._stages(tree.columns)
            elif own == 0:
                ready[row] = ready[above]
            else:
                ready[row] = max(ready[above], self._stages(own)) + 1
                adders += tree.columns.bit_length()  # one table a bit of the sum
        luts = math.ceil(tree.bit_ops * self.luts_per_bit) + adders
        return LayerOnFpga(luts, max(ready), places, self.clock_hz)

    def _stages(self, bits: int) -> int:
        """Stages until so many bits are one number: each halves what there is, six bits to three."""
        count = 1
        while bits > self.inputs_per_stage:
            bits, count = math.ceil(bits / 2), count + 1
        return count
