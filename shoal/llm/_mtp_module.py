"""The module that foresees the second token, in torch, and the model in front of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from shoal.train.language import Decoder
from shoal.train.language._module import Norm, Stack, plain


class Foresight(Stack):
    """The model's features (batch, n, width) and the tokens after them → logits of the tokens after those.

    Feature and embedding are normed, joined by one matrix, go through blocks of its own and the model's head.
    """

    def __init__(self, shape: Decoder, embedding: Tensor, head: Tensor) -> None:
        super().__init__()
        self.shape, width = shape, shape.width
        self._shared = [embedding, head]  # in a list, for they are the model's
        self.feature_norm, self.token_norm, self.norm = (Norm(width, shape.epsilon) for _ in range(3))
        self.join = plain(width, 2 * width, "join")
        self.stack(shape)
        self.begin_small()

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """See the class; at most `context` places."""
        embedding, head = self._shared
        x = self.join(torch.cat([self.feature_norm(features), self.token_norm(embedding[tokens])], dim=-1))
        found: Tensor = self.norm(self.through(x)) @ head.T
        return found


class Lesson(nn.Module):
    """The module behind its model, which does not change: (batch, n) tokens → logits of all but the first two."""

    def __init__(self, model: Any, foresight: Foresight) -> None:
        super().__init__()
        self.foresight = foresight
        self._model = [model]  # in a list, for its weights are not the lesson's

    def forward(self, symbols: Tensor) -> Tensor:
        """(batch, n − 1, vocabulary): at i what follows token i + 1."""
        with torch.no_grad():
            features = self._model[0].base_model(input_ids=symbols, use_cache=False).last_hidden_state
        found: Tensor = self.foresight(features[:, :-1], symbols[:, 1:])
        return found
