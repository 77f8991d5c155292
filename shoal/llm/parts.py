"""What layers of language models are made of: their weights, what they keep of a sequence, what a token costs.

Counts are exact, norms and biases included; multiply-accumulates are those of the matrices and of attention itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shoal.errors import InputError


class Mixer(Protocol):
    """What lets a token see others."""

    def parameters(self, width: int) -> int:
        """All its weights."""

    def cached(self, tokens: int) -> int:
        """Values kept of a sequence of so many tokens."""

    def macs(self, width: int, seen: int) -> int:
        """Multiply-accumulates of one token that sees so many, itself included."""


class Product(Protocol):
    """What each token goes through by itself."""

    def parameters(self, width: int) -> int:
        """All its weights."""

    def active(self, width: int) -> int:
        """The weights that one token meets."""

    def macs(self, width: int) -> int:
        """Multiply-accumulates of one token."""


@dataclass(frozen=True)
class Attention:
    """Queries of many heads on keys and values of fewer: multi-head, grouped-query and multi-query attention."""

    heads: int
    kv_heads: int
    head: int  # width of one
    window: int = 0  # tokens that are seen, the token itself included; 0: all
    biased: bool = False  # queries, keys and values
    normed: bool = False  # a norm of each query and key

    def __post_init__(self) -> None:
        if self.kv_heads < 1 or self.heads % self.kv_heads:
            raise InputError("heads that do not share keys and values evenly",
                             had=f"{self.heads} heads, {self.kv_heads} of keys")  # fmt: skip

    def parameters(self, width: int) -> int:
        """See `Mixer`."""
        out = (self.heads + 2 * self.kv_heads) * self.head
        return self._matrices(width) + out * self.biased + 2 * self.head * self.normed

    def cached(self, tokens: int) -> int:
        """Keys and values."""
        return 2 * self.kv_heads * self.head * (min(tokens, self.window) if self.window else tokens)

    def macs(self, width: int, seen: int) -> int:
        """See `Mixer`."""
        seen = min(seen, self.window) if self.window else seen
        return self._matrices(width) + 2 * self.heads * self.head * seen

    def _matrices(self, width: int) -> int:
        return 2 * width * (self.heads + self.kv_heads) * self.head


@dataclass(frozen=True)
class Latent:
    """Multi-head latent attention: keys and values of all heads come from one short vector a token, which is what is kept.

    [DeepSeek-AI, "DeepSeek-V2", 2024]
    """

    heads: int
    query_rank: int  # of the queries' own short vector; 0: none
    rank: int  # of what keys and values come from
    plain: int  # width of a head's query and key without places
    rotary: int  # with places; its key is the same for all heads
    value: int  # width of a head's value

    def parameters(self, width: int) -> int:
        """See `Mixer`."""
        return self._matrices(width) + self.rank + self.query_rank

    def cached(self, tokens: int) -> int:
        """The short vector, and the key with places."""
        return (self.rank + self.rotary) * tokens

    def macs(self, width: int, seen: int) -> int:
        """With keys and values expanded, as in prefill."""
        return self._matrices(width) + self.heads * (self.plain + self.rotary + self.value) * seen

    def absorbed(self, width: int, seen: int) -> int:
        """With queries and sums of values in the short vectors' own space, as in decode: nothing is expanded."""
        return self._matrices(width) + self.heads * (2 * self.rank + self.rotary) * seen

    def _matrices(self, width: int) -> int:
        asked = self.heads * (self.plain + self.rotary)
        queries = self.query_rank * (width + asked) if self.query_rank else width * asked
        expanded = self.rank * self.heads * (self.plain + self.value)
        return queries + width * (self.rank + self.rotary) + expanded + self.heads * self.value * width


@dataclass(frozen=True)
class Scan:
    """A state-space layer of Mamba-2: a state of one size, however long the sequence.

    [Dao and Gu, "Transformers are SSMs", 2024]
    """

    heads: int
    head: int  # width of one
    state: int  # of each channel
    groups: int = 1  # of heads that share what writes and reads the state
    kernel: int = 4  # tokens of the convolution before it
    conv_biased: bool = True
    biased: bool = False  # the matrices at both ends

    def parameters(self, width: int) -> int:
        """See `Mixer`."""
        convolved = self._convolved * (self.kernel + self.conv_biased)
        biases = (self._projected + width) * self.biased
        return self._matrices(width) + convolved + 3 * self.heads + self._inner + biases

    def cached(self, tokens: int) -> int:
        """The state, and the tokens that the convolution still sees: whatever `tokens` is."""
        return self._inner * self.state + self._convolved * self.kernel

    def macs(self, width: int, seen: int) -> int:
        """The state is scaled, written and read once a token."""
        return self._matrices(width) + self._convolved * self.kernel + 3 * self._inner * self.state

    @property
    def _inner(self) -> int:
        return self.heads * self.head

    @property
    def _convolved(self) -> int:
        return self._inner + 2 * self.groups * self.state

    @property
    def _projected(self) -> int:
        return self._inner + self._convolved + self.heads

    def _matrices(self, width: int) -> int:
        return width * (self._projected + self._inner)


@dataclass(frozen=True)
class Recurrence:
    """A gated recurrence, channel by channel: three matrices make its gates and what it takes in, one reads it.

    [Zhu et al., "Scalable MatMul-free Language Modeling", arXiv 2406.02528]
    """

    channels: int

    def parameters(self, width: int) -> int:
        """See `Mixer`."""
        return 4 * width * self.channels

    def cached(self, tokens: int) -> int:
        """A value for each channel, whatever `tokens` is."""
        return self.channels

    def macs(self, width: int, seen: int) -> int:
        """Of the matrices alone."""
        return self.parameters(width)


@dataclass(frozen=True)
class Dense:
    """A gated product: two matrices in, one out."""

    hidden: int

    def parameters(self, width: int) -> int:
        """See `Product`."""
        return 3 * width * self.hidden

    active = parameters
    macs = parameters


@dataclass(frozen=True)
class Experts:
    """Gated products of which a router chooses a few for each token; shared ones are for all."""

    count: int
    chosen: int
    hidden: int  # of one
    shared: int = 0  # hidden width of those that every token meets, together
    corrected: bool = False  # the router has a figure for each expert that balances the choice

    def __post_init__(self) -> None:
        if not 1 <= self.chosen <= self.count:
            raise InputError(
                "more experts a token than there are", needed=f"1 to {self.count}", had=str(self.chosen)
            )

    def parameters(self, width: int) -> int:
        """See `Product`."""
        return self._met(width, self.count) + self.count * self.corrected

    def active(self, width: int) -> int:
        """See `Product`."""
        return self._met(width, self.chosen) + self.count * self.corrected

    def macs(self, width: int) -> int:
        """See `Product`."""
        return self._met(width, self.chosen)

    def _met(self, width: int, experts: int) -> int:
        return 3 * width * (experts * self.hidden + self.shared) + width * self.count
