"""Fewer experts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, ClassVar, Literal

from shoal.errors import InputError
from shoal.llm.experts._blocks import Block, ungrouped
from shoal.llm.experts._handle import Handle
from shoal.llm.experts._seen import Seen, seen
from shoal.llm.experts.contract import Settled
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64

TOKENS = 1024  # that losses of subsets are taken over


@dataclass(frozen=True)
class Prune:
    """Experts of every layer go with their rows of the router: which is as if their logits were −∞.

    By mass: those with the least weight routed to them. By loss: those without which the layer's output changes least,
    over all subsets where there are few, else one after another. [Lu et al., "Not All Experts are Equal", 2024]
    """

    count: int = 2  # experts of each layer that go
    by: Literal["mass", "loss", "random"] = "mass"  # which
    subsets: int = 200  # most that are tried at once
    seed: int = 0  # of random ones

    exact: ClassVar[bool] = False
    settles: ClassVar[tuple[Settled, ...]] = ("which experts there are",)

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        found = ungrouped(model, "prune")
        chosen = int(found[0].router.top_k)
        if not 0 <= self.count <= found[0].count - chosen:
            raise InputError("too many experts would go", had=str(self.count),
                             needed=f"0 to {found[0].count - chosen}: {chosen} are for each token")  # fmt: skip
        met, handle = seen(model, symbols), Handle()
        for each, known in zip(found, met, strict=True):
            drop(handle, each, self._stay(each, known))
        return handle

    def _stay(self, block: Block, known: Seen) -> list[int]:
        torch = transformers_module("torch")
        if self.by == "loss":
            gone = self._least_missed(block, known)
        elif self.by == "random":
            source = torch.Generator().manual_seed(self.seed * 1009 + block.layer)
            gone = set(torch.randperm(block.count, generator=source)[: self.count].tolist())
        else:
            gone = set(known.mass(block.count).argsort()[: self.count].tolist())
        return [at for at in range(block.count) if at not in gone]

    def _least_missed(self, block: Block, known: Seen) -> set[int]:
        whole = comb(block.count, self.count) <= self.subsets
        outputs, gone = block.outputs(known.inputs[:TOKENS]).detach(), frozenset[int]()
        for size in [self.count] if whole else range(1, self.count + 1):
            tries = combinations(range(block.count), size) if whole else _one_more(gone, block.count)
            gone = min(map(frozenset, tries), key=lambda each: _missed(block, known, outputs, each))
        return set(gone)


def drop(handle: Handle, block: Block, stay: list[int]) -> None:
    """Leave these experts, and the router's rows of them."""
    torch = transformers_module("torch")
    rows = torch.nn.Parameter(block.router.weight[stay].detach().clone(), requires_grad=False)
    handle.replace(block.router, "weight", rows)
    handle.replace(block.router, "num_experts", len(stay))
    block.set(handle, block.experts.gate_up_proj[stay], block.experts.down_proj[stay])


def _one_more(gone: frozenset[int], count: int) -> Iterable[frozenset[int]]:
    return (gone | {at} for at in range(count) if at not in gone)


def _missed(block: Block, known: Seen, outputs: Tensor, gone: frozenset[int]) -> float:
    """How far the layer's output is from what it is with all, squared."""
    logits = known.logits[:TOKENS]
    without = logits.index_fill(1, logits.new_tensor(sorted(gone)).long(), float("-inf"))
    return float((_mixed(block, outputs, logits) - _mixed(block, outputs, without)).square().sum())


def _mixed(block: Block, outputs: Tensor, logits: Tensor) -> Tensor:
    weights, chosen = logits.softmax(-1).topk(int(block.router.top_k), -1)
    weights = weights / weights.sum(-1, keepdim=True)
    each = outputs.permute(1, 0, 2).gather(1, chosen[..., None].expand(-1, -1, outputs.shape[-1]))
    return (weights[..., None] * each).sum(1)
