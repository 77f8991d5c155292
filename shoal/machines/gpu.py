"""A GPU: launches, compute units that work in rounds, caches that gathers miss. Defaults: AMD Instinct MI210.

What it covers: launch overhead, partly empty last rounds of tiles, main memory and L2 rates, gathers by whole
cache lines, waves that wait for scattered loads, scores of windowed attention that go through memory.
What it leaves out: skew of row lengths, clocks that fall under load, several kernels at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from shoal.record import KernelWork

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Gpu:
    """Roofline with the effects that make irregular kernels miss it."""

    flops_per_s: float = 22.6e12  # float32 vector peak; AMD Instinct MI210 data sheet
    bytes_per_s: float = 1.6e12  # HBM2e; same source
    stream_share: float = 0.85  # of that for long streams; estimate after published STREAM results of this family
    units: int = 104  # compute units; same data sheet
    l2_bytes: int = 8 << 20  # CDNA 2 white paper
    l2_bytes_per_s: float = 3.5e12  # 128 B a clock from each of 16 slices at 1.7 GHz; same source
    line_bytes: int = 128  # same source
    lanes: int = 64  # of a wave; same source
    waves: int = 16  # of a unit that hide each other's waiting; estimate from register use of such kernels
    load_s: float = 0.6e-6  # of a load from memory; estimate after published pointer chases
    loads_ahead: int = 4  # of one wave; estimate
    launch_s: float = 8e-6  # of a kernel; estimate after published HIP launch benchmarks
    tiles: tuple[int, ...] = (128, 64, 32)  # of dense results, as libraries have them; estimate
    tile_start_s: float = 1.5e-6  # until a tile's first products; estimate
    attention_kernels: int = 4  # scores, mask with softmax, weighted sum, reshape

    def seconds(self, work: KernelWork) -> float:
        """Seconds of one kernel."""
        match work.kind:
            case "gemm":
                return self.launch_s + self._dense_s(work.rows, work.columns, work.inner, 1)
            case "spmm":
                return self.launch_s + max(self._gather_s(work), self._waiting_s(work))
            case "attention":
                return self._attention_s(work)
            case _:
                return self.launch_s + self._stream_s(2 * work.out_bytes)

    def _stream_s(self, size_bytes: float) -> float:
        return size_bytes / (self.bytes_per_s * self.stream_share)

    def _dense_s(self, rows: int, columns: int, inner: int, batch: int) -> float:
        """`batch` products, with the tile that suits best: full rounds of tiles, or the operands' bytes."""
        size_bytes = batch * FLOAT_BYTES * (rows * inner + inner * columns + rows * columns)
        return max(
            self._stream_s(size_bytes), min(self._tiled_s(rows, columns, inner, batch, t) for t in self.tiles)
        )

    def _tiled_s(self, rows: int, columns: int, inner: int, batch: int, tile: int) -> float:
        rounds = ceil(batch * ceil(rows / tile) * ceil(columns / tile) / self.units)
        return rounds * (self.tile_start_s + 2 * tile * tile * inner * self.units / self.flops_per_s)

    def _gather_s(self, work: KernelWork) -> float:
        """Bytes of the matrix, the result, and a row of x for each non-zero, by whole lines."""
        row_bytes = ceil(work.columns * FLOAT_BYTES / self.line_bytes) * self.line_bytes
        gathered = work.nnz * row_bytes
        table = min(gathered, work.inner * row_bytes)  # each row at least once
        kept = min(1.0, self.l2_bytes / max(1, work.inner * row_bytes))
        from_memory = table + (gathered - table) * (1 - kept) + work.structure_bytes + work.out_bytes
        return max(self._stream_s(from_memory), gathered / self.l2_bytes_per_s)

    def _waiting_s(self, work: KernelWork) -> float:
        """A wave a row and 64 columns; its loads follow the column indices, a few ahead."""
        rounds = ceil(work.rows * ceil(work.columns / self.lanes) / (self.units * self.waves))
        return rounds * self.load_s * max(1.0, work.nnz / max(1, work.rows) / self.loads_ahead)

    def _attention_s(self, work: KernelWork) -> float:
        """Sliding chunks (Beltagy et al. 2020): each chunk of `window` queries against three of keys, or all keys."""
        chunk = max(1, min(work.window, work.rows))
        keys, size = min(work.inner, 3 * chunk), work.columns // work.heads
        chunks = ceil(work.rows / chunk) * work.heads
        scores = FLOAT_BYTES * chunks * chunk * keys
        products = self._dense_s(chunk, keys, size, chunks) + self._dense_s(chunk, size, keys, chunks)
        return self.attention_kernels * self.launch_s + products + self._stream_s(4 * scores + work.out_bytes)
