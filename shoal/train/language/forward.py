"""A decoder in numpy, in which whatever is read can be rounded and tokens can be dropped on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.train.language.decoder import F32, Decoder

I64 = NDArray[np.int64]
Kind = Literal[
    "normed", "read", "headed", "shares"
]  # read by a norm, by products; queries, keys, values; of a softmax
Touch = Callable[
    [Kind, str, F32], F32
]  # what it is, its name, its values (n, places, channels) → what is left of them
Product = Callable[[str, F32], F32]  # the layer's name, x (places, inputs) → (places, outputs)
Kept = Callable[
    [int, F32], "NDArray[np.intp] | None"
]  # layer, shares (n, heads, places, places) → places that stay
UNSEEN = np.float32(-1e9)  # the score of what a place must not see
LOW = np.float32(-80)  # where a sigmoid is zero, before its exponential overflows
READERS = {  # the layers that read what is called so, in each block
    "self_attn.read": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attn.mixed": ("self_attn.o_proj",),
    "mlp.read": ("mlp.gate_proj", "mlp.up_proj"),
    "mlp.gated": ("mlp.down_proj",),
}


@dataclass(frozen=True, eq=False)
class Answer:
    """What comes out for the tokens that are left."""

    logits: F32  # (n, kept, vocabulary)
    places: I64  # (n, kept), ascending: which of the symbols they are


@dataclass(frozen=True, eq=False)
class Forward:
    """The decoder's prefill, as `Language` has it.

    Args:
        decoder: its sizes.
        weights: by the names of `Decoder.shapes`; with `product` only the embedding and the norms are looked at.
        touch: is shown all that can be rounded, and gives what is left of it; shares that must be zero stay so.
        kept: is shown the shares of each layer before they are rounded, and says which tokens stay; those that go are
            neither computed with nor attended to afterwards. Those that stay keep their places.
        product: multiplies with a layer's matrix; none: the weights in float32.
    """

    decoder: Decoder
    weights: Mapping[str, F32]
    touch: Touch | None = None
    kept: Kept | None = None
    product: Product | None = None

    def __call__(self, symbols: I64) -> F32:
        """Logits of (n, places) symbols; for where no token goes."""
        return self.run(symbols).logits

    def run(self, symbols: I64) -> Answer:
        """Logits, and whose they are."""
        x = self.weights["embed_tokens.weight"][symbols]
        places = np.broadcast_to(np.arange(symbols.shape[1]), symbols.shape)
        tables = self.decoder.rotations(symbols.shape[1])
        for layer in range(self.decoder.layers):
            x, places = self._block(x, places, layer, tables)
        return Answer(self._norm(x, "norm") @ self.weights["embed_tokens.weight"].T, places)

    def _block(self, x: F32, places: I64, layer: int, tables: tuple[F32, F32]) -> tuple[F32, I64]:
        at = f"layers.{layer}"
        cos, sin = (table[places][:, None] for table in tables)
        inner = self._norm(x, f"{at}.input_layernorm")
        mixed, shares = self._mixed(inner, cos, sin, f"{at}.self_attn")
        stay = self.kept(layer, shares) if self.kept else None
        if stay is not None:
            x, mixed = (np.take_along_axis(each, stay[..., None], 1) for each in (x, mixed))
            places = np.take_along_axis(places, stay, 1)
        x = x + self._times(f"{at}.self_attn.o_proj", self._left("read", f"{at}.self_attn.mixed", mixed))
        return x + self._gated(self._norm(x, f"{at}.post_attention_layernorm"), f"{at}.mlp"), places

    def _norm(self, x: F32, at: str) -> F32:
        x = self._left("normed", at, x)
        mean = np.square(x).mean(axis=-1, keepdims=True)
        found: F32 = x / np.sqrt(mean + np.float32(self.decoder.epsilon)) * self.weights[f"{at}.weight"]
        return found

    def _mixed(self, x: F32, cos: F32, sin: F32, at: str) -> tuple[F32, F32]:
        """Values mixed by attention, (n, places, width), and its shares."""
        x = self._left("read", f"{at}.read", x)
        q, k, v = (self._headed(self._times(f"{at}.{name}_proj", x), f"{at}.{name}") for name in "qkv")
        scores = _turned(q, cos, sin) @ _turned(k, cos, sin).swapaxes(-1, -2) * np.float32(self.decoder.head**-0.5)
        shares = _softmax(scores)
        left = np.tril(self._left("shares", f"{at}.probabilities", shares))
        return (left @ v).swapaxes(1, 2).reshape(x.shape), shares

    def _headed(self, x: F32, at: str) -> F32:
        """(n, heads, places, width of a head)."""
        left = self._left("headed", at, x)
        return left.reshape(*x.shape[:2], self.decoder.heads, self.decoder.head).swapaxes(1, 2)

    def _gated(self, x: F32, at: str) -> F32:
        x = self._left("read", f"{at}.read", x)
        gate, up = (self._times(f"{at}.{name}_proj", x) for name in ("gate", "up"))
        both = gate / (1 + np.exp(-np.maximum(gate, LOW))) * up
        return self._times(f"{at}.down_proj", self._left("read", f"{at}.gated", both))

    def _times(self, name: str, x: F32) -> F32:
        flat = np.ascontiguousarray(x.reshape(-1, x.shape[-1]))
        found = self.product(name, flat) if self.product else flat @ self.weights[f"{name}.weight"].T
        return found.reshape(*x.shape[:-1], -1)

    def _left(self, kind: Kind, name: str, x: F32) -> F32:
        return self.touch(kind, name, x) if self.touch else x


def _turned(x: F32, cos: F32, sin: F32) -> F32:
    """Rotary places: see `Decoder.rotations`."""
    first, second = np.split(x, 2, axis=-1)
    return np.asarray(x * cos + np.concatenate([-second, first], axis=-1) * sin, np.float32)


def _softmax(scores: F32) -> F32:
    """Of each row's places up to its own."""
    places = scores.shape[-1]
    seen = np.where(np.tri(places, dtype=bool), scores, UNSEEN)
    shares = np.exp(seen - seen.max(axis=-1, keepdims=True))
    found: F32 = shares / shares.sum(axis=-1, keepdims=True)
    return found
