"""A second router that is learned: a linear head a layer on what the model's router reads, an output for each width.

Learned by distillation with the model frozen: the layer's output with the bits drawn is to be that without rounding,
‖y − y_bits‖² + μ · bits, choices drawn by Gumbel's softmax; μ rises until the mean bits are those wanted. Classes of
requests shift the head's outputs against bits by as much as gives them their mean on the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shoal.compress.nested_fit import SERVED
from shoal.llm.experts import blocks, seen
from shoal.llm.library import transformers_module
from shoal.llm.offload.bit_router import CLASSES, NORMAL, rows_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from shoal.llm.experts import Block, Seen
    from shoal.llm.experts.contract import I64
    from shoal.llm.offload.nested_records import Experts

RISE = 0.02  # of μ each step, for each bit above what is wanted
HALVINGS = 30  # in search of a class's shift
SHIFTS = (-64.0, 64.0)


@dataclass(frozen=True, eq=False)
class Head:
    """Of one layer."""

    weight: Tensor  # (experts · widths, width of the model)
    bias: Tensor

    def scores(self, hidden: Tensor, chosen: Tensor) -> Tensor:
        """(tokens, k, widths): how good each width is for each token and expert."""
        torch = transformers_module("torch")
        every = (hidden @ self.weight.T + self.bias).view(len(hidden), -1, len(SERVED))
        found: Tensor = torch.take_along_dim(every, chosen[:, :, None], dim=1)
        return found


@dataclass(frozen=True, eq=False)
class ByHead:
    """Bits by learned heads."""

    heads: tuple[Head, ...]
    shifts: Mapping[str, float]  # by class, for each bit

    @property
    def widths(self) -> tuple[int, ...]:
        """See `BitRouter`."""
        return SERVED

    def bits(self, place: int, hidden: Tensor, chosen: Tensor, weights: Tensor, classes: Sequence[str]) -> I64:
        """See `BitRouter`."""
        scores, found = self.heads[place].scores(hidden.float(), chosen), np.zeros(chosen.shape, np.int64)
        for name, rows in rows_of(classes, self.shifts).items():
            found[rows] = _best(scores[transformers_module("torch").from_numpy(rows)], self.shifts[name])
        return found


def by_head(
    model: nn.Module,
    symbols: I64,
    experts: Experts,
    targets: Mapping[str, float] = CLASSES,
    steps: int = 200,
    seed: int = 0,
) -> ByHead:
    """Heads for a model whose experts are stored in bits that nest.

    Args:
        model: of transformers; stays as it is.
        symbols: (n, places) of text to learn from.
        experts: as they are stored.
        targets: mean bits of each class, "normal" among them: that is learned for.
        steps: of learning.
        seed: of what is drawn.

    Raises:
        ModelError: no layer has experts.
    """
    torch = transformers_module("torch")
    met, heads = seen(model, symbols), []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for place, (block, each) in enumerate(zip(blocks(model), met, strict=True)):
            with torch.no_grad():
                errors, size = _errors(block, each, experts, place)
            heads.append(_learned(each, block.count, errors / size**0.5, targets[NORMAL], steps))
    scores = torch.cat([head.scores(each.inputs, each.chosen) for head, each in zip(heads, met, strict=True)])
    return ByHead(tuple(heads), {name: _shift(scores, mean_bits) for name, mean_bits in targets.items()})


def _errors(block: Block, met: Seen, experts: Experts, place: int) -> tuple[Tensor, float]:
    """(tokens, k, widths, width): what each width adds to the layer's output; and the output's mean square."""
    from shoal.store import Key

    torch = transformers_module("torch")
    found = torch.zeros(*met.chosen.shape, len(SERVED), met.inputs.shape[1])
    output = torch.zeros_like(met.inputs)

    def through(x: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
        gate, up = (x @ gate_up.T).chunk(2, dim=-1)
        answer: Tensor = (block.experts.act_fn(gate) * up) @ down.T
        return answer

    for expert in range(block.count):
        rows, slots = torch.where(met.chosen == expert)
        x, weight = met.inputs[rows], met.weights[rows, slots, None]
        plain = through(x, block.experts.gate_up_proj[expert], block.experts.down_proj[expert])
        output.index_add_(0, rows, weight * plain)
        for at, bits in enumerate(SERVED):
            matrices = experts[Key(place, expert)]
            gate_up, down = (
                torch.from_numpy(matrices[name].top(bits).matrix()) for name in ("gate_up_proj", "down_proj")
            )
            found[rows, slots, at] = weight * (through(x, gate_up, down) - plain)
    return found, float((output**2).sum(-1).mean())


def _learned(met: Seen, count: int, errors: Tensor, mean_bits: float, steps: int) -> Head:
    """A head of one layer. Every token takes part in every step."""
    torch = transformers_module("torch")
    head = Head(torch.zeros(count * len(SERVED), met.inputs.shape[1]), torch.zeros(count * len(SERVED)))
    for each in (head.weight, head.bias):
        each.requires_grad_(True)
    adam = torch.optim.Adam([head.weight, head.bias], lr=0.03)
    bits, price = torch.tensor(SERVED, dtype=torch.float32), 0.0
    for _ in range(steps):
        drawn = torch.nn.functional.gumbel_softmax(head.scores(met.inputs, met.chosen), hard=True)
        lost = (torch.einsum("nkb,nkbd->nd", drawn, errors) ** 2).sum(-1).mean()
        mean = (drawn * bits).sum(-1).mean()
        adam.zero_grad()
        (lost + price * mean).backward()
        adam.step()
        price = max(0.0, price + RISE * float(errors.square().sum(-1).mean()) * (float(mean.detach()) - mean_bits))
    return Head(head.weight.detach(), head.bias.detach())


def _best(scores: Tensor, shift: float) -> I64:
    """The width of the best score, each less so much for a bit."""
    bits = np.asarray(SERVED, np.int64)
    found: I64 = bits[(scores.numpy() - shift * bits).argmax(-1)]
    return found


def _shift(scores: Tensor, mean_bits: float) -> float:
    """With which the mean bits are these, or the next fewer."""
    low, high = SHIFTS
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _best(scores, middle).mean() > mean_bits else (low, middle)
    return high
