"""The decoder as a module of torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from shoal.train.language.decoder import Decoder

Linear = Callable[[int, int, str], nn.Module]  # outputs, inputs, name of the layer → what multiplies
Attending = Callable[[Tensor, Tensor, Tensor, int], Tensor]  # see `attend`
SPREAD = 0.02  # of the embedding at first


def plain(outputs: int, inputs: int, name: str) -> nn.Module:
    """A matrix without a bias."""
    return nn.Linear(inputs, outputs, bias=False)


def attend(q: Tensor, k: Tensor, v: Tensor, layer: int) -> Tensor:
    """Causal attention of (batch, heads, places, width of a head) each."""
    return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


class Norm(nn.Module):
    """RMSNorm."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(width)), epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon)


class Attention(nn.Module):
    """Self-attention of one layer."""

    def __init__(self, shape: Decoder, layer: int, linear: Linear, attending: Attending) -> None:
        super().__init__()
        self.heads, self.layer, self.attending = shape.heads, layer, attending
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            linear(shape.width, shape.width, f"layers.{layer}.self_attn.{name}_proj") for name in "qkvo"
        )

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Of (batch, places, width)."""
        q, k, v = (self._divided(product(x)) for product in (self.q_proj, self.k_proj, self.v_proj))
        mixed = self.attending(turned(q, cos, sin), turned(k, cos, sin), v, self.layer)
        found: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(x.shape))
        return found

    def _divided(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Gated(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Decoder, layer: int, linear: Linear) -> None:
        super().__init__()
        self.gate_proj = linear(shape.hidden, shape.width, f"layers.{layer}.mlp.gate_proj")
        self.up_proj = linear(shape.hidden, shape.width, f"layers.{layer}.mlp.up_proj")
        self.down_proj = linear(shape.width, shape.hidden, f"layers.{layer}.mlp.down_proj")

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        found: Tensor = self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return found


class Block(nn.Module):
    """One layer."""

    def __init__(self, shape: Decoder, layer: int, linear: Linear, attending: Attending) -> None:
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = (Norm(shape.width, shape.epsilon) for _ in range(2))
        self.self_attn, self.mlp = Attention(shape, layer, linear, attending), Gated(shape, layer, linear)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Of the same shape."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        found: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return found


class Stack(nn.Module):
    """Blocks one after another, with the tables of their places; who has them adds what stands before and behind."""

    layers: nn.ModuleList
    cos: Tensor
    sin: Tensor

    def stack(self, shape: Decoder, linear: Linear = plain, attending: Attending = attend) -> None:
        """Make them."""
        self.layers = nn.ModuleList(Block(shape, at, linear, attending) for at in range(shape.layers))
        for name, table in zip(("cos", "sin"), shape.rotations(shape.context), strict=True):
            self.register_buffer(name, torch.from_numpy(table), persistent=False)

    def begin_small(self) -> None:
        """Let every block begin by changing little."""
        for block in self.layers:
            for name in ("self_attn.o_proj", "mlp.down_proj"):
                matrix = block.get_submodule(name).weight
                assert isinstance(matrix, nn.Parameter)
                nn.init.normal_(matrix, std=SPREAD)

    def through(self, x: Tensor) -> Tensor:
        """(batch, places, width), at most `context` places, of the same shape."""
        for block in self.layers:
            x = block(x, self.cos[: x.shape[1]], self.sin[: x.shape[1]])
        return x


class Language(Stack):
    """(batch, places) symbols → (batch, places, vocabulary) logits of what follows each."""

    def __init__(self, shape: Decoder, linear: Linear = plain, attending: Attending = attend) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.stack(shape, linear, attending)
        self.norm = Norm(shape.width, shape.epsilon)
        nn.init.normal_(self.embed_tokens.weight, std=SPREAD)
        for name, _, inputs in shape.products():
            matrix = getattr(self.get_submodule(name), "weight", None)
            if isinstance(matrix, nn.Parameter):  # what adds to the stream begins small, the deeper the network
                ends = name.endswith(("o_proj", "down_proj"))
                nn.init.normal_(matrix, std=1 / math.sqrt(inputs * (2 * shape.layers if ends else 1)))

    def forward(self, symbols: Tensor) -> Tensor:
        """Logits; at most `context` places."""
        x = self.through(self.embed_tokens(symbols))
        logits: Tensor = self.norm(x) @ self.embed_tokens.weight.T
        return logits


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary places: each pair of channels turned by its place's angle."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
