"""Several techniques on one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shoal.errors import InputError
from shoal.llm.experts._handle import Handle

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64, Settled, Technique


def together(model: PreTrainedModel, techniques: Mapping[str, Technique], symbols: I64) -> Handle:
    """Apply techniques in their order, each to what the one before has left.

    Args:
        model: is changed in place.
        techniques: by the names that messages use.
        symbols: see `Technique.apply`.

    Raises:
        InputError: two of them settle the same; nothing is changed.
        ModelError: one does not fit the model; nothing is changed.
    """
    _check(techniques)
    whole = Handle()
    done = False
    try:
        for each in techniques.values():
            whole.take(each.apply(model, symbols))
        done = True
    finally:
        if not done:
            whole.undo()
    return whole


def _check(techniques: Mapping[str, Technique]) -> None:
    by: dict[Settled, str] = {}
    for name, each in techniques.items():
        for settled in each.settles:
            if settled in by:
                raise InputError(f"'{by[settled]}' and '{name}' do not go together: both settle {settled}")
            by[settled] = name
