"""Losses at every width from one file, beside ordinary codes, truncation and routed bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shoal import formats
from shoal.compress.nested import GROUP, LEAST, MOST
from shoal.compress.nested_fit import SERVED, TRUNCATED, Fitting
from shoal.llm.experts import blocks
from shoal.llm.library import transformers_module
from shoal.llm.offload.bit_head import by_head
from shoal.llm.offload.bit_router import NORMAL, BitRouter, Even, by_weight
from shoal.llm.offload.nested import Loading
from shoal.llm.offload.nested_records import Experts, nested_experts
from shoal.study._d2moe_lab import NAMES, Lab, loss_nats

if TYPE_CHECKING:
    from torch import Tensor

FEW = (2, 3, 4)  # bits at which truncation is looked at
TARGETS = (3.0, 4.0)  # mean bits of routed ones


@dataclass(frozen=True)
class Losses:
    """Of one model, in nats a symbol."""

    plain: float
    nested: dict[int, float]  # by bits
    truncated: dict[int, float]
    without: dict[int, float]  # gains and offsets
    int8: float
    int4: float

    @property
    def worst_rise(self) -> float:
        """Of one bit more, as a share of the loss."""
        return max(self.nested[bits + 1] / self.nested[bits] - 1 for bits in range(LEAST, MOST))


@dataclass(frozen=True)
class Routed:
    """Bits by token and expert against the same for all, at mean bits alike."""

    router: str
    mean_bits: float  # asked for on the text judged
    loss: float
    even: float  # with the same bits for all, between the widths beside in proportion


def losses(made: Lab) -> Losses:
    """All of a model's."""
    truncated, without = (
        nested_experts(made.model, made.fitted_on, how) for how in (TRUNCATED, Fitting(fitted=False))
    )
    return Losses(
        loss_nats(made.model, made.held),
        {bits: _loss(made, made.stored(bits)) for bits in range(LEAST, MOST + 1)},
        {bits: _loss(made, _of(made, truncated, bits)) for bits in FEW},
        {bits: _loss(made, _of(made, without, bits)) for bits in FEW},
        _loss(made, _ordinary(made, "int8")),
        _loss(made, _ordinary(made, "int4as", grouped=True)),
    )


def routed(made: Lab, rows: int, steps: int) -> list[Routed]:
    """Each token in the bits that it asks for itself."""
    even = [_routed(made, Even(bits), rows)[0] for bits in SERVED]
    found = []
    for target in TARGETS:
        targets = {NORMAL: target}
        routers: dict[str, BitRouter] = {
            "by weight": by_weight(made.learned, targets),
            "by head": by_head(made.model, made.fitted_on[:rows], made.experts, targets, steps),
        }
        for name, router in routers.items():
            loss, mean_bits = _routed(made, router, rows)
            found.append(Routed(name, mean_bits, loss, float(np.interp(mean_bits, SERVED, even))))
    return found


def _routed(made: Lab, router: BitRouter, rows: int) -> tuple[float, float]:
    """Loss, and mean bits asked for."""
    with made.served(router, Loading(1 << 30, apart=True)) as out:
        return loss_nats(made.model, made.held[:rows]), out.mean_bits


def _loss(made: Lab, matrices: dict[str, list[Tensor]]) -> float:
    with made.rounded(matrices) as model:
        return loss_nats(model, made.held)


def _of(made: Lab, experts: Experts, bits: int) -> dict[str, list[Tensor]]:
    torch = transformers_module("torch")
    found: dict[str, list[Tensor]] = {name: [] for name in NAMES}
    for place, block in enumerate(blocks(made.model)):
        for name in NAMES:
            each = (experts[key][name].top(bits).matrix() for key in sorted(experts) if key.layer == place)
            found[name].append(torch.from_numpy(np.stack(list(each))))
            assert len(found[name][-1]) == block.count
    return found


def _ordinary(made: Lab, form: str, *, grouped: bool = False) -> dict[str, list[Tensor]]:
    """In a format of its own for this width alone; "int8" has a scale a row."""
    torch = transformers_module("torch")
    found: dict[str, list[Tensor]] = {name: [] for name in NAMES}
    for block in blocks(made.model):
        for name in NAMES:
            every = getattr(block.experts, name).detach().numpy()
            format_ = formats.make(f"{form}g{min(GROUP, every.shape[2])}" if grouped else form)
            rounded = [
                formats.restored(format_, formats.quantise(format_, np.ascontiguousarray(each))) for each in every
            ]
            found[name].append(torch.from_numpy(np.stack(rounded)))
    return found
