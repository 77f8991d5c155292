"""An array of active messages for products with weights that are known beforehand: zeros among them are left out.

Each weight is a message that visits the inputs it is multiplied with; of each of them one goes on to its result and is
multiplied on the way (`shoal.machines.nexus`). Inputs and results of so many rows as fit are in the local memories at a time.

What it covers: every cycle of the array, loading and emptying the local memories through its one port, operands in 16-bit
integers with sums of 32 bits, or in float32. What it leaves out: loading beside computing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from shoal.errors import ModelError
from shoal.machines._checks import check_fits
from shoal.machines._described import described
from shoal.machines.accelerators._products import Product, product
from shoal.machines.accelerators._standing import standing_in
from shoal.machines.accelerators.contract import Array, Arrays, Call, Ran, Span
from shoal.machines.nexus import FILE as ARRAY_FILE
from shoal.machines.nexus import MessageArray, Outcome, Sparse, joined, of_dense, rows_at_once, single, spmspm

FILE = Path(__file__).with_suffix(".toml")
MOST_OPERAND, MOST_SUM = 2**15 - 1, 2**31 - 1
WORD_BYTES = 2


@dataclass(frozen=True, eq=False)
class Messages:
    """An op with its weights as they are in messages."""

    product: Product
    weights: tuple[Sparse, ...]  # of each of the products: (columns, inner)
    scale: float  # what a weight of one stands for
    most: float  # that an input may be, so that no sum exceeds its bits; infinite in floating point
    rows: int  # at a time


@dataclass(frozen=True)
class Nexus:
    """Its figures are those of `nexus.toml` and of the array's description, with their sources.

    Raises:
        InputError: figures that no machine can have.
    """

    columns: int = described(ARRAY_FILE, "columns")
    rows: int = described(ARRAY_FILE, "rows")
    words: int = described(ARRAY_FILE, "words")  # of 16 bits, of a local memory
    depth: int = described(ARRAY_FILE, "depth")  # messages of a FIFO
    port_words: int = described(ARRAY_FILE, "port_words")  # of 16 bits a cycle, from outside
    values: Literal["int16", "float32"] = "int16"  # of operands
    en_route: bool = True  # do idle ALUs take products of messages that wait on their way
    memory_bytes: int = described(FILE, "memory_bytes")  # outside the array, for messages
    start_s: float = described(FILE, "start_s")  # of an op

    def __post_init__(self) -> None:
        self.array  # noqa: B018  # refuses what is no array

    @property
    def array(self) -> MessageArray:
        """The array itself."""
        return MessageArray(self.columns, self.rows, self.words, self.depth, port_words=self.port_words,
                            values=self.values, en_route=self.en_route)  # fmt: skip

    def compiled(self, call: Call) -> Messages:
        """See `Accelerator.compiled`."""
        found = product(call, "nexus")
        held = call.inputs[1]
        if held is None or not held.constant:
            raise ModelError(f"no unit for '{call.kind}' of two inputs", where=f"nexus, op '{call.name}'",
                             needed="weights that are known beforehand")  # fmt: skip
        right = found.right({})
        scale = _scale(right)
        whole = [np.rint(each.T / scale) if self.values == "int16" else single(each.T) for each in right]
        weights = tuple(of_dense(each) for each in whole)
        needed = sum(each.count for each in weights) * self.array.record_words * WORD_BYTES
        check_fits(held.name, needed, self.memory_bytes, "nexus", place="into the memory outside the array")
        rows = rows_at_once(self.array, found.inner, found.columns, held.name)
        largest = max(float(np.abs(each).sum(axis=1).max(initial=1.0)) for each in whole)
        if self.values == "float32":
            return Messages(found, weights, 1.0, np.inf, rows)
        return Messages(found, weights, scale, min(MOST_OPERAND, np.floor(MOST_SUM / max(1.0, largest))), rows)

    def run(self, task: Messages, data: Arrays | None = None) -> Ran:
        """See `Accelerator.run`."""
        given = standing_in(task.product.call) if data is None else data
        left = task.product.left(given)
        scale = float(np.abs(left).max(initial=0)) / task.most or 1.0
        operands = single(left) if self.values == "float32" else np.rint(left / scale)
        parts = list(self._parts(task, operands))
        shape = (task.product.batch, task.product.rows, task.product.columns)
        sums = np.concatenate([each.values.T for each in parts]).reshape(shape)
        whole = joined(parts, sums)
        seconds = self.array.seconds(whole.cycles) + self.start_s
        joules = self.array.energy_j(whole)
        joules["static"] += self.array.static_w * self.start_s
        spans = (Span("array", task.product.call.name, 0, whole.cycles),)
        scaled = sums if self.values == "float32" else sums * (task.scale * scale)
        return Ran(task.product.finished(scaled, given), whole.cycles, seconds, joules, whole.counts, spans)

    def _parts(self, task: Messages, operands: Array) -> Iterator[Outcome]:
        """Product after product, so many rows at a time as fit."""
        for weights, values in zip(task.weights, operands, strict=True):
            for begin in range(0, len(values), task.rows):
                columns = values[begin : begin + task.rows].T
                yield spmspm(self.array, weights, columns)


def _scale(weights: Array) -> float:
    """What a weight of one stands for, so that weights and inputs have about as many bits each and no sum exceeds its own."""
    most = float(np.abs(weights).max(initial=0.0))
    if not most:
        return 1.0
    sums = float(np.abs(weights).sum(axis=1).max()) / most  # of the largest weight
    return most / min(MOST_OPERAND, int(np.sqrt(MOST_SUM / sums)))
