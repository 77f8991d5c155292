"""Experts that are asked for alike become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from shoal.errors import InputError, MissingExtra
from shoal.llm.experts._aligned import aligned
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
class Merge:
    """Experts are put together by how alike the router thinks of them, their weights averaged by how much they are used.

    Before that their neurons are brought into one order. The router stays; a token that asked for two of one cluster
    goes through it once, with both weights. [Li et al., "Merge, Then Compress", 2024]
    """

    count: int = 2  # experts that each layer then has fewer
    align: bool = True  # bring neurons into one order first

    exact: ClassVar[bool] = False
    settles: ClassVar[tuple[Settled, ...]] = ("which experts there are",)

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        found, handle = blocks(model), Handle()
        if not 0 <= self.count < found[0].count:
            raise InputError("so many experts cannot be merged away", had=str(self.count),
                             needed=f"0 to {found[0].count - 1}")  # fmt: skip
        met = seen(model, symbols)
        handle.loops(model)
        for each, known in zip(found, met, strict=True):
            self._merge(handle, each, known)
        return handle

    def _merge(self, handle: Handle, block: Block, known: Seen) -> None:
        torch = transformers_module("torch")
        cluster = _clusters(block.shares(known.logits), block.count - self.count)
        mass = known.mass(block.count)
        parts = [
            self._mean(block, (cluster == at).nonzero().flatten(), mass) for at in range(int(cluster.max()) + 1)
        ]
        block.set(handle, *(torch.stack(each) for each in zip(*parts, strict=True)))
        handle.hook(block.router, _renaming(cluster, len(parts)))

    def _mean(self, block: Block, members: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
        gate_up, down = (getattr(block.experts, name).detach()[members] for name in ("gate_up_proj", "down_proj"))
        weights = mass[members].clamp_min(1e-9)
        head = int(weights.argmax())
        pairs = list(zip(gate_up, down, strict=True))
        if self.align:
            pairs = [pair if at == head else aligned(*pair, pairs[head]) for at, pair in enumerate(pairs)]
        shares = weights / weights.sum()
        sums = [
            sum(share * part for share, part in zip(shares, side, strict=True)) for side in zip(*pairs, strict=True)
        ]
        return sums[0], sums[1]


def _clusters(shares: Tensor, left: int) -> Tensor:
    """Which cluster each expert is of, numbered from 0: by correlation of its shares over tokens, average linkage."""
    try:
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform
    except ImportError as fault:
        raise MissingExtra("scipy", "fit") from fault
    torch = transformers_module("torch")
    apart = (1 - torch.corrcoef(shares.T)).clamp_min(0).fill_diagonal_(0).double().numpy()
    tree = linkage(squareform((apart + apart.T) / 2), "average")
    found: Tensor = torch.from_numpy(fcluster(tree, left, "maxclust")).long() - 1
    return found


def _renaming(cluster: Tensor, count: int) -> Any:
    def renamed(_: Any, given: Any, answer: Any) -> Any:
        logits, weights, chosen = answer
        weights, chosen = weights.clone(), cluster[chosen]
        for later in range(1, chosen.shape[1]):
            for earlier in range(later):
                same = (chosen[:, later] == chosen[:, earlier]) & (chosen[:, later] < count)
                weights[:, earlier] += weights[:, later] * same
                weights[:, later] *= ~same
                chosen[:, later] = chosen[:, later].masked_fill(same, count)
        return logits, weights, chosen

    return renamed
