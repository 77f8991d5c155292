"""Recorded page selections as what the heads of a larger model read at a longer context.

What is kept of the record: which heads stream, how the chosen pages lie (runs of neighbours and where in the context they
are, the first and the newest pages included), and how many are chosen: either as many tokens, for a budget is a number of
tokens, or the same share of the context. What is not: that a model of more heads and layers has such heads and layers, and
that a longer text would be read in the same places. Layers that read every page stay as many, at the front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shoal.errors import InputError
from shoal.kv.selections import Pages, Selections
from shoal.machines.hybrid_bonded import Reading

Keeping = Literal["tokens", "share"]  # what of the number of chosen pages stays as it was recorded


def moved(pages: Pages, held: int, to: int, count: int) -> Pages:
    """`pages` of `held` as `count` pages of `to`: runs of neighbours stay runs, at the same relative place.

    A run's length grows with `count`; one at the beginning or the end stays there. Runs that would overlap are moved apart.
    """
    count = min(count, to)
    runs = np.split(pages, np.flatnonzero(np.diff(pages) > 1) + 1)
    lengths = np.diff(np.round(np.cumsum([0, *map(len, runs)]) / len(pages) * count)).astype(np.int64)
    places = [run[0] / max(1, held - len(run)) for run in runs]
    starts = [round(place * (to - int(length))) for place, length in zip(places, lengths, strict=True)]
    for at in range(1, len(runs)):
        starts[at] = max(starts[at], starts[at - 1] + int(lengths[at - 1]))
    end = to
    for at in reversed(range(len(runs))):
        starts[at] = end = min(starts[at], end - int(lengths[at]))
    return np.concatenate([np.arange(start, start + length) for start, length in zip(starts, lengths, strict=True)])


@dataclass(frozen=True)
class Scaled:
    """A record as what a model of `kv_heads` a layer reads of so many tokens.

    Raises:
        InputError: no step, no head that chooses, only layers that read all pages, or a share that is none.
    """

    record: Selections
    kv_heads: int
    tokens: int
    keeping: Keeping = "tokens"
    least: int = 0  # tokens that are chosen at least
    choosing: float | None = None  # share of heads that choose pages; none: as recorded
    seed: int = 0  # of which recorded head and step stands for which head

    def __post_init__(self) -> None:
        if not self.record.steps:
            raise InputError("a record without steps")
        if len(self.dense) == self.record.layers:
            raise InputError(
                "a record in which every layer reads all pages", hint="record more tokens, or a smaller budget"
            )

        if self.record.streaming.all():
            raise InputError("a record in which no head chooses pages")
        if self.choosing is not None and not 0 <= self.choosing <= 1:
            raise InputError("a share of heads out of range", needed="0 to 1", had=str(self.choosing))

    @property
    def held(self) -> int:
        """Pages of a head that streams nothing."""
        return -(-self.tokens // self.record.page)

    @property
    def dense(self) -> tuple[int, ...]:
        """Recorded layers whose heads read all pages at every step."""
        record = self.record
        return tuple(layer for layer in range(record.layers) if not record.streaming[layer].any() and all(
            len(step[layer][head]) == record.pages(at)
            for at, step in enumerate(record.steps) for head in range(record.kv_heads)
        ))  # fmt: skip

    def full(self) -> list[Reading]:
        """A layer that reads all."""
        return [Reading(self.held, np.arange(self.held)) for _ in range(self.kv_heads)]

    def layer(self, layer: int) -> list[Reading]:
        """The heads of layer `layer`; recorded layers take turns, and which head stands for which is drawn for each."""
        source = np.random.default_rng((self.seed, layer))
        heads = self._drawn(layer, source)
        steps = source.integers(len(self.record.steps), size=self.kv_heads)
        return [self._head(heads[at], int(steps[at])) for at in source.permutation(self.kv_heads).tolist()]

    def _drawn(self, layer: int, source: np.random.Generator) -> list[tuple[int, int]]:
        """Recorded layers and heads, each as often as the others."""
        record = self.record
        left = [each for each in range(record.layers) if each not in self.dense]
        if self.choosing is None:
            return [(left[layer % len(left)], at % record.kv_heads) for at in range(self.kv_heads)]
        wanted = round(self.choosing * self.kv_heads)
        found: list[tuple[int, int]] = []
        for streams, count in ((False, wanted), (True, self.kv_heads - wanted)):
            heads = [
                (each, at)
                for each in left
                for at in range(record.kv_heads)
                if record.streaming[each, at] == streams
            ]
            if count and not heads:
                raise InputError(
                    "a record without such heads", needed="streaming ones" if streams else "choosing ones"
                )
            order: list[int] = source.permutation(len(heads)).tolist()
            found += [heads[order[at % len(heads)]] for at in range(count)]
        return found

    def _head(self, place: tuple[int, int], step: int) -> Reading:
        record, (layer, head) = self.record, place
        if record.streaming[layer, head]:
            kept = min(self.held, -(-record.sink // record.page) + -(-record.recent // record.page))
            return Reading(kept, np.arange(kept))
        pages, held = record.steps[step][layer][head], record.pages(step)
        if len(pages) == held:
            return Reading(self.held, np.arange(self.held))
        return Reading(self.held, moved(pages, held, self.held, self._count(len(pages), held)), scored=True)

    def _count(self, chosen: int, held: int) -> int:
        if self.keeping == "share":
            return max(1, round(chosen / held * self.held))
        return max(chosen, -(-self.least // self.record.page))


def streaming_share(record: Selections, dense: Sequence[int]) -> float:
    """How many of the heads stream, in layers that do not read all."""
    return float(np.delete(record.streaming, list(dense), axis=0).mean())
