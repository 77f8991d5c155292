"""Decoder blocks in numpy that go along a text token by token, and try branches after it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shoal.llm.drafting.tree import F32
from shoal.train.language import Decoder

UNSEEN = np.float32(-1e9)
LOW = np.float32(-80)  # where a sigmoid is zero, before its exponential overflows
ROOM = 256  # tokens that room is made for at first


class Blocks:
    """Blocks as in `shoal.train.language`, with the keys and values of what they have been shown."""

    def __init__(self, weights: Mapping[str, F32], shape: Decoder) -> None:
        """Weights by the names of `Decoder.shapes`; the embedding and the last norm are not looked at."""
        self._shape = shape
        self._layers = [_Layer(weights, at) for at in range(shape.layers)]
        self._room(ROOM)
        self.length = 0

    def run(self, x: F32, places: NDArray[np.intp], seen: NDArray[np.bool_]) -> F32:
        """Show them more.

        Args:
            x: (m, width).
            places: (m,) in the text.
            seen: (m, length + m): what each attends to, of what was shown before and of these.
        """
        end = self.length + len(x)
        if end > self._keys.shape[2]:
            self._room(2 * end)
        hidden = np.where(seen, np.float32(0), UNSEEN)
        cos, sin = self._cos[places], self._sin[places]
        for at, layer in enumerate(self._layers):
            x = x + self._attended(at, layer, x, cos, sin, hidden)
            x = x + layer.gated(normed(x, layer.second, self._shape.epsilon))
        self.length = end
        return x

    def forget(self, length: int) -> None:
        """All but the first so many tokens."""
        self.length = min(self.length, length)

    def _attended(self, at: int, layer: _Layer, x: F32, cos: F32, sin: F32, hidden: F32) -> F32:
        count, heads, head = len(x), self._shape.heads, self._shape.head
        mixed = normed(x, layer.first, self._shape.epsilon) @ layer.qkv
        q, k, v = mixed.reshape(count, 3, heads, head).transpose(1, 2, 0, 3)
        end = self.length + count
        self._keys[at, :, self.length : end] = _turned(k, cos, sin)
        self._values[at, :, self.length : end] = v
        scores = _turned(q, cos, sin) @ self._keys[at, :, :end].swapaxes(1, 2) * np.float32(head**-0.5) + hidden
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        found: F32 = (shares @ self._values[at, :, :end]).swapaxes(0, 1).reshape(count, -1) @ layer.out
        return found

    def _room(self, tokens: int) -> None:
        """Keys, values and rotations for so many; what was there stays."""
        shape = self._shape
        self._cos, self._sin = shape.rotations(tokens)
        size = (shape.layers, shape.heads, tokens, shape.head)
        before = getattr(self, "_keys", None), getattr(self, "_values", None)
        self._keys, self._values = np.zeros(size, np.float32), np.zeros(size, np.float32)
        for old, new in zip(before, (self._keys, self._values), strict=True):
            if old is not None:
                new[:, :, : old.shape[2]] = old


class _Layer:
    """The matrices of one block, turned so that rows are multiplied with them."""

    def __init__(self, weights: Mapping[str, F32], at: int) -> None:
        def matrix(*names: str) -> F32:
            found = np.concatenate([weights[f"layers.{at}.{name}_proj.weight"] for name in names])
            return np.ascontiguousarray(found.T, np.float32)

        self.qkv = matrix("self_attn.q", "self_attn.k", "self_attn.v")
        self.out, self.down = matrix("self_attn.o"), matrix("mlp.down")
        self.gate_up = matrix("mlp.gate", "mlp.up")
        self.first = weights[f"layers.{at}.input_layernorm.weight"].astype(np.float32)
        self.second = weights[f"layers.{at}.post_attention_layernorm.weight"].astype(np.float32)

    def gated(self, x: F32) -> F32:
        """SwiGLU."""
        gate, up = np.split(x @ self.gate_up, 2, axis=-1)
        found: F32 = (gate * sigmoid(gate) * up) @ self.down
        return found


def normed(x: F32, weight: F32, epsilon: float) -> F32:
    """RMSNorm."""
    return np.asarray(
        x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(epsilon)) * weight, np.float32
    )


def sigmoid(x: F32) -> F32:
    """1 / (1 + e⁻ˣ)."""
    return np.asarray(1 / (1 + np.exp(-np.maximum(x, LOW))), np.float32)


def _turned(x: F32, cos: F32, sin: F32) -> F32:
    """Rotary places: see `Decoder.rotations`."""
    half = x.shape[-1] // 2
    return np.asarray(x * cos + np.concatenate([-x[..., half:], x[..., :half]], axis=-1) * sin, np.float32)
