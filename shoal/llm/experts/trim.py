"""Thinner experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shoal.errors import InputError
from shoal.llm.experts._blocks import Block, blocks
from shoal.llm.experts._handle import Handle
from shoal.llm.experts._seen import Seen, seen
from shoal.llm.experts.contract import Settled
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64


@dataclass(frozen=True)
class Trim:
    """The hidden neurons of every expert that add least go: what one gives on the expert's own tokens, times its column's length.

    As many of each expert, so that experts stay of one shape. [after Sun et al., "A Simple and Effective Pruning
    Approach", 2024, by whole neurons]
    """

    share: float = 0.25  # of the neurons that go

    exact: ClassVar[bool] = False
    settles: ClassVar[tuple[Settled, ...]] = ("how wide experts are",)

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        if not 0 <= self.share < 1:
            raise InputError("a share from 0 up to 1 is needed", where="trim", had=f"{self.share:g}")
        handle = Handle()
        for each, known in zip(blocks(model), seen(model, symbols), strict=True):
            self._trim(handle, each, known)
        return handle

    def _trim(self, handle: Handle, block: Block, known: Seen) -> None:
        torch = transformers_module("torch")
        hidden = block.experts.down_proj.shape[-1]
        left = max(1, hidden - round(self.share * hidden))
        gate_up, down = block.experts.gate_up_proj.detach(), block.experts.down_proj.detach()
        stays = _worth(block, known).topk(left, dim=-1).indices.sort(dim=-1).values
        rows = torch.cat([stays, stays + hidden], dim=-1)
        block.set(
            handle,
            torch.stack([each[row] for each, row in zip(gate_up, rows, strict=True)]),
            torch.stack([each[:, stay] for each, stay in zip(down, stays, strict=True)]),
        )


def _worth(block: Block, known: Seen) -> Tensor:
    """Of each neuron, (count, hidden): the root mean square of what it adds on tokens of its expert."""
    torch = transformers_module("torch")
    found = []
    for at in range(block.count):
        mine = known.inputs[(known.chosen == at).any(-1)]
        gate, up = (mine @ block.experts.gate_up_proj[at].detach().T).chunk(2, dim=-1)
        given = block.experts.act_fn(gate) * up
        columns = block.experts.down_proj[at].detach().norm(dim=0)
        found.append(given.square().sum(0).sqrt() * columns)
    worth: Tensor = torch.stack(found)
    return worth
