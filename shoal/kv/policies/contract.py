"""What a policy of a cache is: which keys and values of a layer are kept, which are read, and the bytes of both.

A policy is a value; `store` makes what one layer holds. Tensors are torch's; importing this needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shoal.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

FAMILY = "kv/policies"


@dataclass(frozen=True)
class Head:
    """What one KV head has of one token."""

    key: int  # width; of a latent cache that of the short vector
    value: int  # width; of a latent cache that of the key with places
    value_bytes: int = 4  # of one figure

    @property
    def token_bytes(self) -> int:
        """Key and value."""
        return (self.key + self.value) * self.value_bytes


@dataclass(frozen=True)
class Traffic:
    """Bytes that moved between a layer's cache and what computes."""

    read: int = 0  # of keys, values, and what pages are chosen by
    written: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.read + other.read, self.written + other.written)


@dataclass(frozen=True, eq=False)
class Part:
    """Tokens that some KV heads read together; what several parts give is merged exactly."""

    heads: Sequence[int]  # KV heads of the layer
    keys: Tensor  # (batch, heads, tokens, width)
    values: Tensor  # (batch, heads, tokens, width)
    places: Tensor  # (tokens,) or (batch, heads, tokens): where the tokens stand in the sequence
    recent: int = 0  # a query sees no more than so many tokens back, itself included; 0: all


class Store(Protocol):
    """What one layer holds of a batch of sequences."""

    @property
    def length(self) -> int:
        """Tokens that were appended and not taken back: places follow from it, however few are kept."""

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep new tokens, each tensor (batch, KV heads, tokens, width), and drop what is never read again.

        Returns:
            Keys and values for an attention that is told to read all, see `select`.

        Raises:
            InputError: the heads are not those that the policy speaks of.
        """

    def select(self, queries: Tensor) -> Sequence[Part] | None:
        """What the newest tokens read; called once after each `append`.

        Args:
            queries: (batch, KV heads, queries of one, new tokens, width), with places turned in as in the keys.

        Returns:
            The parts, all heads in one or more; None: everything that `append` gave.
        """

    def evict(self) -> int:
        """Drop what is never read again, and give the tokens of a head that are still held."""

    def crop(self, tokens: int) -> None:
        """Take the last tokens back, as if they had never been appended.

        Raises:
            InputError: more than are held, or what they had displaced is gone.
        """

    def traffic(self) -> Traffic:
        """Bytes moved since it was asked for last, counted by the tensors that were read and written."""


class Policy(Protocol):
    """A member of `kv/policies`."""

    def store(self, layer: int) -> Store:
        """An empty one for a layer, counted from 0.

        Raises:
            MissingExtra: torch is not installed.
        """

    def held_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """Bytes that one KV head keeps of a sequence of so many tokens."""

    def read_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """Bytes that one KV head reads for one token, the last of so many."""


def at_least(least: int, **figures: int) -> None:
    """Refuse options that are too small.

    Raises:
        InputError: one is; it is named.
    """
    for name, had in figures.items():
        if had < least:
            raise InputError(f"a cache with {name} {had}", needed=f"at least {least}")
