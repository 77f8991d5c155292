"""Matrices from files of Matrix Market (https://math.nist.gov/MatrixMarket/formats.html)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shoal.errors import InputError, MissingExtra
from shoal.machines.nexus._sparse import Array, Sparse, sparse

MOST_ENTRIES = 2_000_000
MOST_SIDE = 1_000_000


def matrix_market(path: Path) -> Sparse:
    """The matrix of a file, which may be compressed (`.mtx.gz`).

    Places without values are ones, symmetric halves are both there, entries of one place are added, zeros left out.

    Raises:
        InputError: the file cannot be read, or its matrix is too large, empty or not of real numbers.
        MissingExtra: scipy is not installed.
    """
    try:
        from scipy.io import mminfo, mmread
    except ImportError as fault:
        raise MissingExtra("scipy", "fit") from fault
    try:
        rows, columns, entries, _, field, _ = mminfo(str(path))
        _check_header(path, rows, columns, entries, field)
        read = mmread(str(path))
    except (OSError, EOFError, ValueError, OverflowError) as fault:
        raise InputError("no readable file of Matrix Market", where=str(path), had=str(fault),
                         hint="a first line of '%%MatrixMarket matrix coordinate real general'") from fault  # fmt: skip
    return _merged(path, read)


def _check_header(path: Path, rows: int, columns: int, entries: int, field: str) -> None:
    """Before memory is taken for the entries."""
    if field == "complex":
        raise InputError("a matrix of complex numbers", where=str(path), needed="real, integer or pattern")
    if entries > MOST_ENTRIES:
        raise InputError("more entries than are read", where=str(path), needed=f"{MOST_ENTRIES} at most", had=str(entries),
                         hint="a part of the matrix")  # fmt: skip
    if not 0 < min(rows, columns) <= max(rows, columns) <= MOST_SIDE:
        raise InputError("a matrix of that size", where=str(path), needed=f"1 to {MOST_SIDE} rows and columns",
                         had=f"{rows}×{columns}")  # fmt: skip


def _merged(path: Path, read: Array) -> Sparse:
    from scipy.sparse import csr_array

    whole = csr_array(read).astype(np.float64)
    whole.sum_duplicates()
    whole.eliminate_zeros()
    found = whole.tocoo()
    if not np.isfinite(found.data).all():
        raise InputError("values that are no numbers", where=str(path), needed="finite ones")
    if not found.nnz:
        raise InputError("a matrix of zeros alone", where=str(path), needed="an entry at least")
    return sparse(whole.shape, found.row, found.col, found.data)
