"""A compressed decoder as a module of torch that computes with what is stored, decoded to float32; needs torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shoal.study._elutq_text import Logits
from shoal.train.language import Decoder, built_decoder, runner

F32 = NDArray[np.float32]


class Stored(nn.Module):
    """x·Wᵀ of decoded weights; activations as they are, or in int8 with a scale for each group of columns."""

    def __init__(self, matrix: F32, group: int) -> None:
        super().__init__()
        self.matrix, self.group = torch.from_numpy(matrix), group

    def forward(self, x: Tensor) -> Tensor:
        """Over the last axis."""
        found: Tensor = (self._rounded(x) if self.group else x) @ self.matrix.T
        return found

    def _rounded(self, x: Tensor) -> Tensor:
        """As the kernels take them."""
        parts = x.reshape(*x.shape[:-1], -1, self.group)
        most = parts.abs().amax(-1, keepdim=True)
        codes = torch.round(parts * torch.where(most > 0, 127 / most, 0))
        return (codes * (most / 127)).flatten(-2)


def fake(decoder: Decoder, weights: Mapping[str, F32], stored: Mapping[str, F32], group: int) -> Logits:
    """The decoder with these matrices, by layer, in place of its own.

    Args:
        decoder: its sizes.
        weights: of the decoder as it was trained.
        stored: (outputs, inputs) of each product, decoded.
        group: columns that share an activation scale; 0: activations stay in float32.
    """
    made = built_decoder(decoder, linear=lambda outputs, inputs, name: Stored(stored[name], group))
    own = made.state_dict()
    made.load_state_dict({name: torch.from_numpy(weights[name]) for name in own})
    return runner(made)
