"""Pages of tokens, of which each step reads those that may matter. [Tang et al., "Quest", 2024; H2EAL, arXiv 2508.16653]"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shoal.errors import InputError
from shoal.kv.policies._counted import Counted
from shoal.kv.policies._growing import Growing
from shoal.kv.policies.contract import Head, Part, Store, at_least
from shoal.kv.policies.full import Whole, check_crop
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class Pages:
    """A page is as promising as the largest product that a key within its bounds could have with the query.

    score = Σ over channels of max(q · kmin, q · kmax), where kmin and kmax are those of the page's keys with places
    turned in; of the queries that share a KV head the largest counts. The pages of the sink and the newest one are
    always read. Several tokens at once, a prompt above all, read everything.

    Raises:
        InputError: a budget that does not hold the sink and the newest page, or an empty page.
    """

    page: int = 16  # tokens
    budget: int = 1024  # tokens that one token reads, the newest page's included
    sink: int = 16  # first tokens, whose pages are always read
    reuse: int = 1  # steps for which one choice is good, at most until a page is full
    dense: int = 2  # first layers, which read everything

    def __post_init__(self) -> None:
        at_least(1, page=self.page, reuse=self.reuse)
        at_least(0, sink=self.sink, dense=self.dense)
        least = (-(-self.sink // self.page) + 1) * self.page
        if self.budget < least:
            raise InputError("the page budget is below the sink and the newest page", where="cache of pages",
                             needed=f"at least {least} tokens", had=str(self.budget))  # fmt: skip

    def store(self, layer: int) -> Store:
        """See `Policy`."""
        return Whole() if layer < self.dense else Paged(self)

    def held_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`; with the bounds of each page."""
        bounds = 0 if layer < self.dense else self._bounds_bytes(tokens, head)
        return tokens * head.token_bytes + bounds

    def read_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`; of a step that chooses: whole pages, and the bounds of all."""
        if layer < self.dense:
            return tokens * head.token_bytes
        chosen = min(-(-tokens // self.page), self.budget // self.page)
        return chosen * self.page * head.token_bytes + self._bounds_bytes(tokens, head)

    def _bounds_bytes(self, tokens: int, head: Head) -> int:
        return -(-tokens // self.page) * 2 * head.key * head.value_bytes


class Paged(Counted):
    """A store of pages: page i has the tokens from i · page."""

    def __init__(self, policy: Pages) -> None:
        super().__init__()
        self.policy = policy
        self.keys, self.values = Growing(policy.page), Growing(policy.page)
        self.bounds = Growing()  # (batch, heads, pages, kmax and kmin)
        self.record: list[NDArray[np.int64]] | None = (
            None  # of each step the pages, (heads, chosen), first sequence
        )
        self._chosen: Tensor | None = None
        self._age = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """See `Store`."""
        begun = self.length // self.policy.page
        self.length += keys.shape[2]
        found = self.keys.append(keys), self.values.append(values)
        self.wrote(keys, values)
        self._bound(begun)
        return found

    def select(self, queries: Tensor) -> Sequence[Part] | None:
        """See `Store`."""
        if queries.shape[3] > 1:
            self.read(self.keys.used, self.values.used)
            return None
        if self._chosen is None or self._age >= self.policy.reuse:
            self._chosen, self._age = self._choice(queries[:, :, :, 0]), 0
        self._age += 1
        if self.record is not None:
            self.record.append(self._chosen[0].numpy().astype(np.int64))
        return [self._gathered(self._chosen)]

    def everything(self) -> Part:
        """All tokens."""
        torch = torch_module()
        self.read(self.keys.used, self.values.used)
        places = torch.arange(self.length, device=self.keys.used.device)
        return Part(range(self.keys.used.shape[1]), self.keys.used, self.values.used, places)

    def evict(self) -> int:
        """Nothing is dropped."""
        return self.length

    def crop(self, tokens: int) -> None:
        """See `Store`."""
        check_crop(tokens, self.length)
        self.length -= tokens
        self.keys.keep(self.length)
        self.values.keep(self.length)
        self._bound(self.length // self.policy.page)

    def scores(self, queries: Tensor) -> Tensor:
        """The bound of each page, (batch, KV heads, pages), of queries (batch, KV heads, queries of one, width).

        As kmin ≤ kmax, max(q · kmin, q · kmax) is max(q, 0) · kmax + min(q, 0) · kmin, which two products give.
        """
        signed = torch_module().cat([queries.clamp(min=0), queries.clamp(max=0)], dim=-1)
        found: Tensor = (signed @ self.bounds.used.transpose(-1, -2)).amax(dim=2)
        return found

    def _bound(self, first: int) -> None:
        """Kmax and kmin of the pages from `first` on; the choice is good as long as no page comes or goes."""
        before = self.bounds.rows
        self.bounds.keep(min(first, before))
        keys = self.keys.used[:, :, first * self.policy.page :]
        if keys.shape[2]:
            torch, missing = torch_module(), -keys.shape[2] % self.policy.page
            filled = torch.cat([keys, keys[:, :, -1:].expand(-1, -1, missing, -1)], dim=2) if missing else keys
            pages = filled.view(*keys.shape[:2], -1, self.policy.page, keys.shape[3])
            found = torch.cat([pages.amax(dim=3), pages.amin(dim=3)], dim=-1)
            self.bounds.append(found)
            self.wrote(found)
        if self.bounds.rows != before:
            self._chosen = None

    def _choice(self, queries: Tensor) -> Tensor:
        """Indices of the pages to read, ascending, (batch, KV heads, pages)."""
        scores = self.scores(queries)
        self.read(self.bounds.used)
        scores[:, :, : -(-self.policy.sink // self.policy.page)] = float("inf")
        scores[:, :, -1] = float("inf")
        count = min(scores.shape[2], self.policy.budget // self.policy.page)
        found: Tensor = scores.topk(count, dim=2, sorted=False).indices.sort(dim=2).values
        return found

    def _gathered(self, chosen: Tensor) -> Part:
        """The tokens of chosen pages, copied; the newest page, the last of each row, is not full."""
        torch, page = torch_module(), self.policy.page
        batch, heads, room = self.keys.whole.shape[:3]
        rows = torch.arange(batch * heads, device=chosen.device).view(batch, heads, 1) * (room // page) + chosen
        found = []
        for held in (self.keys.whole, self.values.whole):
            read = held.view(-1, page * held.shape[3]).index_select(0, rows.flatten())
            self.read(read)
            found.append(read.view(batch, heads, -1, held.shape[3]))
        places = (chosen[..., None] * page + torch.arange(page, device=chosen.device)).flatten(2)
        filled = places.shape[2] - -self.length % page
        keys, values = (each[:, :, :filled] for each in found)
        return Part(range(heads), keys, values, places[:, :, :filled])
