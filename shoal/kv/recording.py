"""The pages that stores read, noted step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shoal.errors import InputError
from shoal.kv.policies.contract import Store
from shoal.kv.policies.hybrid import Mixed
from shoal.kv.policies.pages import Paged
from shoal.kv.selections import Pages, Selections


class Recording:
    """Notes which pages the first sequence's heads read, one token a step, from its making on.

    Args:
        stores: of all layers, each of which has heads of pages.

    Raises:
        InputError: a layer has none.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = stores
        self.paged = [paged_of(store) for store in stores]
        for paged in self.paged:
            paged.record = []

    def selections(self) -> Selections:
        """What was noted.

        Raises:
            InputError: nothing was.
        """
        steps = max(len(paged.record or ()) for paged in self.paged)
        if not steps:
            raise InputError("no step was recorded", where="page selections")
        policy, (heads, width) = self.paged[0].policy, _sizes(self.stores[0])
        streaming = np.array([[head in _streaming(store) for head in range(heads)] for store in self.stores])
        ends = next((store.ends for store in self.stores if isinstance(store, Mixed)), None)
        found = [[self._layer(layer, step, streaming[layer].tolist()) for layer in range(len(self.stores))]
                 for step in range(steps)]  # fmt: skip
        return Selections(policy.page, self.stores[0].length - steps, len(self.stores), heads, width, streaming, found,
                          policy.sink, ends.recent if ends else 0)  # fmt: skip

    def _layer(self, layer: int, step: int, streaming: Sequence[bool]) -> list[Pages]:
        """The pages of each head; of a streaming one none."""
        read = iter(() if all(streaming) else (self.paged[layer].record or [])[step])
        return [np.zeros(0, np.int64) if streams else next(read) for streams in streaming]


def paged_of(store: Store) -> Paged:
    """The part of a store that chooses pages.

    Raises:
        InputError: there is none.
    """
    found = store.paged if isinstance(store, Mixed) else store
    if not isinstance(found, Paged):
        raise InputError("a layer in which no head chooses pages", where="page selections",
                         hint="record a policy of pages, dense=0")  # fmt: skip
    return found


def _sizes(store: Store) -> tuple[int, int]:
    """KV heads, and the width of one."""
    if isinstance(store, Mixed):
        return len(store.streaming) + len(store.others), int(store.ends.keys.used.shape[-1])
    used = paged_of(store).keys.used
    return int(used.shape[1]), int(used.shape[-1])


def _streaming(store: Store) -> Sequence[int]:
    return store.streaming if isinstance(store, Mixed) else ()
