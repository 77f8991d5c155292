"""Trained ternary layers as they are stored: packed codes, and the correction in float16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import formats
from shoal.formats import Coded, Format
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import nn

Half = NDArray[np.float16]
PACKED = "tern5x8t"  # five weights in a byte, one scale for the matrix
LEAST_GATE = 0.02  # corrections whose gates are all smaller are left out


@dataclass(frozen=True, eq=False)
class InputGate:
    """σ(w·RMSNorm(x) + b)."""

    weight: Half  # (inputs,)
    bias: float


@dataclass(frozen=True, eq=False)
class Side:
    """(x·A)·B; a gate that does not depend on x is in B already."""

    a: Half  # (inputs, rank)
    b: Half  # (rank, outputs)
    gate: InputGate | None = None

    @property
    def bytes(self) -> int:
        """What it takes."""
        return self.a.nbytes + self.b.nbytes + (0 if self.gate is None else self.gate.weight.nbytes + 2)


@dataclass(frozen=True, eq=False)
class Stored:
    """One layer."""

    format: str
    coded: Coded  # (outputs, inputs)
    normed: bool  # x goes through an RMSNorm of this layer's own
    side: Side | None = None

    @property
    def form(self) -> Format:
        """The format of the ternary part."""
        return formats.make(self.format)

    @property
    def bytes(self) -> int:
        """What it takes, packed."""
        rows, columns = self.coded.codes.shape
        return self.form.stored_bits((rows, columns)) // 8 + (0 if self.side is None else self.side.bytes)

    def composed(self) -> tuple[str, Coded]:
        """Both parts as one matrix in one format, for engines that know of no correction, if no gate sees x."""
        if self.side is None or self.side.gate is not None:
            return self.format, self.coded
        sides = {"left": self.side.b.T, "right": self.side.a.T}
        params = {**self.coded.params, **{name: each.astype(np.float32) for name, each in sides.items()}}
        return f"{self.format}+lowrank:rank={self.side.a.shape[1]}", Coded(self.coded.codes, params)


def stored_layers(model: nn.Module, packed: str = PACKED, least_gate: float = LEAST_GATE) -> dict[str, Stored]:
    """The ternary layers of a network by their names in it.

    Args:
        model: trained.
        packed: a ternary format with one scale: "tern2t", "tern3x5t" or "tern5x8t".
        least_gate: a correction whose gates are smaller is left out, unless they depend on x.
    """
    kind = torch_module("shoal.train.ternary._layers").TernaryLinear
    return {
        name: _stored(module, packed, least_gate)
        for name, module in model.named_modules()
        if isinstance(module, kind)
    }


def normed_layers(model: nn.Module) -> tuple[str, ...]:
    """The float layers with an RMSNorm of their own."""
    layers = torch_module("shoal.train.ternary._layers")
    return tuple(
        name
        for name, module in model.named_modules()
        if isinstance(module, layers.NormedLinear)
        and not isinstance(module, layers.TernaryLinear)
        and module.normed
    )


def _stored(layer: Any, packed: str, least_gate: float) -> Stored:
    codes, scale = torch_module("shoal.train.ternary._layers").trits(layer.weight)
    coded = Coded((codes + 1).numpy().astype(np.uint8), {"scales": scale.numpy().reshape(1, 1)})
    return Stored(packed, coded, layer.normed, _side(layer, least_gate) if hasattr(layer, "gate") else None)


def _side(layer: Any, least_gate: float) -> Side | None:
    a, b = (each.detach().numpy() for each in (layer.side_in, layer.side_out))
    if hasattr(layer.gate, "bias"):
        weight = layer.gate.weight.detach().numpy().astype(np.float16)
        return Side(a.astype(np.float16), b.astype(np.float16), InputGate(weight, layer.gate.bias.item()))
    opened = np.tanh(layer.gate.theta.detach().numpy())
    if np.abs(opened).max() < least_gate:
        return None
    return Side(a.astype(np.float16), (b * opened).astype(np.float16))
