"""Budgets inside `generate` of transformers, which it needs."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria

from shoal.llm.reasoning.control import Control, Steering
from shoal.llm.reasoning.marks import Marks
from shoal.llm.reasoning.sampling import restricted


class Followed:
    """The texts of one call of `generate`, without beams: what follows the prompt is thinking and an answer."""

    def __init__(self, prompt_tokens: int, marks: Marks, control: Control) -> None:
        self.marks, self._control = marks, control
        self._seen, self._steering = prompt_tokens, None

    _steering: Steering | None

    def up_to(self, symbols: Tensor) -> Steering:
        """The steering after (rows, tokens), the prompt included."""
        steering = self._steering = self._steering or Steering(len(symbols), self.marks, self._control)
        for at in range(self._seen, symbols.shape[1]):
            steering.take(symbols[:, at].numpy())
        self._seen = symbols.shape[1]
        return steering


class Budget(LogitsProcessor):  # type: ignore[misc]  # transformers leaves it untyped
    """`generate(…, logits_processor=[Budget(followed)])`: leaves only what may follow."""

    def __init__(self, followed: Followed) -> None:
        self._followed = followed

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (rows, vocabulary)."""
        return restricted(scores, self._followed.up_to(input_ids).wanted(), self._followed.marks)


class Answered(StoppingCriteria):  # type: ignore[misc]  # transformers leaves it untyped
    """`generate(…, stopping_criteria=[Answered(followed)])`: ends the texts that have their answer."""

    def __init__(self, followed: Followed) -> None:
        self._followed = followed

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        """Which texts are done, (rows,)."""
        return torch.from_numpy(self._followed.up_to(input_ids).done.copy())
