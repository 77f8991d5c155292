"""A small language model trained with rounded products, forward and backward; needs torch.

Every product with weights has both operands rounded along the axis that it sums over, in the three products of a layer:
y = x·Wᵀ, dx = dy·W, dW = dyᵀ·x. Rounding passes gradients straight through. Embedding and head stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np

from shoal import formats
from shoal.errors import MissingExtra, WorkError
from shoal.study._operands import Matrix, Operands
from shoal.train.library import torch_threads

Tensor: TypeAlias = Any  # torch's; the core has to be typed without it
Round: TypeAlias = Callable[[Tensor], Tensor]  # along the last axis
BLOCK = 32
LARGEST_FLOAT = 448.0  # of E4M3
TINY = 2.0**-126
TESTED = 16  # batches that the final loss is the mean of, no more than it was trained on


@dataclass(frozen=True)
class Recipe:
    """Sizes of the model and of its training; products' sizes are whole blocks."""

    width: int = 64
    layers: int = 2
    heads: int = 4
    tokens: int = 64
    batch: int = 16
    steps: int = 300
    rate: float = 3e-3
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Trained:
    """A model after its training."""

    weights: Mapping[str, Tensor]
    losses: tuple[float, ...]  # of each step, nats a character
    final: float  # on text that was held out, in the arithmetic of its training


def torch_of() -> Any:
    """The library.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MissingExtra("torch", "train") from None
    return torch


def integers(x: Tensor) -> Tensor:
    """MXINT8: blocks of 32 along the last axis, whole numbers from −127 to 127, scales powers of two rounded up."""
    scales = _powers(x, 127.0)
    return (_blocks(x) / scales).round().clamp(-127, 127).mul(scales).view(x.shape)


def floats(x: Tensor) -> Tensor:
    """MXFP8: E4M3 in the same blocks."""
    torch = torch_of()
    scales = _powers(x, LARGEST_FLOAT)
    return (_blocks(x) / scales).to(torch.float8_e4m3fn).to(x.dtype).mul(scales).view(x.shape)


def narrow_scaled(x: Tensor, least: int) -> Tensor:
    """Whole numbers from `least` to 127, scales and quotients computed in bfloat16."""
    torch = torch_of()
    blocks = _blocks(x).to(torch.bfloat16)
    scales = (blocks.abs().amax(-1, keepdim=True) / 127).clamp_min(TINY)
    return (blocks / scales).round().clamp(least, 127).mul(scales).to(x.dtype).view(x.shape)


ARITHMETICS: Mapping[str, Round | None] = {
    "float32": None,
    "mxint8": integers,
    "mxfp8": floats,
    "int8, bfloat16 scales, −127 to 127": partial(narrow_scaled, least=-127),
    "int8, bfloat16 scales, −128 to 127": partial(narrow_scaled, least=-128),
}


def trained(text: str, arithmetic: str, recipe: Recipe) -> Trained:
    """A model of the characters of `text`, of which the last tenth is held out.

    Raises:
        MissingExtra: torch is not installed.
        WorkError: the loss is not finite; it names step and arithmetic.
    """
    torch = torch_of()
    rounded = ARITHMETICS[arithmetic]
    with torch_threads():
        codes, vocabulary = _codes(text)
        cut = len(codes) * 9 // 10
        weights = _weights(recipe, vocabulary)
        optimiser = torch.optim.AdamW(weights.values(), lr=recipe.rate, betas=(0.9, 0.95), weight_decay=0.1)
        source = torch.Generator().manual_seed(recipe.seed)
        losses = []
        for step in range(recipe.steps):
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * _share(step, recipe.steps)
            loss = _loss(weights, _batch(codes[:cut], recipe, source), recipe, rounded)
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                raise WorkError("the loss is not finite", where=f"training in {arithmetic}, step {step}")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return Trained(weights, tuple(losses), tested(weights, codes[cut:], recipe, rounded))


def tested(weights: Mapping[str, Tensor], codes: Tensor, recipe: Recipe, rounded: Round | None) -> float:
    """The mean loss on batches that are the same for every model, nats a character."""
    torch = torch_of()
    source = torch.Generator().manual_seed(recipe.seed + 1)
    with torch.no_grad():
        losses = [
            _loss(weights, _batch(codes, recipe, source), recipe, rounded).item()
            for _ in range(min(TESTED, recipe.steps))
        ]
    return float(np.mean(losses))


def seen(text: str, model: Trained, recipe: Recipe, places: int) -> tuple[Operands, ...]:
    """Both operands of every product on held-out text, so many places and rows at most."""
    torch = torch_of()
    kept: list[Matrix] = []

    def keep(matrix: Tensor) -> Tensor:
        kept.append(matrix.numpy()[:places].copy())
        return matrix

    codes, _ = _codes(text)
    with torch_threads(), torch.no_grad():
        batch = _batch(codes[len(codes) * 9 // 10 :], recipe, torch.Generator().manual_seed(recipe.seed))
        _logits(model.weights, batch[:, :-1], recipe, keep)
    pairs = zip(kept[::2], kept[1::2], strict=True)
    return tuple(Operands(f"product {number}", x, w) for number, (x, w) in enumerate(pairs))


@dataclass(frozen=True)
class Cast:
    """What a trained model in float32 loses if its products are just rounded."""

    divergence: float  # Kullback–Leibler from the float model, nats a character
    loss: float  # nats a character


def casts(text: str, model: Trained, names: tuple[str, ...], recipe: Recipe, turned: int = 0) -> dict[str, Cast]:
    """Each format for weights and activations, as `shoal.formats` rounds; `turned`: in a Hadamard basis of this size."""
    torch = torch_of()
    with torch_threads(), torch.no_grad():
        codes, _ = _codes(text)
        held = codes[len(codes) * 9 // 10 :]
        batches = [_batch(held, recipe, torch.Generator().manual_seed(number)) for number in range(4)]
        plain = [_logits(model.weights, each[:, :-1], recipe, None).log_softmax(-1) for each in batches]
        found = {}
        for name in names:
            rounded = partial(_as_format, formats.make(f"{name}+rotate:size={turned}" if turned else name))
            made = [_logits(model.weights, each[:, :-1], recipe, rounded).log_softmax(-1) for each in batches]
            apart = [
                (one.exp() * (one - other)).sum(-1).mean().item() for one, other in zip(plain, made, strict=True)
            ]
            losses = [_negative(each, batch).item() for each, batch in zip(made, batches, strict=True)]
            found[name] = Cast(float(np.mean(apart)), float(np.mean(losses)))
        return found


def _as_format(form: formats.Format, x: Tensor) -> Tensor:
    torch = torch_of()
    matrix = np.ascontiguousarray(x.detach().numpy(), np.float32)
    return torch.from_numpy(formats.restored(form, formats.quantise(form, matrix)))


def _blocks(x: Tensor) -> Tensor:
    return x.contiguous().view(*x.shape[:-1], -1, BLOCK)


def _powers(x: Tensor, largest: float) -> Tensor:
    """A power of two for each block with which nothing clips."""
    torch = torch_of()
    most = _blocks(x).abs().amax(-1, keepdim=True) / largest
    fraction, exponent = torch.frexp(most.clamp_min(TINY))
    return torch.ldexp(torch.ones_like(most), torch.where(fraction == 0.5, exponent - 1, exponent))


def _product(x: Tensor, weight: Tensor, rounded: Round | None) -> Tensor:
    """x·Wᵀ on the last axis, rounded as the head of this file says."""
    if rounded is None:
        return x @ weight.T
    flat = x.reshape(-1, x.shape[-1])
    return _function().apply(flat, weight, rounded).view(*x.shape[:-1], len(weight))


@lru_cache(maxsize=1)
def _function() -> Any:
    """The product as a function of torch with a backward of its own."""
    torch = torch_of()

    def forward(context: Any, x: Tensor, weight: Tensor, rounded: Round) -> Tensor:
        context.save_for_backward(x, weight)
        context.rounded = rounded
        return rounded(x) @ rounded(weight).T

    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = context.saved_tensors
        rounded = context.rounded
        before = rounded(gradient) @ rounded(weight.T).T
        return before, rounded(gradient.T) @ rounded(x.T).T, None

    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Product", (torch.autograd.Function,), members)


def _weights(recipe: Recipe, vocabulary: int) -> dict[str, Tensor]:
    torch = torch_of()
    source = torch.Generator().manual_seed(recipe.seed)
    width = recipe.width
    shapes = {"embedding": (vocabulary, width), "places": (recipe.tokens, width), "head": (vocabulary, width)}
    for layer in range(recipe.layers):
        shapes |= {
            f"{layer}.qkv": (3 * width, width), f"{layer}.mix": (width, width),
            f"{layer}.wide": (4 * width, width), f"{layer}.narrow": (width, 4 * width),
        }  # fmt: skip
    made = {name: torch.randn(shape, generator=source) * shape[1] ** -0.5 for name, shape in shapes.items()}
    return {name: each.requires_grad_() for name, each in made.items()}


def _logits(weights: Mapping[str, Tensor], codes: Tensor, recipe: Recipe, rounded: Round | None) -> Tensor:
    torch = torch_of()
    functional = torch.nn.functional
    batch, tokens = codes.shape
    hidden = weights["embedding"][codes] + weights["places"][:tokens]
    for layer in range(recipe.layers):
        normal = functional.layer_norm(hidden, (recipe.width,))
        parts = _product(normal, weights[f"{layer}.qkv"], rounded).view(batch, tokens, 3, recipe.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        joined = seen.transpose(1, 2).reshape(batch, tokens, recipe.width)
        hidden = hidden + _product(joined, weights[f"{layer}.mix"], rounded)
        normal = functional.layer_norm(hidden, (recipe.width,))
        wide = functional.gelu(_product(normal, weights[f"{layer}.wide"], rounded))
        hidden = hidden + _product(wide, weights[f"{layer}.narrow"], rounded)
    return functional.layer_norm(hidden, (recipe.width,)) @ weights["head"].T


def _loss(weights: Mapping[str, Tensor], batch: Tensor, recipe: Recipe, rounded: Round | None) -> Tensor:
    return _negative(_logits(weights, batch[:, :-1], recipe, rounded).log_softmax(-1), batch)


def _negative(logs: Tensor, batch: Tensor) -> Tensor:
    """The mean negative logarithm of what really follows."""
    return -logs.gather(-1, batch[:, 1:, None]).mean()


def _batch(codes: Tensor, recipe: Recipe, source: Any) -> Tensor:
    torch = torch_of()
    starts = torch.randint(len(codes) - recipe.tokens - 1, (recipe.batch,), generator=source)
    return torch.stack([codes[start : start + recipe.tokens + 1] for start in starts.tolist()])


def _codes(text: str) -> tuple[Tensor, int]:
    """A number for each character; what is not ASCII is one character."""
    torch = torch_of()
    raw = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    known, codes = np.unique(raw, return_inverse=True)
    return torch.from_numpy(codes.astype(np.int64)), len(known)


def _share(step: int, steps: int) -> float:
    """Of the learning rate: up over a tenth, then down along a cosine to a tenth."""
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.55 + 0.45 * float(np.cos(np.pi * (step - warm) / max(1, steps - warm)))
