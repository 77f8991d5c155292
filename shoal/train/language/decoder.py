"""What a small decoder for text is made of: sizes, and what follows from them alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Decoder:
    """A transformer of Llama's kind that reads bytes and foresees the next one.

    RMSNorm before attention and before the gated product, rotary places, no biases, one matrix for both ends.
    [Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023] Parameters bear the names that
    they have in Hugging Face's `LlamaForCausalLM`.

    Raises:
        InputError: sizes that do not fit each other.
    """

    width: int = 192  # of what goes from layer to layer
    layers: int = 4
    heads: int = 6  # that divide the width into even parts
    hidden: int = 512  # of the gated product
    context: int = 128  # bytes that it was trained to see
    vocabulary: int = 256
    theta: float = 10_000.0  # of the rotary places
    epsilon: float = 1e-5  # of the norms

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "hidden", "context", "vocabulary"):
            if getattr(self, name) < 1:
                raise InputError(f"a decoder with {name} {getattr(self, name)}", needed="at least 1")
        if self.width % (2 * self.heads):
            raise InputError("heads that do not divide the width into even parts",
                             had=f"{self.heads} and {self.width}")  # fmt: skip

    @property
    def head(self) -> int:
        """The width of one head."""
        return self.width // self.heads

    def products(self) -> Iterator[tuple[str, int, int]]:
        """Every matrix but the embedding: its layer's name, outputs, inputs."""
        for at in range(self.layers):
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                yield f"layers.{at}.self_attn.{name}", self.width, self.width
            for name in ("gate_proj", "up_proj"):
                yield f"layers.{at}.mlp.{name}", self.hidden, self.width
            yield f"layers.{at}.mlp.down_proj", self.width, self.hidden

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter, by its name."""
        found: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (self.vocabulary, self.width)}
        found |= {f"{name}.weight": (outputs, inputs) for name, outputs, inputs in self.products()}
        for at in range(self.layers):
            found |= {f"layers.{at}.{name}_layernorm.weight": (self.width,) for name in ("input", "post_attention")}
        return found | {"norm.weight": (self.width,)}

    def rotations(self, places: int) -> tuple[F32, F32]:
        """Cosines and sines, each (places, width of a head): of the angle that a place turns a pair of channels by.

        Channel i is paired with channel i + half.
        """
        speeds = self.theta ** -(np.arange(0, self.head, 2) / self.head)
        angles = np.arange(places)[:, None] * np.concatenate([speeds, speeds])[None]
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
