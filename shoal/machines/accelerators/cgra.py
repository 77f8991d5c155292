"""A coarse-grained array that takes products as its compiler maps their inner loop: time follows from the mapping.

What it covers: cycles between iterations and the length of one, for each time that the loop is entered; words of the
data memory; the larger memory's port beside computing; activations rounded to eight bits with one scale an op; sums that
wrap at 32 bits; energy of every move within the array.
What it leaves out: conflicts of the data memory's banks, and what computes the outer loops' indices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np

from shoal.machines._bill import Price, bill
from shoal.machines._checks import check_above_zero, check_fits
from shoal.machines._described import described
from shoal.machines._energy import energy
from shoal.machines.accelerators._cgra_loops import Loop, loop
from shoal.machines.accelerators._products import Product, product
from shoal.machines.accelerators._rounded import rounded
from shoal.machines.accelerators._standing import standing_in
from shoal.machines.accelerators.contract import Array, Arrays, Call, Ran, Span
from shoal.machines.cgra import (
    EVENTS,
    Dataflow,
    Fabric,
    Mapping,
    conventional,
    evaluated,
    event_row,
    executed,
    greedy,
    mapped,
    on_array,
    plaid,
)

FILE = Path(__file__).with_suffix(".toml")
NODE_NM = 45
BITS = 32
WORD_BYTES = 8  # of the table's memories
SUM_BYTES = 4


@dataclass(frozen=True)
class Mapped:
    """A product as a loop on the array."""

    product: Product
    loop: Loop
    mapping: Mapping

    @property
    def cycles(self) -> int:
        """Of the array, all entries one after another."""
        return self.loop.entries * self.mapping.cycles(self.loop.iterations)


@dataclass(frozen=True)
class Cgra:
    """Its figures are those of `cgra.toml`, with their sources.

    Raises:
        InputError: no tiles, or a rate that is not above zero.
    """

    array: Literal["plaid", "conventional"] = "plaid"  # collective units, or one ALU a tile
    rows: int = described(FILE, "rows")  # of collective units; a conventional array has twice as many
    columns: int = described(FILE, "columns")  # the same
    contexts: int = described(FILE, "contexts")  # configurations that it holds
    unroll: int = 1  # products in an iteration of long sums
    taps: int = 9  # products of a result up to which an iteration gives a whole result
    stepped: bool = False  # carry out each cycle instead of all entries at once; slow
    clock_hz: float = described(FILE, "clock_hz")
    buffer_bytes: int = described(FILE, "buffer_bytes")  # the data memory
    memory_bytes: int = described(FILE, "memory_bytes")
    memory_bytes_per_s: float = described(FILE, "memory_bytes_per_s")
    start_s: float = described(FILE, "start_s")  # of an op

    def __post_init__(self) -> None:
        above = ("rows", "columns", "contexts", "unroll", "clock_hz", "memory_bytes", "memory_bytes_per_s")
        check_above_zero(self, above, "cgra", what="an array")

    @property
    def fabric(self) -> Fabric:
        """The array."""
        if self.array == "plaid":
            return plaid(self.rows, self.columns, BITS, self.contexts)
        return conventional(2 * self.rows, 2 * self.columns, BITS, self.contexts)

    def compiled(self, call: Call) -> Mapped:
        """See `Accelerator.compiled`; LimitError too if the loop cannot be mapped."""
        found = product(call, "cgra")
        for each in call.inputs:
            if each is not None:
                check_fits(each.name, each.elements, self.memory_bytes, "cgra")
        of = loop(found, self.unroll, self.taps)
        return Mapped(found, of, _mapped(of.graph, self.fabric))

    def run(self, task: Mapped, data: Arrays | None = None) -> Ran:
        """See `Accelerator.run`."""
        given = standing_in(task.product.call) if data is None else data
        sums = self._sums(task, given)
        counters = self._counters(task)
        port = ceil(counters["dram"] / self.memory_bytes_per_s * self.clock_hz)
        cycles = max(task.cycles, port)
        seconds = cycles / self.clock_hz + self.start_s
        joules = bill(counters, _prices(), on_array(task.mapping).static_w, seconds)
        name = task.product.call.name
        spans = (*_iteration(task.mapping), Span("array", name, 0, task.cycles), Span("port", name, 0, port))
        return Ran(task.product.finished(sums, given), cycles, seconds, joules, counters, spans)

    def _sums(self, task: Mapped, data: Arrays) -> Array:
        product = task.product
        left, left_scale = rounded(product.left(data))
        right, right_scale = rounded(product.right(data))
        short = task.loop.inner - product.inner  # products with zero fill the last iteration up
        left, right = np.pad(left, ((0, 0), (0, 0), (0, short))), np.pad(right, ((0, 0), (0, short), (0, 0)))
        found = np.zeros((product.batch, product.rows * product.columns), np.int64)
        scalars = task.loop.scalars(product)
        for at in range(product.batch):
            memory = {"a": left[at].ravel(), "b": right[at].ravel(), "c": found[at]}
            if self.stepped:
                for entry in range(len(scalars["column"])):
                    each = {name: int(values[entry]) for name, values in scalars.items()}
                    executed(task.mapping, memory, each, task.loop.iterations)
            else:
                evaluated(task.loop.graph, memory, scalars, task.loop.iterations, BITS)
        return found.reshape(product.batch, product.rows, product.columns) * (left_scale * right_scale)

    def _counters(self, task: Mapped) -> dict[str, float]:
        """Events of the array, bytes of its data memory, bytes of the larger one.

        The right operand is read from there once if it fits into half of the data memory, else once for each row.
        """
        product, times = task.product, task.loop.entries * task.loop.iterations
        moved = {name: times * count for name, count in on_array(task.mapping).events.items()}
        left, right = product.batch * product.rows * product.inner, product.batch * product.inner * product.columns
        results = product.batch * product.rows * product.columns * SUM_BYTES
        again = 1 if right / product.batch <= self.buffer_bytes / 2 else product.rows
        return {
            **moved,
            "buffer": times * task.loop.graph.memory * SUM_BYTES,
            "dram": left + right * again + results,
        }


@lru_cache(maxsize=64)
def _mapped(graph: Dataflow, fabric: Fabric) -> Mapping:
    return mapped(graph, fabric, greedy(graph) if fabric.groups else ())


def _iteration(mapping: Mapping) -> tuple[Span, ...]:
    """Which unit does what in the first iteration."""
    return tuple(Span(mapping.fabric.units[unit].name, node.op, time, time + 1)
                 for node, unit, time in zip(mapping.graph.nodes, mapping.units, mapping.times, strict=True))  # fmt: skip


def _prices() -> dict[str, Price]:
    return {
        **{event: ((1, event_row(event, BITS)),) for event in EVENTS},
        "buffer": ((1 / WORD_BYTES, energy("sram 32 KB", "read", 64, NODE_NM)),),
        "dram": ((1 / WORD_BYTES, energy("dram", "read", 64, NODE_NM)),),
    }
