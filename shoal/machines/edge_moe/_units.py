"""The accelerator's units: cycles and events of what they do."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from shoal.errors import LimitError, ModelError
from shoal.machines.edge_moe._resources import MEMORY_BITS, dsp_of
from shoal.machines.edge_moe._schedules import Name, fetching
from shoal.machines.edge_moe._stages import Stage
from shoal.units import format_bytes

if TYPE_CHECKING:
    from shoal.machines.accelerators.edge_moe import EdgeMoe


def linear(machine: EdgeMoe, name: str, tokens: int, inner: int, columns: int) -> list[Stage]:
    """Tokens through a matrix, in blocks of columns whose weights fit into a buffer.

    A cycle multiplies `rows` features with `columns` of the matrix. Features come and go through ports of their own.

    Raises:
        LimitError: not even the fewest columns fit.
    """
    at_once = block_columns(machine, name, inner)
    found = []
    for first in range(0, columns, at_once):
        width = min(at_once, columns - first)
        tiles = ceil(inner / machine.rows) * ceil(width / machine.columns)
        words = ceil(max(inner, width) / machine.port_features)
        weights_bits = inner * width * machine.weight_bits
        tile_words = ceil(machine.rows * machine.columns * machine.weight_bits / MEMORY_BITS)
        found.append(Stage(
            "linear", name, tokens * max(tiles, words), ceil(weights_bits / machine.port_bits),
            dsp=tokens * tiles * machine.rows * machine.columns * dsp_of(machine.feature_bits, machine.weight_bits),
            bram=tokens * tiles * tile_words + ceil(weights_bits / MEMORY_BITS),
            feature_bytes=tokens * (inner + width) * machine.feature_bits / 8,
            weight_bytes=weights_bits / 8,
        ))  # fmt: skip
    return found


def block_columns(machine: EdgeMoe, name: str, inner: int) -> int:
    """Columns of a matrix that one buffer of weights holds, whole tiles.

    Raises:
        LimitError: not even one tile's.
    """
    column_bytes = inner * machine.weight_bits // 8
    whole = machine.weight_buffer_bytes // (column_bytes * machine.columns)
    if not whole:
        raise LimitError("a tile's weights exceed the buffer", where=f"edge_moe, tensor '{name}'",
                         needed=format_bytes(column_bytes * machine.columns), had=format_bytes(machine.weight_buffer_bytes))  # fmt: skip
    return whole * machine.columns


def scores(
    machine: EdgeMoe, name: str, rows: int, inner: int, keys: int, heads: int = 1, order: Name = "skewed"
) -> Stage:
    """Queries times keys: a row of keys goes by a word a cycle, for all slots at once."""
    times, fetched = fetching(order, rows, keys, machine.slots)
    moved = heads * (fetched * inner + rows * inner + rows * keys)
    return _attention(machine, name, times * heads * ceil(inner / machine.port_features), moved)


def mixed(
    machine: EdgeMoe, name: str, rows: int, keys: int, columns: int, heads: int = 1, order: Name = "skewed"
) -> Stage:
    """Shares times values: each slot adds its share of a row of values to what it has."""
    times, fetched = fetching(order, rows, keys, machine.slots)
    moved = heads * (fetched * columns + rows * keys + rows * columns)
    return _attention(machine, name, times * heads * ceil(columns / machine.port_features), moved)


def summed(machine: EdgeMoe, name: str, count: int) -> Stage:
    """Scores read once more, for the sums of a softmax in two passes."""
    words = ceil(count / machine.port_features)
    return Stage("attention", name, words, feature_bytes=count * machine.feature_bits / 8)


def product_of_features(machine: EdgeMoe, name: str, rows: int, inner: int, columns: int, batch: int) -> Stage:
    """A product of two tensors of features as queries with keys, or as shares with values, whichever is faster.

    Raises:
        ModelError: neither way makes whole words of the port.
    """
    found = []
    if inner % machine.port_features == 0:
        found.append(scores(machine, name, rows, inner, columns, batch))
    if columns % machine.port_features == 0:
        found.append(mixed(machine, name, rows, inner, columns, batch))
    if not found:
        raise ModelError("a head that makes no whole words of the port", where=f"edge_moe, op '{name}'",
                         needed=f"a multiple of {machine.port_features} features", had=f"{inner} and {columns}")  # fmt: skip
    return min(found, key=lambda each: each.compute)


def norm(machine: EdgeMoe, name: str, tokens: int, features: int) -> Stage:
    """Mean and spread in one pass over a token, what is normalised in a second."""
    count = 2 * tokens * features
    return Stage(
        "norm", name, 2 * tokens * ceil(features / machine.port_features),
        dsp=count * dsp_of(machine.feature_bits, machine.feature_bits),
        feature_bytes=count * machine.feature_bits / 8,
    )  # fmt: skip


def gate(machine: EdgeMoe, name: str, tokens: int, features: int, experts: int) -> Stage:
    """Scores of all experts, and the best by insertion: a token takes as long as its words, or as sorting."""
    weights_bits = features * experts * machine.weight_bits
    return Stage(
        "gate", name, tokens * max(ceil(features / machine.port_features), 3 * experts),
        ceil(weights_bits / machine.port_bits),
        dsp=tokens * features * experts * dsp_of(machine.feature_bits, machine.weight_bits),
        feature_bytes=tokens * features * machine.feature_bits / 8,
        weight_bytes=weights_bits / 8,
    )  # fmt: skip


def _attention(machine: EdgeMoe, name: str, cycles: int, features: int) -> Stage:
    blocks = machine.slots * machine.port_features * dsp_of(machine.feature_bits, machine.feature_bits)
    words = 2 * machine.slots * ceil(machine.port_bits / MEMORY_BITS)  # each slot's row is read and written
    return Stage("attention", name, cycles, dsp=cycles * blocks, bram=cycles * words,
                 feature_bytes=features * machine.feature_bits / 8)  # fmt: skip
