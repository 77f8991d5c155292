"""Events of attention over pages; see `Ran.counts`. What comes from DRAM or the mesh goes through SRAM: written, then read."""

from __future__ import annotations

from shoal.machines.hybrid_bonded.contract import HeadShape

Counted = dict[str, float]


def scored(shape: HeadShape, pages: int) -> Counted:
    """Bounds of pages read and compared with the queries."""
    return {**bounds(shape, pages), **compared(shape, pages)}


def bounds(shape: HeadShape, pages: int) -> Counted:
    """Bounds of pages read: they lie one after another, whatever a row holds."""
    return {"dram": pages * shape.bounds_bytes}


def compared(shape: HeadShape, pages: int) -> Counted:
    """The sum over columns of the larger of two products."""
    return {"mac": pages * 2 * shape.head * shape.queries, "sram": 2 * pages * shape.bounds_bytes}


def read(shape: HeadShape, pages: int, row_bytes: int) -> Counted:
    """Keys and values read; a page that fills no row misses one."""
    return {"dram": pages * shape.page_bytes, "row": pages if shape.page_bytes < row_bytes else 0}


def attended(shape: HeadShape, pages: int) -> Counted:
    """Scores of tokens, their exponentials, and the sum of values."""
    tokens = pages * shape.page * shape.queries
    return {"mac": tokens * 2 * shape.head, "vector": tokens, "sram": 2 * pages * shape.page_bytes}


def merged(shape: HeadShape, parts: int) -> Counted:
    """Partial results scaled to one maximum and added."""
    return {"mac": parts * shape.queries * shape.head, "vector": parts * shape.queries}
