"""Which query meets which key at which step, when so many rows of queries are under way at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

Rows = NDArray[np.int64]
Name: TypeAlias = Literal["skewed", "rows", "columns"]
NONE = -1  # a slot that rests


@dataclass(frozen=True, eq=False)
class Schedule:
    """Every pair of a query and a key, once."""

    queries: Rows  # (steps, slots): the query in each slot, or NONE
    keys: Rows  # (steps, slots): the key that it meets

    @property
    def steps(self) -> int:
        """How many."""
        return len(self.queries)

    def new_rows(self) -> tuple[Rows, Rows, Rows]:
        """Rows of queries and of keys that are fetched for each step, and rows of results that end with it.

        A slot keeps its query while it is the same; a row of keys that all slots use is fetched once.
        """
        resting = np.full((1, self.queries.shape[1]), NONE)
        before, after = np.vstack([resting, self.queries[:-1]]), np.vstack([self.queries[1:], resting])
        fetched = [_apart(row, other) for row, other in zip(self.queries, before, strict=True)]
        ended = [_apart(row, other) for row, other in zip(self.queries, after, strict=True)]
        keys = [len(set(row[on])) for row, on in zip(self.keys, self.queries != NONE, strict=True)]
        return np.array(fetched), np.array(keys), np.array(ended)


def _apart(row: Rows, other: Rows) -> int:
    """Queries that are in a row, and not in the same slot of the other."""
    return len(set(row[row != other]) - {NONE})


def skewed(rows: int, keys: int, slots: int) -> Schedule:
    """All slots meet the same key at a step; slot p begins at key p, goes round, and ends in the next block.

    [Sarkar et al., "Edge-MoE", ICCAD 2023: attention reordering]
    """
    slots = min(slots, keys)
    query = np.arange(rows)
    begins = query // slots * keys + query % slots
    queries = np.full((skewed_steps(rows, keys, slots), slots), NONE)
    for each, begin in zip(query, begins, strict=True):
        queries[begin : begin + keys, each % slots] = each
    met = np.arange(len(queries)) % keys
    return Schedule(queries, np.broadcast_to(met[:, None], queries.shape))


def by_rows(rows: int, keys: int, slots: int) -> Schedule:
    """All slots begin at key 0 at once, each with a query of its own."""
    blocks = -(-rows // slots)
    queries = np.arange(blocks * slots).reshape(blocks, slots).repeat(keys, axis=0)
    met = np.arange(blocks * keys) % keys
    return Schedule(np.where(queries < rows, queries, NONE), np.broadcast_to(met[:, None], queries.shape))


def by_columns(rows: int, keys: int, slots: int) -> Schedule:
    """All slots have the same query, each meets a key of its own."""
    blocks = -(-keys // slots)
    met = np.tile(np.arange(blocks * slots).reshape(blocks, slots), (rows, 1))
    queries = np.arange(rows).repeat(blocks)[:, None]
    return Schedule(np.where(met < keys, queries, NONE), np.minimum(met, keys - 1))


SCHEDULES: Mapping[str, Callable[[int, int, int], Schedule]] = {
    "skewed": skewed, "rows": by_rows, "columns": by_columns,
}  # fmt: skip


def schedule(name: str, rows: int, keys: int, slots: int) -> Schedule:
    """One of SCHEDULES.

    Raises:
        InputError: there is no such schedule, or nothing to do.
    """
    if name not in SCHEDULES:
        raise InputError(f"no schedule is called '{name}'", needed=", ".join(SCHEDULES))
    if min(rows, keys, slots) < 1:
        raise InputError("attention of nothing", needed="rows, keys and slots of at least 1",
                         had=f"{rows}, {keys}, {slots}")  # fmt: skip
    return SCHEDULES[name](rows, keys, slots)


def skewed_steps(rows: int, keys: int, slots: int) -> int:
    """Steps of the skewed schedule: the last query begins with its block, as late as its slot, and meets all keys."""
    slots = min(slots, keys)
    return (rows - 1) // slots * keys + (rows - 1) % slots + keys


@lru_cache(maxsize=64)
def fetching(name: Name, rows: int, keys: int, slots: int) -> tuple[int, int]:
    """Times of a row that a schedule takes, and rows of keys that it fetches.

    In the time of a row a port hands over one row of queries, another one of keys, another one of results.
    """
    if name == "skewed":  # one of each at most
        steps = skewed_steps(rows, keys, slots)
        return steps, steps
    queries, met, ended = schedule(name, rows, keys, slots).new_rows()
    return int(np.maximum.reduce([queries, met, ended, np.ones_like(met)]).sum()), int(met.sum())
