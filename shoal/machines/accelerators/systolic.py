"""A systolic array for dense products in eight bits: tiles of results stay, operands stream by, zeros are computed as well.

What it covers: partly filled tiles, filling and draining, operands read again that do not stay in the buffer, patches
of a picture formed from lines that do, the memory port beside computing, activations rounded to eight bits with one
scale an op.
What it leaves out: conflicts of the buffer's banks, refresh, and the order of transfers within an op: loading before the
first tile and storing after the last are taken to hide behind computing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from shoal.machines._bill import Price, bill
from shoal.machines._checks import check_above_zero, check_fits
from shoal.machines._described import described
from shoal.machines._energy import energy
from shoal.machines.accelerators._products import Product, product
from shoal.machines.accelerators._rounded import rounded
from shoal.machines.accelerators._standing import standing_in
from shoal.machines.accelerators.contract import Array, Arrays, Call, Ran, Span

FILE = Path(__file__).with_suffix(".toml")
NODE_NM = 45
WORD_BYTES = 8  # of the table's memories
SUM_BYTES = 4


@dataclass(frozen=True)
class Systolic:
    """Its figures are those of `systolic.toml`, with their sources.

    Raises:
        InputError: no multipliers, or a rate that is not above zero.
    """

    rows: int = described(FILE, "rows")  # results at a time, one way
    columns: int = described(FILE, "columns")  # and the other
    clock_hz: float = described(FILE, "clock_hz")
    buffer_bytes: int = described(FILE, "buffer_bytes")
    memory_bytes: int = described(FILE, "memory_bytes")
    memory_bytes_per_s: float = described(FILE, "memory_bytes_per_s")
    start_s: float = described(FILE, "start_s")  # of an op
    static_w: float = described(FILE, "static_w")

    def __post_init__(self) -> None:
        above = ("rows", "columns", "clock_hz", "buffer_bytes", "memory_bytes", "memory_bytes_per_s")
        check_above_zero(self, above, "systolic")

    def compiled(self, call: Call) -> Product:
        """See `Accelerator.compiled`."""
        found = product(call, "systolic")
        for each in call.inputs:
            if each is not None:
                check_fits(each.name, each.elements, self.memory_bytes, "systolic")
        return found

    def run(self, task: Product, data: Arrays | None = None) -> Ran:
        """See `Accelerator.run`."""
        given = standing_in(task.call) if data is None else data
        sums = self._sums(task, given)
        counters = self._counters(task)
        cycles = self._cycles(task, counters)
        seconds = cycles / self.clock_hz + self.start_s
        spans = (Span("array", task.call.name, 0, self._array_cycles(task)),
                 Span("port", task.call.name, 0, self._port_cycles(counters)))  # fmt: skip
        joules = bill(counters, _prices(), self.static_w, seconds)
        return Ran(task.finished(sums, given), cycles, seconds, joules, counters, spans)

    def _sums(self, task: Product, data: Arrays) -> Array:
        left, left_scale = rounded(task.left(data))
        right, right_scale = rounded(task.right(data))
        sums = np.zeros((task.batch, task.rows, task.columns), np.int64)
        for row in range(0, task.rows, self.rows):
            rows = slice(row, row + self.rows)
            for column in range(0, task.columns, self.columns):
                columns = slice(column, column + self.columns)
                sums[:, rows, columns] = _exact(left[:, rows], right[:, :, columns])
        return sums * (left_scale * right_scale)

    def _tiles(self, task: Product) -> tuple[int, int]:
        return ceil(task.rows / self.rows), ceil(task.columns / self.columns)

    def _array_cycles(self, task: Product) -> int:
        """A tile takes what products sum over, and filling and draining its two sides."""
        down, across = self._tiles(task)
        return task.batch * down * across * (task.inner + self.rows + self.columns - 2)

    def _port_cycles(self, counters: dict[str, float]) -> int:
        return ceil(counters["dram"] / self.memory_bytes_per_s * self.clock_hz)

    def _cycles(self, task: Product, counters: dict[str, float]) -> int:
        return max(self._array_cycles(task), self._port_cycles(counters))

    def _counters(self, task: Product) -> dict[str, float]:
        """Events: multiply-adds of whole tiles, bytes of the buffer, bytes of memory."""
        down, across = self._tiles(task)
        left, right = task.batch * task.rows * task.inner, task.batch * task.inner * task.columns
        results = task.batch * task.rows * task.columns * SUM_BYTES
        return {
            "mac": task.batch * down * self.rows * across * self.columns * task.inner,
            "buffer": left * across + right * down + results,
            "dram": task.batch * self._read_bytes(task) + results,
        }

    def _read_bytes(self, task: Product) -> int:
        """From memory, of one product: both operands once if one of them stays in half of the buffer.

        Tiles may go row by row or column by column. What does not stay is read again for each row, or each column.
        """
        down, across = self._tiles(task)
        left, right, half = self._left_bytes(task), task.inner * task.columns, self.buffer_bytes // 2
        if min(left, right) <= half:
            return left + right
        return min(left + right * down, left * across + right)

    def _left_bytes(self, task: Product) -> int:
        """Of a convolution the picture, as long as the lines that a filter spans stay in half of the buffer."""
        patches, call = task.rows * task.inner, task.call
        picture, weights = call.inputs[0], call.inputs[1]
        if call.kind != "Conv" or picture is None or weights is None:
            return patches
        step = (call.attributes.get("dilations") or [1])[0]
        line = picture.elements // (picture.shape[0] * picture.shape[2] * task.batch)  # of one group
        spanned = line * ((weights.shape[2] - 1) * step + 1)
        return min(patches, picture.elements // task.batch) if spanned <= self.buffer_bytes // 2 else patches


def _exact(left: Array, right: Array) -> Array:
    """Sums below 2**53, so float64 holds them exactly; BLAS multiplies it, and no whole numbers."""
    return np.asarray(left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)


def _prices() -> dict[str, Price]:
    return {
        "mac": ((1, energy("int", "mul", 8, NODE_NM)), (1, energy("int", "add", 32, NODE_NM))),
        "buffer": ((1 / WORD_BYTES, energy("sram 1 MB", "read", 64, NODE_NM)),),
        "dram": ((1 / WORD_BYTES, energy("dram", "read", 64, NODE_NM)),),
    }
