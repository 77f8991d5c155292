"""Matrix products as loops for arrays of coarse units: what one entry of the loop does, and all entries of a product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.machines.accelerators._products import Product
from shoal.machines.cgra import Dataflow, traced

Ints = NDArray[np.int64]
MANY = 1 << 20  # iterations that the mapping is made for: how many there are is known for each product


def dot(a: Ints, b: Ints, c: Ints, row: int, column: int, out: int, step: int, n: int) -> None:
    """One result: products of a row and a column, summed one after another."""
    total = 0
    for k in range(n):
        total += a[row + k] * b[k * step + column]
        c[out] = total


def taps(a: Ints, b: Ints, c: Ints, column: int, step: int, n: int, t: int) -> None:
    """A column of results of few products each, as those of depthwise convolutions: a result an iteration."""
    for r in range(n):
        total = 0
        for k in range(t):
            total += a[r * t + k] * b[k * step + column]
        c[r * step + column] = total


@dataclass(frozen=True)
class Loop:
    """A product as entries of one loop."""

    graph: Dataflow
    whole: bool  # whether an iteration gives a whole result
    entries: int
    iterations: int  # of each entry
    inner: int  # products of a result, with those that fill up the last iteration

    def scalars(self, product: Product) -> dict[str, Ints]:
        """Of all entries of one of the batch's products, shape (entries,) each."""
        if self.whole:
            column = np.arange(product.columns)
            return {"column": column, "step": np.full_like(column, product.columns)}
        row, column = (each.ravel() for each in np.indices((product.rows, product.columns)))
        return {"row": row * self.inner, "column": column, "out": row * product.columns + column,
                "step": np.full_like(row, product.columns)}  # fmt: skip


def loop(product: Product, unroll: int, most: int) -> Loop:
    """How a product is carried out.

    Args:
        product: of whatever sizes.
        unroll: products in an iteration, where it takes one result an entry.
        most: products of a result up to which an iteration takes a whole result.
    """
    if product.inner <= most:
        graph = traced(taps, n=MANY, t=product.inner)
        return Loop(graph, True, product.batch * product.columns, product.rows, product.inner)
    iterations = -(-product.inner // unroll)
    graph = traced(dot, unroll, n=MANY * unroll)
    return Loop(graph, False, product.batch * product.rows * product.columns, iterations, iterations * unroll)
