"""Training for short trees: what the channels of binary layers differ by along their trees, as a loss."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.tree import channel_tree
from shoal.errors import InputError
from shoal.train import binary_layers

if TYPE_CHECKING:
    from torch import Tensor, nn

Edges = tuple[NDArray[np.int64], NDArray[np.int64]]  # rows and their parents


@dataclass(eq=False)
class TreePenalty:
    """λ·Σ over layers of Σ over edges of d̃/(rows · columns), for `shoal.train.fit`.

    d̃ = ½·Σ|tanh(βw_c) − tanh(βw_p)|, with w in units of its layer's mean magnitude so that β means the same in all.
    It becomes the Hamming distance as β grows. Trees are found anew from the signs every so many steps.
    """

    strength: float  # λ
    steps: int  # of training, over which β grows
    first: float = 1.0  # β at the beginning
    last: float = 10.0  # β at the end
    every: int = 100  # steps between trees
    _edges: dict[str, Edges] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.strength < 0 or self.steps < 1 or self.every < 1 or min(self.first, self.last) <= 0:
            raise InputError("no penalty", needed="a strength from 0, steps from 1 and β above 0")

    def __call__(self, model: nn.Module, step: int) -> Tensor | None:
        """What is added to the loss of this step."""
        if not self.strength:
            return None
        layers: dict[str, Any] = binary_layers(model)
        if not layers:
            raise InputError("the network has no binary layer")
        if step % self.every == 0:
            self._edges = {name: _edges(layer) for name, layer in layers.items()}
        beta = self.first + (self.last - self.first) * step / self.steps
        parts = [_soft(layer.weight, *self._edges[name], beta) for name, layer in layers.items()]
        total: Tensor = sum(parts[1:], parts[0])
        return self.strength * total


def sign_rows(layer: Any) -> NDArray[np.int8]:
    """(rows, columns): what each output of a binary layer sums over, by the signs of its stored weights."""
    was = layer.training
    signs = layer.eval().signs().detach().flatten(1).numpy()
    layer.train(was)
    return np.asarray(signs, np.int8)


def start_alike(model: nn.Module, rate: float, seed: int = 0) -> None:
    """Begin with channels that are one random pattern with a share of its signs turned; magnitudes stay.

    Raises:
        InputError: a share out of range.
    """
    if not 0 <= rate <= 1:
        raise InputError("no share of signs", needed="0 to 1", had=f"{rate:g}")
    from shoal.train.library import torch_module

    torch, source = torch_module(), np.random.default_rng(seed)
    layers: dict[str, Any] = binary_layers(model)
    for layer in layers.values():
        shape = tuple(layer.weight.shape)
        common = np.where(source.random(shape[1:]) < 0.5, -1, 1)
        signs = np.where(source.random(shape) < rate, -common, common).astype(np.float32)
        with torch.no_grad():
            layer.weight.copy_(layer.weight.abs() * torch.from_numpy(signs))


def _edges(layer: Any) -> Edges:
    parent = channel_tree(sign_rows(layer)).parent.astype(np.int64)
    rows = np.flatnonzero(parent >= 0)
    return rows, parent[rows]


def _soft(weight: Tensor, rows: NDArray[np.int64], above: NDArray[np.int64], beta: float) -> Tensor:
    """The sum of soft distances of a layer, over all its signs."""
    flat = weight.flatten(1)
    soft = (beta * flat / flat.detach().abs().mean().clamp_min(1e-12)).tanh()
    found: Tensor = 0.5 * (soft[rows] - soft[above]).abs().sum() / flat.numel()
    return found
