"""One kernel at one size, and what it took: what kernels are measured, fitted, planned and simulated by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from shoal.record.values import Provenance

KernelKind = Literal["spmm", "gemm", "attention", "elementwise"]
KINDS: tuple[KernelKind, ...] = ("spmm", "gemm", "attention", "elementwise")

FLOAT_BYTES = 4  # of every value
INDEX_BYTES = 4  # of every row pointer and column index of a sparse matrix
MIXING: frozenset[KernelKind] = frozenset({"spmm", "attention"})  # a row of the result depends on other rows


@dataclass(frozen=True)
class KernelWork:
    """A kernel with all its sizes known.

    spmm         (rows × inner, `nnz` non-zeros, CSR) · (inner × columns)
    gemm         (rows × inner) · (inner × columns), the second one being weights
    attention    `rows` queries over `inner` keys, each query seeing `window` keys on either side of its own
                 place; `columns` is heads × head size; queries, keys and values lie side by side in the input
    elementwise  rows × columns
    """

    kind: KernelKind
    rows: int
    columns: int
    inner: int = 0
    nnz: int = 0
    window: int = 0
    heads: int = 1

    @property
    def seen(self) -> float:
        """Attention: keys a query sees on average; those near the ends see fewer than 2·window + 1."""
        reach = min(self.window, max(0, self.inner - 1))
        return 2 * reach + 1 - reach * (reach + 1) / max(1, self.inner)

    @property
    def flops(self) -> int:
        """Floating-point operations that the result needs, a multiply-add counting two."""
        match self.kind:
            case "spmm":
                return 2 * self.nnz * self.columns
            case "gemm":
                return 2 * self.rows * self.inner * self.columns
            case "attention":  # scores and the weighted sum, and about five for each exponential
                return round(self.rows * self.seen * (4 * self.columns + 5 * self.heads))
            case _:
                return self.rows * self.columns

    @property
    def structure_bytes(self) -> int:
        """Bytes of the sparse matrix: row pointers, column indices and values."""
        if self.kind != "spmm":
            return 0
        return (self.rows + 1) * INDEX_BYTES + self.nnz * (INDEX_BYTES + FLOAT_BYTES)

    @property
    def in_bytes(self) -> int:
        """Bytes of the activations it reads."""
        match self.kind:
            case "gemm":
                return self.rows * self.inner * FLOAT_BYTES
            case "spmm":
                return self.inner * self.columns * FLOAT_BYTES
            case "attention":
                return 3 * self.inner * self.columns * FLOAT_BYTES
            case _:
                return self.rows * self.columns * FLOAT_BYTES

    @property
    def out_bytes(self) -> int:
        """Bytes of its result."""
        return self.rows * self.columns * FLOAT_BYTES

    @property
    def weights_bytes(self) -> int:
        """Bytes of weights that stay on the device."""
        return self.inner * self.columns * FLOAT_BYTES if self.kind == "gemm" else 0

    @property
    def mixes_rows(self) -> bool:
        """Whether a row of the result depends on other rows of the input."""
        return self.kind in MIXING

    def split(self, parts: int) -> KernelWork:
        """The largest of `parts` equal shares of the rows; a sparse matrix is taken to be even."""
        return replace(self, rows=-(-self.rows // parts), nnz=-(-self.nnz // parts))


@dataclass(frozen=True)
class KernelSample:
    """What one kernel took on one type of device."""

    work: KernelWork
    device: str  # type, not instance
    seconds: float
    provenance: Provenance
