"""One step of a layer's attention as what tiles do and send.

Where pages lie in place: queries go to the tiles of their head's pages; each tile scores its own pages, sends its best
scores home, and hears from which on pages count; it reads those and sends a maximum, a sum and a vector home, where they
are merged. Where pages travel: tiles send bounds and pages to the head's home, in parts, so that reading, sending and
computing overlap. Left out: writing the new token's key and value, and requests for pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from shoal.machines._steps import Compute, Send, Step
from shoal.machines.hybrid_bonded import _counts, _partials
from shoal.machines.hybrid_bonded.contract import NUMBER_BYTES, HeadShape, Laid, Pages, Reading

PARTS = 4  # of what one tile sends for one head
BANKS, LOGIC, SMALL = "banks", "logic", "small"  # units of a tile beside the one that reads and computes at once
Head = tuple[int, Reading, Laid]  # with its number
Steps = tuple[int, ...]  # indices


def attention(
    shape: HeadShape, readings: Sequence[Reading], laid: Sequence[Laid], row_bytes: int
) -> tuple[Step, ...]:
    """The steps of one layer for one token; units do theirs in this order.

    Args:
        shape: of every head.
        readings: of each head in this step.
        laid: where each head's pages lie.
        row_bytes: of a DRAM row: smaller pages miss one each.
    """
    told = _Told(shape, row_bytes)
    heads = [(at, *each) for at, each in enumerate(zip(readings, laid, strict=True))]
    told.in_place([head for head in heads if not head[2].travels])
    told.fetched([head for head in heads if head[2].travels])
    return tuple(told.steps)


@dataclass
class _Told:
    """Steps as they are put together."""

    shape: HeadShape
    row_bytes: int
    steps: list[Step] = field(default_factory=list)

    def in_place(self, heads: Sequence[Head]) -> None:
        """Heads computed on where their pages lie: first those that choose score, the others fill the time until it is known."""
        asked = {head[0]: self._asked(head) for head in heads}
        scored = [head for head in heads if head[1].scored]
        heard = {head[0]: self._scored(head, asked[head[0]]) for head in scored}
        for head in scored:
            asked[head[0]] = self._selected(head, heard[head[0]])
        order = sorted(heads, key=lambda head: head[1].scored)
        parts = {head[0]: self._read(head, asked[head[0]]) for head in order}
        for head in order:
            self._merged(head, parts[head[0]], [(tile,) for tile in _chosen(head)], SMALL)

    def _asked(self, head: Head) -> dict[int, Steps]:
        """Queries to all tiles that score or read pages of theirs."""
        at, reading, place = head
        tiles = _stored(head) if reading.scored else _chosen(head)
        return {tile: self._tell(place.home, tile, self.shape.query_bytes, (), ("query", at)) for tile in tiles}

    def _scored(self, head: Head, asked: dict[int, Steps]) -> Steps:
        """Each tile's best scores at home: no more than pages that are wanted can be among the best of all."""
        heard: list[int] = []
        at, reading, place = head
        wanted = len(reading.chosen)
        for tile, pages in _stored(head).items():
            does = _partials.scored(at, tile, pages, wanted)
            done = self._add(Compute(tile, _counts.scored(self.shape, len(pages)), asked[tile], does=does))
            size = min(len(pages), wanted) * NUMBER_BYTES
            heard += self._tell(tile, place.home, size, done, ("best", at, tile)) or done
        return tuple(heard)

    def _selected(self, head: Head, heard: Steps) -> dict[int, Steps]:
        """Word of the least score that counts, to the tiles that have such pages."""
        at, reading, place = head
        stored, wanted = _stored(head), len(reading.chosen)
        compared = sum(min(len(pages), wanted) for pages in stored.values())
        does = _partials.selected(at, tuple(stored), wanted)
        least = self._add(Compute(place.home, {"vector": compared}, heard, SMALL, does))
        name = ("least", at)
        return {tile: self._tell(place.home, tile, NUMBER_BYTES, least, name) or least for tile in _chosen(head)}

    def _read(self, head: Head, asked: dict[int, Steps]) -> Steps:
        """Pages read and computed on, and what comes of it at home."""
        at, reading, place = head
        parts: list[int] = []
        for tile, pages in _chosen(head).items():
            counts = {
                **_counts.read(self.shape, len(pages), self.row_bytes),
                **_counts.attended(self.shape, len(pages)),
            }
            done = self._add(
                Compute(tile, counts, asked[tile], does=_partials.folded(at, tile, pages, reading.scored))
            )
            parts += self._tell(tile, place.home, self.shape.partial_bytes, done, ("part", at, tile)) or done
        return tuple(parts)

    def fetched(self, heads: Sequence[Head]) -> None:
        """Heads whose pages go home; each tile begins with another head, so that no home is sent to by all at once."""
        known: dict[int, Steps] = {}
        bounds = _Moving(
            [(at, place, np.arange(reading.stored)) for at, reading, place in heads if reading.scored],
            partial(_counts.bounds, self.shape), partial(_counts.compared, self.shape), self.shape.bounds_bytes,
        )  # fmt: skip
        heard = self._moved(bounds, known)
        for at, place, held in bounds.wanted:
            known[at] = self._add(Compute(place.home, {"vector": len(held)}, heard[at], LOGIC))
        read = _Moving(
            [(at, place, reading.chosen) for at, reading, place in heads],
            partial(_counts.read, self.shape, row_bytes=self.row_bytes), partial(_counts.attended, self.shape),
            self.shape.page_bytes, carried=True,
        )  # fmt: skip
        parts = self._moved(read, known)
        for head in heads:
            keys = [(tile, part) for tile, some in _chosen(head).items() for part, _ in _cut(some)]
            self._merged(head, parts[head[0]], keys, LOGIC)

    def _moved(self, moving: _Moving, after: dict[int, Steps]) -> dict[int, Steps]:
        """Pages read where they lie, sent, and used at home; the last steps of each head."""
        last: dict[int, Steps] = {at: () for at, _, _ in moving.wanted}
        for at, place, tile, part, pages in _in_turn(moving.wanted):
            key, count = (at, tile, part), len(pages)
            taken = _partials.taken(*key, pages) if moving.carried else None
            read = self._add(Compute(tile, moving.fetch(count), after.get(at, ()), BANKS, taken))
            name = ("pages", *key) if moving.carried else None
            there = self._tell(tile, place.home, count * moving.page_bytes, read, name) or read
            folded = _partials.folded_part(*key) if moving.carried else None
            last[at] += self._add(Compute(place.home, moving.use(count), there, LOGIC, folded))
        return last

    def _merged(self, head: Head, parts: Steps, keys: Sequence[tuple[int, ...]], unit: str) -> None:
        at, _, place = head
        self._add(
            Compute(place.home, _counts.merged(self.shape, len(keys)), parts, unit, _partials.merged(at, keys))
        )

    def _tell(
        self, source: int, target: int, size: float, after: tuple[int, ...], name: tuple[object, ...] | None = None
    ) -> tuple[int, ...]:
        """A message, unless it stays where it is."""
        if source == target:
            return ()
        return self._add(Send(source, target, size, after, (name,) if name else ()))

    def _add(self, step: Step) -> tuple[int, ...]:
        self.steps.append(step)
        return (len(self.steps) - 1,)


@dataclass(frozen=True)
class _Moving:
    """Pages, or their bounds, on their way home."""

    wanted: Sequence[tuple[int, Laid, Pages]]  # of each head
    fetch: Callable[[int], dict[str, float]]  # events of so many where they lie
    use: Callable[[int], dict[str, float]]  # events at home
    page_bytes: int
    carried: bool = False  # values are; of bounds nothing is needed but the time


def _stored(head: Head) -> dict[int, Pages]:
    return _by_owner(head[2].owners, np.arange(head[1].stored))


def _chosen(head: Head) -> dict[int, Pages]:
    return _by_owner(head[2].owners[head[1].chosen], head[1].chosen)


def _by_owner(owners: Pages, pages: Pages) -> dict[int, Pages]:
    return {int(tile): pages[owners == tile] for tile in np.unique(owners)}


def _in_turn(wanted: Sequence[tuple[int, Laid, Pages]]) -> Iterator[tuple[int, Laid, int, int, Pages]]:
    """Parts of what each tile sends for each head, first parts first; tile t begins with the head t after the first."""
    owned = [
        (at, place, {tile: dict(_cut(some)) for tile, some in _by_owner(place.owners[pages], pages).items()})
        for at, place, pages in wanted
    ]
    tiles = sorted({tile for _, _, found in owned for tile in found})
    for part in range(PARTS):
        for turn in range(len(owned)):
            for tile in tiles:
                at, place, found = owned[(turn + tile) % len(owned)]
                pages = found.get(tile, {}).get(part)
                if pages is not None:
                    yield at, place, tile, part, pages


def _cut(pages: Pages) -> Iterator[tuple[int, Pages]]:
    """Parts that are not empty, with their numbers."""
    yield from ((part, some) for part, some in enumerate(np.array_split(pages, PARTS)) if len(some))
