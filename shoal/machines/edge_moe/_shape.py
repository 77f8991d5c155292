"""The sizes of a vision transformer with experts and a gate for each task (M³ViT), and the names of its weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.errors import InputError


@dataclass(frozen=True)
class Shape:
    """Layers with an odd number have experts, the others one perceptron. Defaults are those of the published network.

    Raises:
        InputError: more experts for a token than there are, or heads that do not divide the features.
    """

    patches: int = 128  # of an image, beside the token of its class
    patch_features: int = 768
    width: int = 192
    heads: int = 3
    layers: int = 12
    hidden: int = 768  # of a perceptron
    experts: int = 16
    chosen: int = 2  # of a token
    expert_hidden: int = 384

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise InputError(f"a network with {name} {value}", where="edge_moe", needed="at least 1")
        if self.chosen > self.experts:
            raise InputError("a token has more experts than there are", where="edge_moe", needed=f"at most {self.experts}",
                             had=str(self.chosen))  # fmt: skip
        if self.width % self.heads:
            raise InputError("heads that do not divide the features", where="edge_moe",
                             had=f"{self.heads} heads, {self.width} features")  # fmt: skip

    @property
    def tokens(self) -> int:
        """Patches and the class."""
        return self.patches + 1

    @property
    def head(self) -> int:
        """Features of a head."""
        return self.width // self.heads

    @property
    def expert_weights(self) -> int:
        """Of one expert, without biases."""
        return 2 * self.width * self.expert_hidden

    def has_experts(self, layer: int) -> bool:
        """Whether a layer has experts."""
        return layer % 2 == 1

    def perceptron_macs(self, *, all_experts: bool = False) -> int:
        """Multiply-adds of an image in perceptrons and experts: those chosen, or as if every token went to all."""
        each = self.experts if all_experts else self.chosen
        pairs = (self.layers // 2) * each * self.expert_weights
        return self.tokens * (pairs + (self.layers - self.layers // 2) * 2 * self.width * self.hidden)

    def macs(self, *, all_experts: bool = False) -> int:
        """Multiply-adds of an image, gates and heads of tasks left out."""
        of_layer = 4 * self.width**2 * self.tokens + 2 * self.tokens**2 * self.width
        embedded = self.patches * self.patch_features * self.width
        return embedded + self.layers * of_layer + self.perceptron_macs(all_experts=all_experts)

    def of_layers(self) -> Iterator[tuple[str, bool]]:
        """Name and kind of each."""
        for layer in range(self.layers):
            yield f"blocks.{layer}", self.has_experts(layer)
