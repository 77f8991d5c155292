"""A drafting head as a module of torch, with the target whose features it learns."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from shoal.train.language import Decoder
from shoal.train.language._module import Stack

Fusion = Literal["gate", "linear"]
NOISE = 0.2  # of the features that are read, for texts of 512
NOISE_TOKENS = 512
CROSS_ENTROPY = 0.1  # its weight beside that of the features


class Head(Stack):
    """Features (batch, n, width) and the tokens after them → the next features."""

    def __init__(self, shape: Decoder, fusion: Fusion, embedding: Tensor) -> None:
        super().__init__()
        self.shape, width = shape, shape.width
        self.embed_tokens = nn.Embedding(shape.vocabulary, width, _weight=embedding.clone(), _freeze=True)
        if fusion == "gate":
            self.feature, self.token, self.gate = (
                nn.Linear(inputs, width, bias=False) for inputs in (width, width, 2 * width)
            )
        else:
            self.fuse = nn.Linear(2 * width, width, bias=False)
        self.stack(shape)
        self.begin_small()

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """See the class."""
        e = self.embed_tokens(tokens)
        e = e * torch.rsqrt(e.pow(2).mean(-1, keepdim=True) + self.shape.epsilon)
        return self.through(self._fused(features, e))

    def _fused(self, f: Tensor, e: Tensor) -> Tensor:
        if hasattr(self, "fuse"):
            found: Tensor = self.fuse(torch.cat([f, e], -1))
            return found
        feature, token = self.feature(f), nn.functional.silu(self.token(e))
        gate = torch.sigmoid(self.gate(torch.cat([feature, token], -1)))
        mixed: Tensor = gate * feature + (1 - gate) * token
        return mixed


class Lesson(nn.Module):
    """A head beside its target: (batch, n) tokens → features foreseen, features that came, and logits of both."""

    def __init__(self, target: Any, head: Head) -> None:
        super().__init__()
        self.head = head
        self._target = [target.requires_grad_(False)]  # in a list, for its weights are not the lesson's
        self.noise = NOISE * NOISE_TOKENS / head.shape.context

    def forward(self, symbols: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of all tokens but the first."""
        target = self._target[0]
        with torch.no_grad():
            features = target.base_model(input_ids=symbols).last_hidden_state
            wanted = features[:, 1:]
            heard = features[:, :-1]
            heard = heard + (torch.rand_like(heard) - 0.5) * self.noise
        found = self.head(heard, symbols[:, 1:])
        matrix = target.get_output_embeddings().weight
        return found, wanted, found @ matrix.T, wanted @ matrix.T


def distance(answers: tuple[Tensor, Tensor, Tensor, Tensor], _: Tensor) -> Tensor:
    """SmoothL1 of the features, and a tenth of the cross-entropy of what follows from them (Dovetail's code)."""
    found, wanted, logits, teacher = answers
    near = nn.functional.smooth_l1_loss(found, wanted)
    surprise = -(teacher.softmax(-1) * logits.log_softmax(-1)).sum(-1).mean()
    return near + CROSS_ENTROPY * surprise
