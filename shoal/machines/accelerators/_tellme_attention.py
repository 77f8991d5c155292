"""Attention over a prompt by tiles of scores, in three orders: what is computed, and which blocks of keys are loaded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

Order: TypeAlias = Literal[
    "forward", "reversed", "rectangle"
]  # of blocks of queries; the last computes masked tiles too
ORDERS: tuple[Order, ...] = get_args(Order)
F64: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Visited:
    """What an order takes for one head."""

    tiles: int  # that are computed
    loads: int  # blocks of keys and values that are brought onto the chip


def visits(blocks: int, order: Order) -> Iterator[tuple[int, int]]:
    """Blocks of queries and of keys, as they meet: keys there and back again, so that what was read last is read first.

    Raises:
        InputError: no block, or no such order.
    """
    if blocks < 1 or order not in ORDERS:
        raise InputError("no such order of blocks", needed=f"{', '.join(ORDERS)} of at least one block",
                         had=f"{order} of {blocks}")  # fmt: skip
    queries = range(blocks)
    for at, query in enumerate(reversed(queries) if order == "reversed" else queries):
        keys = range(blocks if order == "rectangle" else query + 1)
        back = at % 2 == (order == "reversed")  # the reversed order begins with the newest, which are there
        yield from ((query, key) for key in (reversed(keys) if not back else keys))


def visited(blocks: int, order: Order, kept: int) -> Visited:
    """Tiles and loads of a head.

    Args:
        blocks: of the prompt.
        order: of the queries.
        kept: blocks that stay on the chip, the least recently used gives way; at first the newest, just computed.

    Raises:
        InputError: see `visits`.
    """
    held = OrderedDict.fromkeys(range(max(0, blocks - kept), blocks))
    tiles = loads = 0
    for _, key in visits(blocks, order):
        tiles += 1
        loads += key not in held
        held[key] = None
        held.move_to_end(key)
        if len(held) > max(1, kept):
            held.popitem(last=False)
    return Visited(tiles, loads)


def attended(queries: F64, keys: F64, values: F64, block: int, order: Order) -> F64:
    """Causal attention of one head, (tokens, head) each, tile by tile with a running maximum and sum.

    Raises:
        InputError: see `visits`.
    """
    tokens = len(queries)
    most, total, out = np.full(tokens, -np.inf), np.zeros(tokens), np.zeros(values.shape)
    for query, key in visits(-(-tokens // block), order):
        rows, columns = (np.arange(at * block, min((at + 1) * block, tokens)) for at in (query, key))
        scores = queries[rows] @ keys[columns].T / np.sqrt(queries.shape[1])
        scores[columns[None] > rows[:, None]] = -np.inf
        peak = np.maximum(most[rows], scores.max(axis=1))
        known = np.isfinite(peak)  # a row that has met masked scores alone
        weights = np.where(known[:, None], np.exp(scores - np.where(known, peak, 0.0)[:, None]), 0.0)
        faded = np.where(np.isfinite(most[rows]), np.exp(most[rows] - np.where(known, peak, 0.0)), 0.0)
        total[rows] = total[rows] * faded + weights.sum(axis=1)
        out[rows] = out[rows] * faded[:, None] + weights @ values[columns]
        most[rows] = peak
    found: F64 = out / total[:, None]
    return found
