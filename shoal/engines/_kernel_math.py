"""The kernels' arithmetic, in two forms that are good at different data."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, MissingExtra

Form = Literal["sparse", "dense"]
F32 = NDArray[np.float32]
Ints = NDArray[Any]

BLOCK = 64  # queries that the sparse form of attention takes at once


def spmm(form: Form, pointers: Ints, columns: Ints, values: F32, x: F32, first: int, last: int) -> F32:
    """Rows `first` to `last` of A·x.

    A, (rows, len(x)), comes as CSR with each place at most once; what lies beyond its last row pointer is ignored.

    Raises:
        InputError: the arrays are no such matrix.
        MissingExtra: the sparse form needs scipy.
    """
    _check(pointers, columns, values, len(x))
    own = pointers[first : last + 1]
    start, end = int(own[0]), int(own[-1])
    own, columns, values = own - own[0], columns[start:end], values[start:end]
    if form == "dense":
        matrix = np.zeros((last - first, len(x)), np.float32)
        matrix[np.repeat(np.arange(last - first), np.diff(own)), columns] = values
        return matrix @ x
    try:
        from scipy.sparse import csr_array
    except ImportError as fault:
        raise MissingExtra("scipy", "fit") from fault
    product: F32 = csr_array((values, columns, own), shape=(last - first, len(x))) @ x
    return product


def gemm(form: Form, x: F32, weights: F32) -> F32:
    """x·weights: by BLAS in the dense form, by numpy's plain loops in the sparse one."""
    if form == "dense":
        return x @ weights
    product: F32 = np.einsum("mk,kn->mn", x, weights, optimize=False)
    return product


def attention(form: Form, x: F32, window: int, heads: int, first: int, last: int) -> F32:
    """Softmax attention of queries `first` to `last`, each over the keys at most `window` places away.

    Args:
        form: dense computes all scores and masks them; sparse computes only blocks that hold some key in reach.
        x: queries, keys, values, shape (length, 3·heads·size).
        window: keys on either side.
        heads: how many heads share the width.
        first: first query.
        last: after the last query.

    Returns:
        Shape (last - first, heads·size).
    """
    length, width = x.shape[0], x.shape[1] // 3
    queries, keys, values = (
        x[:, part * width : (part + 1) * width].reshape(length, heads, -1).transpose(1, 0, 2) for part in range(3)
    )
    result = np.empty((heads, last - first, width // heads), np.float32)
    block = max(1, last - first) if form == "dense" else BLOCK
    for start in range(first, last, block):
        end = min(start + block, last)
        low, high = (0, length) if form == "dense" else (max(0, start - window), min(length, end + window))
        scores = queries[:, start:end] @ keys[:, low:high].transpose(0, 2, 1)
        scores *= np.float32((width // heads) ** -0.5)
        apart = np.abs(np.arange(start, end)[:, None] - np.arange(low, high)[None, :])
        scores[:, apart > window] = -np.inf
        np.exp(scores - scores.max(axis=2, keepdims=True), out=scores)
        scores /= scores.sum(axis=2, keepdims=True)
        result[:, start - first : end - first] = scores @ values[:, low:high]
    return np.ascontiguousarray(result.transpose(1, 0, 2)).reshape(last - first, width)


def _check(pointers: Ints, columns: Ints, values: F32, inner: int) -> None:
    """Refuse what would read beside an array: the compiled kernels do not look."""
    sound = (
        len(pointers) > 0
        and pointers[0] == 0
        and bool((pointers[1:] >= pointers[:-1]).all())
        and pointers[-1] <= min(len(columns), len(values))
    )
    used = columns[: pointers[-1]] if sound else columns
    if not sound or (len(used) and not 0 <= used.min() <= used.max() < inner):
        raise InputError(
            "not a sparse matrix in rows", needed=f"ascending row pointers from 0, columns below {inner}",
            hint="give CSR arrays: row pointers, columns, values",
        )  # fmt: skip
