"""Shapes of public models with experts, and how many weights follow from each."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shoal import codec
from shoal.errors import InputError
from shoal.llm import Architecture, Attention, Dense, Experts, Latent, Layer

FILE = Path(__file__).with_name("shapes.toml")
ALLOWED = 0.03  # share of the published figure


@dataclass(frozen=True)
class Shape:
    """A row of the table; what its fields mean stands at the file's head. Totals are in milliards of weights."""

    name: str
    source: str
    total: float
    active: float
    layers: int
    width: int
    heads: int
    vocabulary: int
    experts: int
    chosen: int
    expert: int
    kv_heads: int = 0
    head: int = 0
    latent: tuple[int, int, int, int, int] | None = None
    shared: int = 0
    beside: int = 0
    dense_layers: int = 0
    dense: int = 0
    every: int = 1
    tied: bool = False
    loose: str = ""

    @cached_property
    def architecture(self) -> Architecture:
        """What the shape describes."""
        layers = [Layer(self._mixer(), self._product(at), norms=2) for at in range(self.layers)]
        return Architecture("shape", self.vocabulary, self.width, tuple(layers), 1 << 20, self.tied)

    @property
    def off(self) -> tuple[float, float]:
        """How far the recomputed total and active weights are from the published ones, as shares of these."""
        found = self.architecture
        return found.parameters / 1e9 / self.total - 1, found.active_parameters / 1e9 / self.active - 1

    @property
    def flagged(self) -> bool:
        """Whether one of them is off by more than is allowed."""
        return any(abs(each) > ALLOWED for each in self.off)

    def _mixer(self) -> Attention | Latent:
        if self.latent:
            return Latent(self.heads, *self.latent)
        return Attention(self.heads, self.kv_heads, self.head)

    def _product(self, at: int) -> Dense | Experts:
        if at < self.dense_layers or (at + 1) % self.every:
            return Dense(self.dense)
        return Experts(self.experts, self.chosen, self.expert, self.shared + self.beside)


def shapes(path: Path = FILE) -> tuple[Shape, ...]:
    """The rows of the table.

    Raises:
        InputError: the file is not such a table.
    """
    try:
        read = tomllib.loads(path.read_text())
    except (OSError, ValueError) as fault:
        raise InputError(f"cannot read the table of shapes: {fault}", where=str(path)) from fault
    return tuple(codec.convert(each, Shape) for each in read.get("model", ()))
