"""What each op of a graph asks of a processor: arithmetic by class, and bytes from each level of its memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from shoal.cost.models._fused import fused
from shoal.cost.models._products import Product, product_of
from shoal.cost.models._work import met_bytes
from shoal.graph import Graph, Op

Array = NDArray[np.float64]
VIEWS = frozenset(
    ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")
)  # the same bytes under another name
POOLS = frozenset(("MaxPool", "AveragePool", "LpPool"))
FUNCTIONS = frozenset(("Sigmoid", "Tanh", "Exp", "Log", "Erf", "Gelu", "Softmax", "LogSoftmax", "Softplus", "Elu", "Pow",
                       "Sqrt", "LRN", "HardSwish", "Mish"))  # fmt: skip


@dataclass(frozen=True)
class Tile:
    """The sums that a kernel holds in registers, and the vectors they stand in."""

    rows: int
    columns: int
    lanes: int


@dataclass(frozen=True, eq=False)
class Traffic:
    """Arrays over the ops."""

    flop: Array  # of products, one multiply-accumulate counts two; more where vectors or threads are not all used
    functions: Array  # values that a function is computed for
    bytes: Array  # (levels, ops): from the nearest cache to memory
    launches: Array  # 1 for each op that is called, 0 for one that is done within another


def traffic_of(graph: Graph, capacities: Sequence[int], tile: Tile, threads: int, *, fuses: bool) -> Traffic:
    """Of every op of `graph`, with caches of these bytes, nearest first, before memory.

    A level gives what does not fit into the one before it. Of activations that is all of an op's, in and out, if
    together they are larger: else what the op before wrote is still there. Of weights it is all of an op's if those of
    the whole graph are larger, for they come round once an item. To these a product adds what it reads again.
    Into registers goes all that is computed with: of a product the operands of its tiles, of a pooling its windows.
    Without caches memory gives everything once.
    """
    held = fused(graph) if fuses else {}
    windows = _windows(graph)
    round_bytes = graph.weights_bytes + max((op.read_bytes + op.written_bytes for op in graph.ops), default=0)
    rows = [_row(graph, op, capacities, tile, round_bytes, held.get(op.name), windows) for op in graph.ops]
    flop = [_flop(graph, op, tile, threads) for op in graph.ops]
    functions = [
        prod(graph.tensors[op.outputs[0]].shape) if op.kind in FUNCTIONS and op.name not in held else 0
        for op in graph.ops
    ]
    called = [op.name not in held for op in graph.ops]
    return Traffic(np.array(flop, float), np.array(functions, float),
                   np.array(rows, float).reshape(len(graph.ops), -1).T, np.array(called, float))  # fmt: skip


def efficiency(product: Product, tile: Tile, threads: int) -> float:
    """e_tile · e_wave: of a vector's lanes those used, and of the threads those that have a tile in the last round."""
    across, tiles = product.lanes_used, product.tiles(tile.rows, tile.columns)
    return across / (ceil(across / tile.lanes) * tile.lanes) * tiles / (ceil(tiles / threads) * threads)


def _flop(graph: Graph, op: Op, tile: Tile, threads: int) -> float:
    product = product_of(graph, op)
    return 2.0 * op.macs / efficiency(product, tile, threads) if product else 0.0


def _row(graph: Graph, op: Op, capacities: Sequence[int], tile: Tile, round_bytes: int, held: str | None,
         windows: Mapping[str, int]) -> list[int]:  # fmt: skip
    """Bytes of one op from each level."""
    if op.kind in VIEWS:
        return [0] * (len(capacities) + 1)
    if held is not None:  # its second operand, if any; the result takes the place of the product's
        moved, weights = op.read_bytes - graph.tensors[held].bytes, 0
    else:
        moved, weights = op.read_bytes + op.written_bytes, met_bytes(op)
    product = product_of(graph, op)
    found = []
    for before in (0, *capacities):
        size = moved * (moved > before) + weights * (round_bytes > before)
        if product and before:
            size += product.again_bytes(before)
        found.append(size)
    if capacities and product:
        found[0] = product.loaded_bytes(tile.rows, tile.columns) + op.written_bytes
    elif capacities and op.name in windows:
        found[0] = op.written_bytes * (windows[op.name] + 1)
    return found


def _windows(graph: Graph) -> dict[str, int]:
    """Values in the window of each pooling op."""
    if not graph.written:
        return {}
    found = {}
    for node in graph.model.graph:
        if node.op_type in POOLS and "kernel_shape" in node.attributes:
            found[node.outputs[0].name or ""] = prod(node.attributes["kernel_shape"].as_ints())
    return found
