"""An FPGA with one fixed pipeline for each kind of kernel. Defaults: AMD (Xilinx) Alveo U280.

What it covers: cycles = ceil(work / lanes) + fill, padding to the array's sides, uneven loads of the sparse
engine's processing elements, main memory's rate, the start of a run.
What it leaves out: reprogramming (all engines lie side by side), clocks that depend on the floorplan.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, sqrt

from shoal.record import KernelWork


@dataclass(frozen=True)
class Dataflow:
    """Pipelines that take so many cycles for so much work.

    A float32 multiply-add takes five DSP slices (three for the product, two for the sum); the engines below use
    1,664 multiply-adds of the 1,804 that the card's 9,024 slices give (data sheet DS963).
    """

    clock_hz: float = 300e6  # estimate for a design that closes timing
    bytes_per_s: float = 460e9  # HBM2; data sheet DS963
    stream_share: float = 0.85  # of that for long streams; estimate
    elements: int = 64  # of the sparse engine, as in Sextans (Song et al., FPGA 2022)
    element_lanes: int = 8  # columns that each of them does at once; same source
    window_rows: int = 4096  # rows of x held on the chip at a time; same source
    side: int = 32  # of the dense engine, side × side multiply-adds; as systolic arrays on such cards
    attention_lanes: int = 128  # multiply-adds of the windowed attention engine; estimate, the rest of the slices
    exponentials: int = 16  # a cycle; estimate
    fill: int = 400  # cycles until the first result; estimate
    start_s: float = 3e-6  # from a written doorbell to the first cycle; estimate

    def seconds(self, work: KernelWork) -> float:
        """Seconds of one kernel: its engine's cycles, or its bytes."""
        cycles = {
            "spmm": self._sparse, "gemm": self._dense, "attention": self._attention, "elementwise": self._stream,
        }[work.kind](work)  # fmt: skip
        size_bytes = work.structure_bytes + work.in_bytes + work.weights_bytes + work.out_bytes
        moving_s = size_bytes / (self.bytes_per_s * self.stream_share)
        return self.start_s + max((cycles + self.fill) / self.clock_hz, moving_s)

    def _sparse(self, work: KernelWork) -> int:
        """Passes over the columns; in each, windows of x are loaded and the fullest element decides.

        The fullest of p elements with independent loads of mean m holds about m + sqrt(2 m ln p).
        """
        passes, windows = ceil(work.columns / self.element_lanes), ceil(work.inner / self.window_rows)
        mean = work.nnz / self.elements / windows
        fullest = ceil(mean + sqrt(2 * mean * log(self.elements)))
        loading = ceil(min(work.inner, self.window_rows) / self.elements)
        return passes * (windows * (fullest + loading) + ceil(work.rows / self.elements))

    def _dense(self, work: KernelWork) -> int:
        """Tiles of side × side results; each takes the inner size, and the array drains once."""
        return ceil(work.rows / self.side) * ceil(work.columns / self.side) * work.inner + 2 * self.side

    def _attention(self, work: KernelWork) -> int:
        """Only keys in reach: two products a key and column; exponentials beside them."""
        keys = ceil(work.rows * work.seen)
        return max(
            ceil(2 * keys * work.columns / self.attention_lanes), ceil(keys * work.heads / self.exponentials)
        )

    def _stream(self, work: KernelWork) -> int:
        return ceil(work.rows * work.columns / self.elements)
