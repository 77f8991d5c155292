"""Experts as what they share and a little of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shoal.errors import InputError
from shoal.llm.experts._blocks import MATRICES, VALUE_BITS, blocks
from shoal.llm.experts._handle import Handle
from shoal.llm.experts.contract import Settled
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64


@dataclass(frozen=True)
class LowRank:
    """Each expert's matrix is the mean of the layer's plus a product of two thin ones, in float16.

    The rank of each is the least that keeps a share of what its difference from the mean holds, squared. Stored so,
    multiplied whole. [Eckart and Young, 1936]
    """

    energy: float = 0.8  # share that is kept
    shared: bool = True  # with the mean; without, each matrix alone

    exact: ClassVar[bool] = False
    settles: ClassVar[tuple[Settled, ...]] = ("how weights are stored",)

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        if not 0 < self.energy <= 1:
            raise InputError("a share above 0 up to 1 is needed", where="low_rank", had=f"{self.energy:g}")
        handle = Handle()
        for each in blocks(model):
            found = [self._thinned(getattr(each.experts, name).detach()) for name in MATRICES]
            values = sum(count for _, count in found)
            (gate_up, _), (down, _) = found
            each.set(handle, gate_up, down, values * VALUE_BITS)
        return handle

    def _thinned(self, matrices: Tensor) -> tuple[Tensor, int]:
        """(count, rows, columns) → the same thinned, and how many values that takes."""
        torch = transformers_module("torch")
        mean = matrices.mean(0) if self.shared else torch.zeros_like(matrices[0])
        left, spread, right = torch.linalg.svd(matrices - mean, full_matrices=False)
        held = spread.square().cumsum(-1) / spread.square().sum(-1, keepdim=True)
        ranks = (held < self.energy).sum(-1) + 1
        stays = torch.arange(spread.shape[-1]) < ranks[:, None]
        rows, columns = matrices.shape[1:]
        values = int(ranks.sum()) * (rows + columns) + rows * columns * self.shared
        return mean + (left * (spread * stays)[:, None]) @ right, values
