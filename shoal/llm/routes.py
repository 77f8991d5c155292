"""Where a model sends the tokens of texts, and where it would have been foreseen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.llm.experts._blocks import blocks
from shoal.llm.experts._seen import seen
from shoal.llm.library import transformers_module
from shoal.store import NOBODY, RoutingTrace

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def recorded(
    model: PreTrainedModel, symbols: NDArray[np.int64], documents: Sequence[int] | None = None
) -> RoutingTrace:
    """Routes of (n, places) symbols, read at once.

    Args:
        model: of transformers, with experts; its choices are not touched.
        symbols: a text or a stretch of one in each row.
        documents: which text each row is from; each its own where nothing is said.

    Raises:
        ModelError: no layer has experts.
        InputError: the documents are not one a row.
    """
    torch, found = transformers_module("torch"), blocks(model)
    numbers = range(len(symbols)) if documents is None else documents
    if len(numbers) != len(symbols):
        raise InputError("a document for each row is needed", needed=str(len(symbols)), had=str(len(numbers)))
    met = seen(model, symbols)
    chosen = torch.stack([each.chosen for each in met], 1)
    foreseen = torch.full_like(chosen, NOBODY)
    with torch.no_grad():
        for at, (block, before) in enumerate(zip(found[1:], met, strict=False), 1):
            foreseen[:, at] = block.router(before.inputs)[2]
    return RoutingTrace(
        found[0].count,
        chosen.numpy().astype(np.int16),
        torch.stack([each.weights for each in met], 1).numpy().astype(np.float32),
        foreseen.numpy().astype(np.int16),
        np.repeat(np.asarray(numbers, np.int32), symbols.shape[1]),
    )
