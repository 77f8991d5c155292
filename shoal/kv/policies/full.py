"""Everything is kept, and everything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.errors import InputError
from shoal.kv.policies._counted import Counted
from shoal.kv.policies._growing import Growing
from shoal.kv.policies.contract import Head, Part

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Full:
    """What transformers does, without copying all that there is for each token."""

    def store(self, layer: int) -> Whole:
        """See `Policy`."""
        return Whole()

    def held_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`."""
        return tokens * head.token_bytes

    read_bytes = held_bytes


class Whole(Counted):
    """A store of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.keys, self.values = Growing(), Growing()
        self._given: tuple[Tensor, Tensor] | tuple[()] = ()

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """See `Store`."""
        self.length += keys.shape[2]
        self.wrote(keys, values)
        self._given = given = self.keys.append(keys), self.values.append(values)
        return given

    def select(self, queries: Tensor) -> Sequence[Part] | None:
        """Everything."""
        self.read(*self._given)
        return None

    def evict(self) -> int:
        """Nothing is dropped."""
        return self.length

    def crop(self, tokens: int) -> None:
        """See `Store`."""
        check_crop(tokens, self.length)
        self.length -= tokens
        self.keys.keep(self.length)
        self.values.keep(self.length)


def check_crop(tokens: int, most: int) -> None:
    """Refuse to take back what is not there.

    Raises:
        InputError: it is not.
    """
    if not 0 <= tokens <= most:
        raise InputError("so many tokens cannot be taken back", needed=f"0 to {most}", had=str(tokens))
