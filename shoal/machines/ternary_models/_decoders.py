"""Sizes of ternary decoders: their matrices, and which of them wait for others."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.errors import InputError


@dataclass(frozen=True)
class Matrix:
    """One ternary matrix of a layer."""

    name: str
    inputs: int
    outputs: int

    @property
    def weights(self) -> int:
        """How many."""
        return self.inputs * self.outputs


@dataclass(frozen=True)
class TernaryDecoder:
    """Every layer mixes tokens with four square matrices and then has a gated product of three.

    Raises:
        InputError: a size below one, or heads that do not divide the width.
    """

    name: str
    width: int
    layers: int
    hidden: int
    vocabulary: int
    heads: int = 0  # of attention; 0: tokens are mixed by a gated recurrence without products of its own
    tied: bool = False  # the head is the embedding

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.hidden, self.vocabulary) < 1 or self.heads < 0:
            raise InputError("a decoder without width, layers or vocabulary", where=self.name)
        if self.heads and self.width % self.heads:
            raise InputError("heads do not divide the width", where=self.name, needed=f"a divisor of {self.width}",
                             had=str(self.heads))  # fmt: skip

    @property
    def mixing(self) -> tuple[Matrix, ...]:
        """The first products of a layer, of one vector: queries, keys and values; or two gates and a candidate."""
        names = ("q", "k", "v") if self.heads else ("f", "c", "g")
        return tuple(Matrix(name, self.width, self.width) for name in names)

    @property
    def mixed(self) -> tuple[Matrix, ...]:
        """The product behind the mixing."""
        return (Matrix("o", self.width, self.width),)

    @property
    def gated(self) -> tuple[Matrix, ...]:
        """Gate and up, of one vector."""
        return Matrix("gate", self.width, self.hidden), Matrix("up", self.width, self.hidden)

    @property
    def closing(self) -> tuple[Matrix, ...]:
        """Down, which needs all of them."""
        return (Matrix("down", self.hidden, self.width),)

    @property
    def groups(self) -> tuple[tuple[Matrix, ...], ...]:
        """Products of a layer; those of a group need the same vector, and the next group needs all of it."""
        return self.mixing, self.mixed, self.gated, self.closing

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """Of a layer."""
        return tuple(each for group in self.groups for each in group)

    @property
    def ternary_weights(self) -> int:
        """Of all layers: embedding and head are not ternary."""
        return self.layers * sum(each.weights for each in self.matrices)

    @property
    def head_weights(self) -> int:
        """Of the last product."""
        return self.vocabulary * self.width

    @property
    def ends_weights(self) -> int:
        """Of embedding and head."""
        return self.head_weights * (1 if self.tied else 2)


# Widths of the published MatMul-free models (arXiv 2406.02528); layers and hidden sizes that give their weights.
MATMUL_FREE_370M = TernaryDecoder("MatMul-free 370M", 1024, 24, 2816, 32_000)
MATMUL_FREE_2700M = TernaryDecoder("MatMul-free 2.7B", 2560, 32, 6912, 32_000)
BITNET_700M = TernaryDecoder("BitNet 0.7B", 1536, 24, 4096, 32_000, heads=24, tied=True)
