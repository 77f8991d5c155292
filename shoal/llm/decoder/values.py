"""What a decoder computes, beside its sizes: enough to write it down op by op."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shoal.errors import ModelError
from shoal.llm.architecture import Architecture
from shoal.llm.decoder.rotary import Rotary
from shoal.llm.parts import Attention, Dense


@dataclass(frozen=True)
class Decoder:
    """A decoder of grouped-query attention and gated products.

    Raises:
        ModelError: a layer is of another kind.
    """

    architecture: Architecture
    places: tuple[Rotary, ...]  # by layer
    epsilon: float  # of the norms
    scale: float  # of the products of queries and keys
    activation: Literal["silu", "gelu"] = "silu"  # gelu: by tanh
    sandwiched: bool = False  # attention and product have a norm behind them too
    raised: bool = False  # a norm's weight is what it scales by less one
    lifted: bool = False  # what is embedded is scaled by the root of the width

    def __post_init__(self) -> None:
        for at, layer in enumerate(self.architecture.layers):
            if not isinstance(layer.mixer, Attention) or not isinstance(layer.product, Dense):
                raise ModelError("a layer that cannot be written as ONNX", where=f"layer {at}",
                                 needed="attention and a gated product",
                                 had=f"{type(layer.mixer).__name__} and {type(layer.product).__name__}")  # fmt: skip

    @property
    def attentions(self) -> tuple[Attention, ...]:
        """Each layer's."""
        found = tuple(layer.mixer for layer in self.architecture.layers)
        return tuple(each for each in found if isinstance(each, Attention))

    def cache_shape(self, layer: int, rows: int, context: int) -> tuple[int, int, int, int]:
        """Of a layer's keys, and of its values: (sequences, heads of keys, places, width of one)."""
        attention = self.attentions[layer]
        return rows, attention.kv_heads, context, attention.head
