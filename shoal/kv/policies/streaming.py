"""The first tokens and the last ones. [Xiao et al., "Efficient Streaming Language Models with Attention Sinks", 2024]"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.errors import InputError
from shoal.kv.policies._counted import Counted
from shoal.kv.policies._growing import SPARE, Growing
from shoal.kv.policies.contract import Head, Part, at_least
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Streaming:
    """A token sees the first tokens and the last ones; a prompt that comes at once sees all of itself.

    Raises:
        InputError: nothing to keep.
    """

    sink: int = 64  # first tokens
    recent: int = 256  # last tokens, the newest included
    spare: int = 0  # tokens before those that are held, not read: so many can be taken back

    def __post_init__(self) -> None:
        at_least(0, sink=self.sink, spare=self.spare)
        at_least(1, recent=self.recent)

    def store(self, layer: int) -> Ends:
        """See `Policy`."""
        return Ends(self.sink, self.recent, self.spare)

    def held_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`."""
        return min(tokens, self.sink + self.recent + self.spare) * head.token_bytes

    def read_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`."""
        return min(tokens, self.sink + self.recent) * head.token_bytes


class Ends(Counted):
    """A store of both ends: the sink, and behind it the last tokens, which move up when room runs out.

    Until then up to 256 tokens more stand in memory, which are not read; `evict` moves at once.
    """

    def __init__(self, sink: int, recent: int, spare: int = 0) -> None:
        super().__init__()
        self.sink, self.recent, self.spare = sink, recent, spare
        self.keys, self.values = Growing(), Growing()
        self.dropped = 0  # tokens between both ends

    @property
    def held(self) -> int:
        """Tokens of a head that have not been dropped."""
        return self.length - self.dropped

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """See `Store`; what comes first is given back whole."""
        if self.held + keys.shape[2] > self.sink + self.recent + self.spare + SPARE:
            self.evict()
        self.wrote(keys, values)
        self.length += keys.shape[2]
        self.keys.append(keys)
        self.values.append(values)
        return keys, values

    def select(self, queries: Tensor) -> Sequence[Part] | None:
        """Both ends, as views; of a prompt that comes at once everything."""
        fresh = queries.shape[3]
        if 1 < fresh == self.length:
            self.read(self.keys.used, self.values.used)
            self.evict()
            return None
        first = max(self.sink, self.length - self.recent - fresh + 1)  # of the last tokens
        behind = slice(max(0, first - self.dropped), self.held)
        parts = [self._part(slice(0, min(self.sink, self.held)), 0, 0)] if self.sink else []
        if self.length > first:
            parts.append(self._part(behind, self.dropped, self.recent))
        return parts

    def evict(self) -> int:
        """See `Store`."""
        kept = self.recent + self.spare
        surplus = self.held - self.sink - kept
        if surplus > 0:
            for each in (self.keys, self.values):
                last = each.used[:, :, -kept:].clone()
                each.whole[:, :, self.sink : self.sink + kept] = last
                each.keep(self.sink + kept)
            self.dropped += surplus
        return self.held

    def crop(self, tokens: int) -> None:
        """See `Store`; once tokens were dropped, as many as are held beyond those that are read."""
        most = self.held - self.sink - self.recent if self.dropped else self.length
        if not 0 <= tokens <= most:
            raise InputError("so many tokens cannot be taken back", where="streaming cache",
                             needed=f"0 to {most}", had=str(tokens), hint="hold more with 'spare'")  # fmt: skip
        self.length -= tokens
        self.keys.keep(self.held)
        self.values.keep(self.held)

    def _part(self, rows: slice, before: int, recent: int) -> Part:
        torch = torch_module()
        keys, values = self.keys.used[:, :, rows], self.values.used[:, :, rows]
        self.read(keys, values)
        places = torch.arange(rows.start + before, rows.stop + before, device=keys.device)
        return Part(range(keys.shape[1]), keys, values, places, recent)
