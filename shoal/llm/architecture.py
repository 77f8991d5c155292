"""A language model as its configuration describes it, without its weights."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.llm.parts import Mixer, Product


@dataclass(frozen=True)
class Layer:
    """One layer: a mixer, a product or both, each with norms around it."""

    mixer: Mixer | None
    product: Product | None
    norms: int  # vectors of the model's width


@dataclass(frozen=True)
class Architecture:
    """All that size, cache and work of a model follow from."""

    kind: str  # "llama": the configuration's model_type
    vocabulary: int
    width: int
    layers: tuple[Layer, ...]
    context: int  # most tokens of a sequence
    tied: bool  # the matrix of the answers is that of the inputs

    @property
    def parameters(self) -> int:
        """All weights."""
        ends = self.vocabulary * self.width * (1 if self.tied else 2) + self.width
        return ends + sum(self._of_layer(layer) for layer in self.layers)

    @property
    def active_parameters(self) -> int:
        """The weights that one token meets: of experts those chosen; of the embedding all, as is the custom."""
        spared = (
            layer.product.parameters(self.width) - layer.product.active(self.width)
            for layer in self.layers
            if layer.product is not None
        )
        return self.parameters - sum(spared)

    def cache_bytes(self, tokens: int, value_bytes: float = 2) -> float:
        """What is kept of a sequence of so many tokens; two bytes are those of bfloat16."""
        values = sum(layer.mixer.cached(tokens) for layer in self.layers if layer.mixer is not None)
        return values * value_bytes

    def macs(self, seen: int) -> int:
        """Multiply-accumulates of one token that sees so many, itself included, and of the answer to it."""
        inside = sum(
            (layer.mixer.macs(self.width, seen) if layer.mixer else 0)
            + (layer.product.macs(self.width) if layer.product else 0)
            for layer in self.layers
        )
        return inside + self.vocabulary * self.width

    def _of_layer(self, layer: Layer) -> int:
        found = layer.norms * self.width
        found += layer.mixer.parameters(self.width) if layer.mixer else 0
        return found + (layer.product.parameters(self.width) if layer.product else 0)
