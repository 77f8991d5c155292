"""What the file of a kernel segment says: steps over named arrays, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StepOp = Literal["spmm", "gemm", "attention", "relu", "rows", "concat"]
READS: dict[str, int] = {"spmm": 4, "gemm": 1, "attention": 1, "relu": 1, "rows": 1}  # concat: any number


@dataclass(frozen=True)
class KernelStep:
    """One kernel.

    spmm       reads row pointers (rows + 1,), columns (nnz,), values (nnz,) and x (inner, n)
    gemm       reads x (rows, k); its weights (k, n) are a file
    attention  reads x (length, 3·width): queries, keys and values side by side
    relu       reads x
    rows       a share of x's rows
    concat     shares of rows, one below another
    """

    op: StepOp
    reads: tuple[str, ...]
    gives: str
    weights: str = ""  # file of gemm's weights, .npy, as the segment names it without its folder
    window: int = 0  # of attention: keys seen on either side
    heads: int = 1
    part: int = 0  # of spmm, attention and rows: which share of the result's rows,
    parts: int = 1  # of so many


@dataclass(frozen=True)
class KernelFile:
    """The content of a segment's file."""

    steps: tuple[KernelStep, ...]


def share(rows: int, part: int, parts: int) -> tuple[int, int]:
    """First row, and the row after the last, of share `part` of `parts`."""
    return rows * part // parts, rows * (part + 1) // parts
