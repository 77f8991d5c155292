"""Training decoders, and how well they foresee text."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.train.fit import Fitted, Penalty, fit, predicted
from shoal.train.library import torch_module
from shoal.train.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from shoal.train.language._module import Attending, Linear
    from shoal.train.language.corpus import U8
    from shoal.train.language.decoder import F32, Decoder

I64 = NDArray[np.int64]
Logits = Callable[[I64], NDArray[np.floating]]  # (n, places) symbols → (n, places, vocabulary)


@dataclass(frozen=True, eq=False)
class Stretches:
    """Symbols, and at each place the one that follows: both (n, places)."""

    x: I64
    y: I64


def built_decoder(
    decoder: Decoder, seed: int = 0, linear: Linear | None = None, attending: Attending | None = None
) -> nn.Module:
    """A decoder with weights of this seed.

    Args:
        decoder: its sizes.
        seed: of the weights.
        linear: makes each layer that multiplies, of outputs, inputs and name; none: matrices of float32.
        attending: mixes values by queries and keys; none: causal softmax attention.

    Raises:
        MissingExtra: torch is not installed.
    """
    from shoal.train.fit import seeded

    parts = torch_module("shoal.train.language._module")
    with seeded(seed):
        made: nn.Module = parts.Language(decoder, linear or parts.plain, attending or parts.attend)
    return made


def stretches(text: U8, places: int, step: int | None = None) -> Stretches:
    """So many places of the text each, so many apart (none: side by side).

    Raises:
        InputError: the text is shorter than one.
    """
    if len(text) <= places:
        raise InputError("too little text", needed=f"more than {places} bytes", had=str(len(text)))
    windows = np.lib.stride_tricks.sliding_window_view(text, places + 1)[:: step or places].astype(np.int64)
    return Stretches(np.ascontiguousarray(windows[:, :-1]), np.ascontiguousarray(windows[:, 1:]))


def fit_language(
    model: nn.Module, text: U8, recipe: Recipe, *, penalty: Penalty | None = None, arm: str = ""
) -> Fitted:
    """Train a decoder in place on stretches of the text; see `fit`."""
    places = int(model.shape.context)  # type: ignore[union-attr, arg-type]  # of our own module
    return fit(model, stretches(text, places, places // 2), recipe, loss=surprise, penalty=penalty, arm=arm)


def surprise(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean cross-entropy over all places, in nats."""
    found: Tensor = torch_module().nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
    return found


def losses(run: Logits, held: Stretches, batch: int = 16) -> NDArray[np.float64]:
    """The cross-entropy of each stretch, (n,), in nats a symbol."""
    parts = []
    for at in range(0, len(held.x), batch):
        logits = np.asarray(run(held.x[at : at + batch]), np.float64)
        logits -= logits.max(axis=-1, keepdims=True)
        chosen = np.take_along_axis(logits, held.y[at : at + batch, :, None], axis=-1)[..., 0]
        parts.append((np.log(np.exp(logits).sum(axis=-1)) - chosen).mean(axis=-1))
    return np.concatenate(parts)


def perplexity(run: Logits, held: Stretches) -> float:
    """e to the mean cross-entropy."""
    return math.exp(float(losses(run, held).mean()))


def runner(model: nn.Module) -> Logits:
    """A trained module as something to measure."""
    return lambda symbols: predicted(model, symbols)


def parameters(model: nn.Module) -> dict[str, F32]:
    """The module's weights by name."""
    return {name: each.detach().numpy().copy() for name, each in model.state_dict().items()}
