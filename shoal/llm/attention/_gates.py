"""Gates of heads, in torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shoal.llm.attention._exchange import Attention, dense, exchanged

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.attention.gates import GateRecipe

F32 = NDArray[np.float32]


def learned(
    model: PreTrainedModel, tokens: NDArray[np.int64], answers: NDArray[np.bool_], recipe: GateRecipe
) -> F32:
    """See `learned_gates`."""
    gates = torch.ones(_heads(model), requires_grad=True)
    optimiser = torch.optim.Adam([gates], lr=recipe.rate)
    seen = streaming_mask(tokens.shape[1], recipe.sink, recipe.recent)
    source = np.random.default_rng(recipe.seed)
    with _frozen(model):
        for _ in range(recipe.steps):
            chosen = source.choice(len(tokens), min(recipe.batch, len(tokens)), replace=False)
            given, needed = torch.from_numpy(tokens[chosen]), torch.from_numpy(answers[chosen])
            with torch.no_grad():
                wanted = _hidden(model, given)[needed]
            with exchanged(model, mixing(gates, seen)):
                found = _hidden(model, given)[needed]
            loss = (wanted - found).square().mean() + recipe.weight * gates.abs().mean()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            with torch.no_grad():
                gates.clamp_(0, 1)
    return gates.detach().numpy().copy()


def masses(model: PreTrainedModel, tokens: NDArray[np.int64], sink: int, recent: int) -> F32:
    """See `mass_gates`."""
    found = np.zeros(_heads(model), np.float32)
    far = ~streaming_mask(tokens.shape[1], sink, recent)

    def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
        grouped = query.view(len(query), key.shape[1], -1, *query.shape[2:])
        scores = grouped @ key[:, :, None].transpose(-1, -2) * options["scaling"]
        shares = scores.masked_fill(~_causal(key.shape[2]), float("-inf")).softmax(dim=-1)[..., sink + recent :, :]
        mass = (shares * far[sink + recent :]).sum(dim=-1)
        found[module.layer_idx] += mass.mean(dim=(0, 2, 3)).numpy() / len(tokens)
        return dense(module, query, key, value, mask, **options)

    with torch.no_grad(), exchanged(model, attend):
        for row in tokens:
            _hidden(model, torch.from_numpy(row[None]))
    return found


def mixing(gates: Tensor, seen: Tensor) -> Attention:
    """Attention of which each KV head has its gate's share of the full one, and the rest of the streaming one."""

    def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
        full, _ = dense(module, query, key, value, mask, **options)
        narrow, _ = dense(module, query, key, value, seen[None, None], **options)
        share = gates[module.layer_idx].repeat_interleave(query.shape[1] // key.shape[1])[:, None]
        return share * full + (1 - share) * narrow, None

    return attend


def streaming_mask(places: int, sink: int, recent: int) -> Tensor:
    """(places, places): True where streaming attention sees."""
    ages = torch.arange(places)[:, None] - torch.arange(places)
    return (ages >= 0) & ((ages < recent) | (torch.arange(places) < sink))


def _causal(places: int) -> Tensor:
    return torch.ones(places, places, dtype=torch.bool).tril()


def _heads(model: PreTrainedModel) -> tuple[int, int]:
    config = model.config.get_text_config()
    return int(config.num_hidden_layers), int(config.num_key_value_heads)


def _hidden(model: PreTrainedModel, tokens: Tensor) -> Tensor:
    found: Tensor = model.base_model(tokens, use_cache=False).last_hidden_state
    return found


@contextmanager
def _frozen(model: PreTrainedModel) -> Iterator[None]:
    """Only what is not the model's is learned inside the block."""
    before = [each.requires_grad for each in model.parameters()]
    model.requires_grad_(False)
    try:
        yield
    finally:
        for each, was in zip(model.parameters(), before, strict=True):
            each.requires_grad_(was)
