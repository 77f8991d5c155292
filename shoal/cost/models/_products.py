"""The matrix product that an op is, and the bytes that pass a cache while it is made."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isqrt, prod

import numpy as np

from shoal.graph import Graph, Op

CONVOLUTIONS = frozenset(("Conv", "ConvInteger", "QLinearConv", "ConvTranspose"))


@dataclass(frozen=True)
class Product:
    """`parts` products of (rows, depth) by (depth, columns) of their own: groups of a convolution, heads, items."""

    parts: int
    rows: int
    columns: int
    depth: int
    word: int  # bytes of a value
    left_bytes: int  # of all parts as it lies in memory, where windows of a convolution overlap
    right_bytes: int
    out_bytes: int

    @property
    def lanes_used(self) -> int:
        """How many values of the output stand side by side for a vector: channels, if each is a part of its own."""
        return self.parts if self.columns == 1 else self.columns

    def tiles(self, rows: int, columns: int) -> int:
        """Of the output, in tiles of such sizes."""
        return self.parts * ceil(self.rows / rows) * ceil(self.columns / columns)

    def loaded_bytes(self, rows: int, columns: int) -> int:
        """Into registers that hold a tile of sums: for each step in depth a column of the left and a row of the right."""
        left, right = self.rows * ceil(self.columns / columns), self.columns * ceil(self.rows / rows)
        return self.parts * self.depth * (left + right) * self.word

    def again_bytes(self, capacity_bytes: float) -> int:
        """What passes a cache of this size beyond each operand once, in the best of three orders.

        One of the three matrices is cut into tiles that fill the cache and stay until they are done with, while strips
        of the other two pass. So each of those is read once for every tile across; sums that do not stay are read and
        written for every tile in depth. Tiles are square unless the matrix is narrower. [Goto, van de Geijn: Anatomy of
        high-performance matrix multiplication, ACM TOMS 34(3), 2008; Smith et al.: A tight I/O lower bound for matrix
        multiplication, arXiv 1702.02017, where the square tile of sums is shown to be near the best]
        """
        values = max(1, int(capacity_bytes) // self.word)
        down, across = self._tiles(self.rows, self.columns, values)
        sums_stay = (across - 1) * self.left_bytes + (down - 1) * self.right_bytes
        deep, across = self._tiles(self.depth, self.columns, values)
        right_stays = (across - 1) * self.left_bytes + 2 * (deep - 1) * self.out_bytes
        down, deep = self._tiles(self.rows, self.depth, values)
        left_stays = (down - 1) * self.right_bytes + 2 * (deep - 1) * self.out_bytes
        return min(sums_stay, right_stays, left_stays)

    def _tiles(self, height: int, width: int, values: int) -> tuple[int, int]:
        """How many tiles of so many values a matrix is high and wide."""
        side = isqrt(values)
        if height * width <= values:
            return 1, 1
        if height <= side:
            return 1, ceil(width / (values // height))
        if width <= side:
            return ceil(height / (values // width)), 1
        return ceil(height / side), ceil(width / side)


def product_of(graph: Graph, op: Op) -> Product | None:
    """`op` as products; None if it multiplies nothing.

    Recurrent ops and attention, which are several products, count as one with the same output and as much to multiply.
    """
    if not op.macs:
        return None
    out = graph.tensors[op.outputs[0]]
    parts, rows, columns = _conv(graph, op) if op.kind in CONVOLUTIONS else _matrix(graph, op)
    right_bytes = op.weights_bytes if op.weights else graph.tensors[op.inputs[-1]].bytes
    left_bytes = op.read_bytes if op.weights else op.read_bytes - right_bytes
    depth = max(1, op.macs // (parts * rows * columns))
    return Product(parts, rows, columns, depth, np.dtype(out.dtype).itemsize, left_bytes, right_bytes, out.bytes)


def _conv(graph: Graph, op: Op) -> tuple[int, int, int]:
    """Places are rows, the filters of a group columns; one that is transposed counts as one group."""
    batch, filters, *places = graph.tensors[op.outputs[0]].shape
    if op.kind == "ConvTranspose":
        return 1, batch * prod(places), filters
    shapes = [graph.weights[name].shape for name in op.weights]
    shapes += [graph.tensors[name].shape for name in op.inputs[1:]]
    kernel = next((shape for shape in shapes if len(shape) == 2 + len(places)), None)
    groups = graph.tensors[op.inputs[0]].shape[1] // kernel[1] if kernel else 1
    return groups, batch * prod(places), filters // groups


def _matrix(graph: Graph, op: Op) -> tuple[int, int, int]:
    """The last size is columns. A product of two activations has a part for each of the sizes before the last two."""
    shape = (1, 1, *graph.tensors[op.outputs[0]].shape)
    parts = prod(shape[:-2]) if len(op.inputs) > 1 and op.kind == "MatMul" else 1
    return parts, prod(shape[:-1]) // parts, shape[-1]
