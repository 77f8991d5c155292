"""Attention over some tokens at a time, as tiles compute it on what they hold, and the exact merge.

A tile holds ("query", head): (queries, width), and ("page", head, index): keys and values, each (tokens, width). What a
step gives is named ("part", head, tile, ...): the maximum m of the scores, l = Σ exp(s − m), and o = Σ exp(s − m)·v; the
home gets ("out", head). All in float64; scores are products over √width. Where pages stay in place, those that count are
found by the tiles: each sends ("best", head, tile), and the home answers with ("least", head).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from shoal.errors import ProgramError
from shoal.machines._steps import Store
from shoal.machines.hybrid_bonded.contract import Laid, Pages

Values = NDArray[np.float64]
Partial = tuple[Values, Values, Values]  # (queries,), (queries,), (queries, width)
Does = Callable[[Store], None]


def stores(
    laid: Sequence[Laid], queries: Values, keys: Values, values: Values, page: int, tiles: int
) -> list[Store]:
    """What tiles hold before a step.

    Args:
        laid: where each head's pages lie.
        queries: (heads, queries of each, width).
        keys: (heads, tokens, width); the last page may be shorter than the others.
        values: as the keys.
        page: tokens of one.
        tiles: how many.
    """
    found: list[Store] = [{} for _ in range(tiles)]
    for at, place in enumerate(laid):
        found[place.home]["query", at] = queries[at]
        for index, tile in enumerate(place.owners):
            span = slice(index * page, (index + 1) * page)
            found[tile]["page", at, index] = keys[at, span], values[at, span]
    return found


def bound(queries: Values, keys: Values) -> float:
    """What no product of a query with a key of the page exceeds: Σ max(q·min, q·max) over columns, the largest of all queries."""
    return float(np.maximum(queries * keys.min(axis=0), queries * keys.max(axis=0)).sum(axis=1).max())


def scored(head: int, tile: int, pages: Pages, wanted: int) -> Does:
    """Bounds of the tile's pages, and the best of them to be sent."""

    def does(store: Store) -> None:
        bounds = np.array([bound(store["query", head], store["page", head, int(at)][0]) for at in pages])
        store["bounds", head] = dict(zip(pages.tolist(), bounds.tolist(), strict=True))
        store["best", head, tile] = np.sort(bounds)[-wanted:]

    return does


def selected(head: int, tiles: Sequence[int], wanted: int) -> Does:
    """The least bound that counts: the best of all are among the best of each."""

    def does(store: Store) -> None:
        store["least", head] = np.sort(np.concatenate([store["best", head, tile] for tile in tiles]))[-wanted]

    return does


def folded(head: int, tile: int, pages: Pages, chosen: bool) -> Does:
    """Attention over pages that the tile holds; `chosen` ones must be those whose bound counts."""

    def does(store: Store) -> None:
        if chosen and pages.tolist() != [
            at for at, found in store["bounds", head].items() if found >= store["least", head]
        ]:
            raise ProgramError("other pages count than those that are read", where=f"head {head}, tile {tile}",
                               hint="pages that are read are those of the largest bounds: see `best_pages`")  # fmt: skip
        store["part", head, tile] = partial(store["query", head], [store["page", head, int(at)] for at in pages])

    return does


def best_pages(queries: Values, keys: Values, page: int, count: int) -> Pages:
    """The `count` pages of the largest bounds, ascending: what a head that chooses reads.

    Args:
        queries: (queries, width).
        keys: (tokens, width).
        page: tokens of one.
        count: of pages.
    """
    bounds = [bound(queries, keys[at : at + page]) for at in range(0, len(keys), page)]
    return np.sort(np.argsort(bounds, kind="stable")[-count:])


def taken(head: int, tile: int, part: int, pages: Pages) -> Does:
    """Pages read so that they can be sent."""

    def does(store: Store) -> None:
        store["pages", head, tile, part] = [store["page", head, int(at)] for at in pages]

    return does


def folded_part(head: int, tile: int, part: int) -> Does:
    """Attention over pages that came."""

    def does(store: Store) -> None:
        store["part", head, tile, part] = partial(store["query", head], store["pages", head, tile, part])

    return does


def merged(head: int, keys: Sequence[tuple[int, ...]]) -> Does:
    """The result of a head from all its parts."""

    def does(store: Store) -> None:
        store["out", head] = merge([store[("part", head, *key)] for key in keys])

    return does


def partial(queries: Values, pages: Sequence[tuple[Values, Values]]) -> Partial:
    """Attention over some pages, not yet divided by the sum."""
    keys, values = (np.concatenate(some) for some in zip(*pages, strict=True))
    scores = queries @ keys.T / np.sqrt(queries.shape[1])
    most = scores.max(axis=1)
    weights = np.exp(scores - most[:, None])
    return most, weights.sum(axis=1), weights @ values


def merge(parts: Sequence[Partial]) -> Values:
    """Attention over all parts' tokens, exactly: (queries, width)."""
    most = np.max([part[0] for part in parts], axis=0)
    scales = [np.exp(part[0] - most) for part in parts]
    total = sum(scale * part[1] for scale, part in zip(scales, parts, strict=True))
    summed = sum(scale[:, None] * part[2] for scale, part in zip(scales, parts, strict=True))
    return np.asarray(summed / np.asarray(total)[:, None])
