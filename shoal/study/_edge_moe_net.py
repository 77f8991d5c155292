"""A vision transformer with experts and a gate for each task, in torch, and its dense twin. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shoal.machines.edge_moe import Shape

EVEN = 0.01  # weight of the loss that spreads tokens over experts


class VisionExperts(nn.Module):
    """Weights have the names that `FixedVit` knows. With `dense` every token goes through all that experts have."""

    def __init__(self, shape: Shape, outputs: Sequence[int], dense: bool = False) -> None:
        super().__init__()
        self.shape, width = shape, shape.width
        self.embed = nn.Linear(shape.patch_features, width)
        self.class_token = nn.Parameter(torch.zeros(width))
        self.position = nn.Parameter(0.1 * torch.randn(shape.tokens, width))
        self.blocks = nn.ModuleList(_block(shape, each, len(outputs), dense) for _, each in shape.of_layers())
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleList(nn.Linear(width, each) for each in outputs)

    def forward(self, patches: Tensor) -> Tensor:
        """All tasks, their figures side by side: (images, figures)."""
        return torch.cat([self.answer(patches, task) for task in range(len(self.heads))], dim=1)

    def answer(self, patches: Tensor, task: int) -> Tensor:
        """One task: (images, its figures)."""
        first = self.class_token.expand(len(patches), 1, -1)
        x = torch.cat([first, self.embed(patches)], dim=1) + self.position
        for block in self.blocks:
            x = block(x, task)
        found: Tensor = self.heads[task](self.norm(x[:, 0]))
        return found

    def choices(self) -> list[Tensor]:
        """The experts of tokens in the last answer, layer by layer: (images, tokens, experts of a token)."""
        return [each.choices for each in self.blocks if isinstance(each, ExpertBlock)]

    def uneven(self) -> Tensor:
        """How unevenly tokens were spread over experts since this was last asked.

        The share of choices times the mean share of the gate. [Fedus et al., "Switch Transformers", 2021, eq. 4]
        """
        taken = [each.taken() for each in self.blocks if isinstance(each, ExpertBlock)]
        return EVEN * torch.stack([one for each in taken for one in each]).sum() if taken else torch.zeros(())


class Block(nn.Module):
    """Attention and a change of each token, each with a way around it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.count = shape.heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, task: int) -> Tensor:
        """Of the shape of x."""
        x = x + self._attention(self.norm1(x))
        return x + self._change(self.norm2(x), task)

    def _attention(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).view(*x.shape[:2], 3, self.count, -1)
        query, key, value = parts.movedim((2, 3), (0, 2))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        found: Tensor = self.project(mixed.transpose(1, 2).reshape(x.shape))
        return found

    def _change(self, x: Tensor, task: int) -> Tensor:
        raise NotImplementedError


class PerceptronBlock(Block):
    """With a perceptron."""

    def __init__(self, shape: Shape, hidden: int) -> None:
        super().__init__(shape)
        self.first, self.second = nn.Linear(shape.width, hidden), nn.Linear(hidden, shape.width)

    def _change(self, x: Tensor, task: int) -> Tensor:
        found: Tensor = self.second(nn.functional.gelu(self.first(x)))
        return found


class ExpertBlock(Block):
    """With experts, the best few of them for each token by the gate of the task."""

    def __init__(self, shape: Shape, tasks: int) -> None:
        super().__init__(shape)
        width, hidden = shape.width, shape.expert_hidden
        self.chosen = shape.chosen
        self.gate = nn.Parameter(torch.randn(tasks, shape.experts, width) * width**-0.5)
        self.first, self.second = Experts(shape.experts, width, hidden), Experts(shape.experts, hidden, width)
        self.choices = torch.zeros(0)  # of the last answer
        self._seen: list[Tensor] = []

    def taken(self) -> list[Tensor]:
        """What `VisionExperts.uneven` adds up; forgotten with that."""
        seen, self._seen = self._seen, []
        return seen

    def _change(self, x: Tensor, task: int) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        shares = (flat @ self.gate[task].T).softmax(-1)
        chosen = shares.topk(self.chosen, dim=-1).indices
        self.choices = chosen.view(*x.shape[:2], -1)
        if self.training:
            load = chosen.flatten().bincount(minlength=shares.shape[-1]) / chosen.numel()
            self._seen.append(len(load) * (load * shares.mean(0)).sum())
        return by_expert(flat, shares, chosen, self.first, self.second).view(x.shape)


class Experts(nn.Module):
    """A linear layer for each expert."""

    def __init__(self, count: int, columns: int, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter((2 * torch.rand(count, rows, columns) - 1) * columns**-0.5)
        self.bias = nn.Parameter(torch.zeros(count, rows))

    def forward(self, x: Tensor, expert: int) -> Tensor:
        """Through one of them."""
        return nn.functional.linear(x, self.weight[expert], self.bias[expert])


def by_expert(tokens: Tensor, shares: Tensor, chosen: Tensor, first: Experts, second: Experts) -> Tensor:
    """Each expert once, with all its tokens."""
    found = torch.zeros_like(tokens)
    for expert in range(len(first.weight)):
        own = (chosen == expert).any(dim=-1).nonzero().flatten()
        if len(own):
            made = second(nn.functional.gelu(first(tokens[own], expert)), expert)
            found = found.index_add(0, own, shares[own, expert, None] * made)
    return found


def by_token(tokens: Tensor, shares: Tensor, chosen: Tensor, first: Experts, second: Experts) -> Tensor:
    """Each token with its experts, one token after another."""
    found = torch.zeros_like(tokens)
    for token, experts in enumerate(chosen.tolist()):
        for expert in experts:
            found[token] += shares[token, expert] * second(nn.functional.gelu(first(tokens[token], expert)), expert)
    return found


def _block(shape: Shape, experts: bool, tasks: int, dense: bool) -> Block:
    if not experts:
        return PerceptronBlock(shape, shape.hidden)
    return PerceptronBlock(shape, shape.experts * shape.expert_hidden) if dense else ExpertBlock(shape, tasks)
