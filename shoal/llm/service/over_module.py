"""Steps computed by a module of transformers in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from shoal.llm.decoder.writer import BEST
from shoal.llm.library import transformers_module
from shoal.llm.service.batch import Step
from shoal.llm.service.executor import Outputs
from shoal.llm.service.placed import Room

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class OverModule:
    """See `Executor`: rows of a step that are nobody's are left out, so that experts get no tokens of nobody."""

    def __init__(self, model: PreTrainedModel, label: str, room: Room, context: int) -> None:
        """`model` attends eagerly: it is given a mask of what each token sees."""
        from shoal.llm.service._row_cache import RowCache

        self.label, self.room = label, room.grouped(1)
        self._model, self._cache = model, RowCache(room.rows, context)
        self._asked: list[Step] = []

    def send(self, step: Step) -> None:
        """See `Executor`: it is computed when it is taken."""
        self._asked.append(step)

    def take(self, timeout_s: float) -> Iterator[tuple[Step, Outputs]]:
        """See `Executor`."""
        asked, self._asked = self._asked, []
        for step in asked:
            yield step, self._computed(step)

    def _computed(self, step: Step) -> Outputs:
        torch = transformers_module("torch")
        mine = [at for at, name in enumerate(step.names) if name is not None or step.fed is not None]
        symbols = torch.tensor([step.tokens[at] for at in mine])
        last = torch.tensor([[step.last[at]] for at in mine])
        places = last + torch.arange(1 - symbols.shape[1], 1)
        mask = self._cache.turn(step.first + torch.tensor(mine), places)
        with torch.no_grad():
            answer = self._model(
                symbols, attention_mask=mask, position_ids=places, past_key_values=self._cache, use_cache=True,
                logits_to_keep=1,
            )  # fmt: skip
        best = answer.logits[:, -1].sort(descending=True, stable=True)  # among equals the lower token first
        count = min(BEST, best.values.shape[1])
        scores, candidates = (
            np.zeros((len(step.names), count), np.float32),
            np.zeros((len(step.names), count), np.int64),
        )
        scores[mine], candidates[mine] = best.values[:, :count].numpy(), best.indices[:, :count].numpy()
        return {"scores": scores, "candidates": candidates}
