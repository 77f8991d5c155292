"""Each KV head by itself reads both ends or chosen pages. [H2EAL, arXiv 2508.16653; Xiao et al., "DuoAttention", 2024]"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shoal.errors import InputError
from shoal.kv.policies.contract import Head, Part, Store, Traffic, at_least
from shoal.kv.policies.full import Whole
from shoal.kv.policies.pages import Paged, Pages
from shoal.kv.policies.streaming import Ends, Streaming
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Hybrid:
    """Streaming heads keep the first and the last tokens; all others keep pages and read those that may matter.

    Raises:
        InputError: a budget that does not hold the sink and the newest page, or an empty page.
    """

    streaming: tuple[tuple[int, ...], ...] = ()  # of each layer the KV heads that are so; layers left out have none
    page: int = 16  # tokens
    budget: int = 1024  # tokens that one token reads by a head of pages, the newest page's included
    sink: int = 64  # first tokens, always read
    recent: int = 256  # last tokens that a streaming head reads
    reuse: int = 1  # steps for which one choice of pages is good, at most until a page is full
    dense: int = 2  # first layers, which read everything by all heads
    spare: int = 0  # tokens that streaming heads hold beyond, so that as many can be taken back

    def __post_init__(self) -> None:
        at_least(0, spare=self.spare)
        _ = self.pages, self.ends

    @property
    def pages(self) -> Pages:
        """What the other heads do."""
        return Pages(self.page, self.budget, self.sink, self.reuse, self.dense)

    @property
    def ends(self) -> Streaming:
        """What streaming heads do."""
        return Streaming(self.sink, self.recent, self.spare)

    def store(self, layer: int) -> Store:
        """See `Policy`."""
        heads = self._streaming(layer)
        if layer < self.dense:
            return Whole()
        return Mixed(self, heads) if heads else Paged(self.pages)

    def held_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`."""
        return self._of(layer, kv_head).held_bytes(tokens, head, layer, kv_head)

    def read_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`."""
        return self._of(layer, kv_head).read_bytes(tokens, head, layer, kv_head)

    def _streaming(self, layer: int) -> tuple[int, ...]:
        return self.streaming[layer] if layer < len(self.streaming) else ()

    def _of(self, layer: int, kv_head: int) -> Pages | Streaming:
        return self.ends if layer >= self.dense and kv_head in self._streaming(layer) else self.pages


class Mixed:
    """A store of each kind, and which heads are whose."""

    def __init__(self, policy: Hybrid, streaming: Sequence[int]) -> None:
        self.ends, self.paged = Ends(policy.sink, policy.recent, policy.spare), Paged(policy.pages)
        self.streaming, self.others = sorted(set(streaming)), list[int]()
        self._index: list[Tensor] = []

    @property
    def length(self) -> int:
        """See `Store`."""
        return self.ends.length

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """See `Store`; what comes first is given back whole."""
        if not self._index:
            self._divide(keys)
        for store, heads in zip(self._stores(), self._index, strict=True):
            store.append(keys.index_select(1, heads), values.index_select(1, heads))
        return keys, values

    def select(self, queries: Tensor) -> Sequence[Part] | None:
        """See `Store`."""
        asked = [queries.index_select(1, heads) for heads in self._index]
        ends = self.ends.select(asked[0])
        if not self.others:
            return ends
        pages = self.paged.select(asked[1])
        if ends is None:
            return None
        pages = pages or [self.paged.everything()]
        return [replace(part, heads=heads) for parts, heads in ((ends, self.streaming), (pages, self.others))
                for part in parts]  # fmt: skip

    def evict(self) -> int:
        """See `Store`; of a streaming head."""
        return self.ends.evict()

    def crop(self, tokens: int) -> None:
        """See `Store`."""
        for store in self._stores():
            store.crop(tokens)

    def traffic(self) -> Traffic:
        """See `Store`."""
        return sum((store.traffic() for store in self._stores()), Traffic())

    def _stores(self) -> list[Ends | Paged]:
        return [self.ends, self.paged] if self.others else [self.ends]

    def _divide(self, keys: Tensor) -> None:
        """Which heads are whose, known when the first keys come.

        Raises:
            InputError: a streaming head that there is not.
        """
        heads = keys.shape[1]
        if not 0 <= self.streaming[0] <= self.streaming[-1] < heads:
            raise InputError("a KV head that the model has not", where="streaming heads", needed=f"below {heads}",
                             had=", ".join(map(str, self.streaming)))  # fmt: skip
        self.others = [head for head in range(heads) if head not in self.streaming]
        torch = torch_module()
        groups = [each for each in (self.streaming, self.others) if each]
        self._index = [torch.tensor(each, device=keys.device) for each in groups]
