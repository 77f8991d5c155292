"""Which experts bear fewer bits: each tried alone, then lowered in that order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal import formats
from shoal.errors import InputError
from shoal.llm.experts._blocks import MATRICES, Block, blocks
from shoal.llm.experts._handle import Handle
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64

WIDTHS = (8, 4, 2)  # bits of a weight, one scale for each channel


class Expert(NamedTuple):
    """One of a model's."""

    place: int  # of its layer among those that have experts
    number: int


Widths = Mapping[Expert, int]


def form(width: int) -> str:
    """The format's name."""
    return f"int{width}"


class Trial:
    """A model whose experts are given widths again and again, and the loss on some text. `trial` makes one."""

    def __init__(
        self, found: Sequence[Block], plain: Sequence[tuple[Tensor, ...]], model: PreTrainedModel, symbols: I64
    ):
        torch = transformers_module("torch")
        self._blocks, self._plain, self._model = found, plain, model
        self._symbols = torch.from_numpy(symbols)
        self._now: dict[Expert, int] = {}
        self._rounded = cache(self._round)
        self.experts = tuple(Expert(at, each) for at, block in enumerate(found) for each in range(block.count))
        self.plain_losses_nats = self._losses()

    @property
    def plain_loss_nats(self) -> float:
        """A symbol's, with the experts as they are."""
        return float(self.plain_losses_nats.mean())

    def loss_nats(self, widths: Widths) -> float:
        """A symbol's, with experts of these widths, all of them named."""
        return float(self.losses_nats(widths).mean())

    def losses_nats(self, widths: Widths) -> NDArray[np.float64]:
        """(n,): the same of each row of text."""
        for expert, width in widths.items():
            if self._now.get(expert) != width:
                self._set(expert, width)
        return self._losses()

    def bits(self, widths: Widths) -> int:
        """What the experts take."""
        forms = {width: formats.make(form(width)) for width in widths.values()}
        total = 0
        for expert, width in widths.items():
            for each in self._plain[expert.place]:
                _, rows, columns = each.shape
                total += forms[width].stored_bits((rows, columns))
        return total

    def sensitivities(self) -> dict[Expert, float]:
        """How much the loss rises with one expert in the fewest bits, all others in the most."""
        most = dict.fromkeys(self.experts, WIDTHS[0])
        before = self.loss_nats(most)
        return {each: self.loss_nats(most | {each: WIDTHS[-1]}) - before for each in self.experts}

    def _set(self, expert: Expert, width: int) -> None:
        torch = transformers_module("torch")
        with torch.no_grad():
            for name, rounded in zip(MATRICES, self._rounded(expert, width), strict=True):
                getattr(self._blocks[expert.place].experts, name)[expert.number] = rounded
        self._now[expert] = width

    def _round(self, expert: Expert, width: int) -> tuple[Tensor, ...]:
        torch, made = transformers_module("torch"), formats.make(form(width))
        matrices = (np.ascontiguousarray(each[expert.number].numpy()) for each in self._plain[expert.place])
        return tuple(torch.from_numpy(formats.restored(made, formats.quantise(made, each))) for each in matrices)

    def _losses(self) -> NDArray[np.float64]:
        torch = transformers_module("torch")
        with torch.no_grad():
            logits = self._model(self._symbols[:, :-1], use_cache=False).logits
        every = torch.nn.functional.cross_entropy(logits.mT, self._symbols[:, 1:], reduction="none")
        found: NDArray[np.float64] = every.double().mean(1).numpy()
        return found


@contextmanager
def trial(model: PreTrainedModel, symbols: I64) -> Iterator[Trial]:
    """The model is as it was afterwards.

    Args:
        model: with experts.
        symbols: (n, places) of text.

    Raises:
        ModelError: no layer has experts.
        InputError: the text is too short to foresee anything of it.
    """
    if symbols.ndim != 2 or 0 in symbols.shape or symbols.shape[1] < 2:
        raise InputError("the loss needs text of two symbols a row at least", had=str(symbols.shape))
    found, handle = blocks(model), Handle()
    plain = [tuple(getattr(each.experts, name).detach() for name in MATRICES) for each in found]
    try:
        for block, (gate_up, down) in zip(found, plain, strict=True):
            block.set(handle, gate_up, down)
        yield Trial(found, plain, model, symbols)
    finally:
        handle.undo()


def lowered(order: Sequence[Expert], step: int) -> Iterator[dict[Expert, int]]:
    """Widths of all, from the most bits to the fewest: so many experts at a time go one width down, in this order."""
    widths = dict.fromkeys(order, WIDTHS[0])
    yield dict(widths)
    for width in WIDTHS[1:]:
        for at in range(0, len(order), step):
            widths |= dict.fromkeys(order[at : at + step], width)
            yield dict(widths)
