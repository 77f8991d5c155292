"""Everything is kept, on several tiles that each attend to what they hold. [H2EAL, arXiv 2508.16653]"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.kv.policies.contract import Head, Part, at_least
from shoal.kv.policies.full import Whole
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Tiled:
    """Pages are dealt to the tiles in turn; the queries go to all, and what they give is merged exactly.

    Raises:
        InputError: no tile or an empty page.
    """

    tiles: int = 4  # those without a page give nothing
    page: int = 16  # tokens

    def __post_init__(self) -> None:
        at_least(1, tiles=self.tiles, page=self.page)

    def store(self, layer: int) -> Dealt:
        """See `Policy`."""
        return Dealt(self)

    def held_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`."""
        return tokens * head.token_bytes

    read_bytes = held_bytes


class Dealt(Whole):
    """A store on tiles."""

    def __init__(self, policy: Tiled) -> None:
        super().__init__()
        self.policy = policy

    def select(self, queries: Tensor) -> Sequence[Part] | None:
        """A part for each tile; of several tokens at once everything."""
        if queries.shape[3] > 1:
            return super().select(queries)
        torch = torch_module()
        places = torch.arange(self.length, device=queries.device)
        tile = places // self.policy.page % self.policy.tiles
        return [self._part(places[tile == at]) for at in range(self.policy.tiles)]

    def _part(self, places: Tensor) -> Part:
        keys, values = (each.used.index_select(2, places) for each in (self.keys, self.values))
        self.read(keys, values)
        return Part(range(keys.shape[1]), keys, values, places)
