"""A member's part of a decoder: transformers' own modules with smaller matrices, and hooks where members exchange.

Exact but for the order of additions: each sum over inputs is a sum of the members' sums.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.llm.library import transformers_module
from shoal.llm.offload.kept import Stored
from shoal.llm.offload.layers import check_fits
from shoal.llm.offload.skeleton import put, skeleton
from shoal.llm.tensor_parallel.parts import EMBEDDING, HEAD, Cut, cut, own
from shoal.wire.collectives import Collective, Group, even

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


def parallel(stored: Stored, group: Group, how: Collective, attention: str = "eager") -> PreTrainedModel:
    """This member's part of a model; all members call it with the same tokens, and get the same logits.

    Args:
        stored: the whole model, of which only the member's parts are kept in memory.
        group: the members.
        how: they exchange.
        attention: see `shoal.llm.modules.module`.

    Raises:
        InputError: more members than heads of keys and values.
        ModelError: transformers' plan for such a model cannot be followed, or the store is of another model or damaged.
    """
    model = skeleton(stored.facts.config, attention)
    check_fits(model, stored.laid)
    cuts = cut(model, group.members)
    weights = own(stored, cuts, group.rank)
    weights.setdefault(f"{HEAD}.weight", weights[f"{EMBEDDING}.weight"][:-1])  # tied: without the row of zeros
    for name, array in weights.items():
        put(model, name, array)
    _plugged(model, cuts, _Exchange(group, how))
    return model


class _Exchange:
    """What hooks do with what a module gives."""

    def __init__(self, group: Group, how: Collective) -> None:
        self.rank, self._group, self._how = group.rank, group, how

    def summed(self, _module: Any, _given: Any, out: Tensor) -> Tensor:
        """Everybody's added."""
        out = out.contiguous()
        array = out.numpy().reshape(-1)
        self._how.all_reduce(self._group, array, even(len(array), self._group.members))
        return out

    def gathered(self, out: Tensor, cuts: tuple[int, ...]) -> Tensor:
        """Everybody's side by side."""
        torch = transformers_module("torch")
        before = out.shape[:-1]
        ends = [math.prod(before) * each for each in cuts]
        whole = np.empty(ends[-1], np.float32)
        whole[ends[self.rank] : ends[self.rank + 1]] = out.numpy().ravel()
        self._how.all_gather(self._group, whole, ends)
        parts = [torch.from_numpy(part).view(*before, -1) for part in np.split(whole, ends[1:-1])]
        found: Tensor = torch.cat(parts, -1)
        return found


def _plugged(model: nn.Module, cuts: Mapping[str, Cut], exchange: _Exchange) -> None:
    for name, each in cuts.items():
        module = model.get_submodule(name)
        if each.way == "rows":
            _look_up_own(module, each.cuts[exchange.rank], each.cuts[exchange.rank + 1])
        if each.way in ("inputs", "rows"):
            module.register_forward_hook(exchange.summed)
        elif each.way == "gathered":
            _gather(module, each.cuts, exchange)


def _gather(module: nn.Module, cuts: tuple[int, ...], exchange: _Exchange) -> None:
    module.register_forward_hook(lambda _module, _given, out: exchange.gathered(out, cuts))


def _look_up_own(embedding: Any, first: int, end: int) -> None:
    """Have an embedding give zeros for rows that others have."""
    torch = transformers_module("torch")
    embedding.padding_idx = None  # it says where gradients stop, and is checked against all rows

    def begin(_: Any, given: tuple[Tensor]) -> tuple[Tensor]:
        mine = (given[0] >= first) & (given[0] < end)
        return (torch.where(mine, given[0] - first, end - first),)

    embedding.register_forward_pre_hook(begin)
