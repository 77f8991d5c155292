"""What a decoder's linear layers are: ternary, with or without a correction beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shoal.errors import InputError
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import nn

    from shoal.train.language._module import Attending
    from shoal.train.language.decoder import Decoder

Gate = Literal["scalar", "channel", "input"]
UNNORMED = ("o_proj", "down_proj")  # endings of layers of `Decoder` that have no RMSNorm in front of them


@dataclass(frozen=True)
class FloatProducts:
    """y = x·Wᵀ, each after an RMSNorm: what ternary products are held against."""

    normed: tuple[str, ...] = UNNORMED  # endings of layers that are to have an RMSNorm of their own

    def linear(self, outputs: int, inputs: int, name: str) -> nn.Module:
        """See `TernaryProducts.linear`."""
        layers = torch_module("shoal.train.ternary._layers")
        made: nn.Module = layers.NormedLinear(inputs, outputs, name.endswith(self.normed))
        return made


@dataclass(frozen=True)
class TernaryProducts:
    """y = x̂·Ŵᵀ + g·(x·A)·B, where Ŵ is ternary, x̂ in eight bits, and A·B of a low rank in float.

    `linear` is what `Decoder.module` asks for each layer.
    """

    rank: int = 0  # of the correction; 0: there is none
    gate: Gate = "scalar"  # g: one figure, one for each output, or σ(w·x + b)
    only: tuple[str, ...] = ()  # the layers that are corrected, by name; none said: all
    group: int = 0  # columns that share a scale of x̂; 0: all of a token
    start: float = 0.1  # g = tanh(θ): θ at the first step
    normed: tuple[str, ...] = UNNORMED  # endings of layers that are to have an RMSNorm of their own

    def linear(self, outputs: int, inputs: int, name: str) -> nn.Module:
        """The layer `name`, (…, inputs) to (…, outputs).

        Raises:
            InputError: the rank is above what the layer's sizes allow.
            MissingExtra: torch is not installed.
        """
        layers = torch_module("shoal.train.ternary._layers")
        normed = name.endswith(self.normed)
        made: nn.Module
        if not self.rank or (self.only and name not in self.only):
            made = layers.TernaryLinear(inputs, outputs, normed, self.group)
            return made
        if not 1 <= self.rank <= min(inputs, outputs):
            raise InputError("no correction of this rank", where=name, needed=f"1 to {min(inputs, outputs)}",
                             had=str(self.rank))  # fmt: skip
        gate = layers.OfInput(inputs) if self.gate == "input" else layers.Constant(
            1 if self.gate == "scalar" else outputs, self.start
        )  # fmt: skip
        made = layers.HybridLinear(inputs, outputs, normed, self.group, self.rank, gate, name)
        return made


def differential(decoder: Decoder, seed: int = 0) -> Attending:
    """Differential attention, for `built_decoder`; what it learns is drawn from this seed.

    Raises:
        InputError: heads whose width is no multiple of four.
        MissingExtra: torch is not installed.
    """
    made: Attending = torch_module("shoal.train.ternary._attention").Differential(decoder, seed)
    return made
