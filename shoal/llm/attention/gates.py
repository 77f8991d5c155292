"""Which KV heads need all that they see: a gate for each, learned, or by where their attention goes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from transformers import PreTrainedModel

I64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Gates:
    """How much each KV head needs tokens that are neither first nor recent, from 0 to 1."""

    values: NDArray[np.float32]  # (layers, KV heads)

    def streaming(self, ratio: float) -> tuple[tuple[int, ...], ...]:
        """The heads that get both ends only, by layer: all but the ratio with the highest gates.

        Raises:
            InputError: a ratio outside 0 to 1.
        """
        if not 0 <= ratio <= 1:
            raise InputError("no share of the heads", where="ratio", needed="0 to 1", had=f"{ratio:g}")
        kept = math.floor(ratio * self.values.size + 0.5)
        order = np.argsort(-self.values, axis=None, kind="stable")[kept:]
        left = np.zeros(self.values.size, bool)
        left[order] = True
        return tuple(tuple(np.flatnonzero(row).tolist()) for row in left.reshape(self.values.shape))

    def agreement(self, other: Gates, ratio: float) -> float:
        """The share of heads that both put into the same class.

        Raises:
            InputError: a ratio outside 0 to 1.
        """
        mine, others = (self._classes(each.streaming(ratio)) for each in (self, other))
        return float((mine == others).mean())

    def _classes(self, streaming: tuple[tuple[int, ...], ...]) -> NDArray[np.bool_]:
        found = np.zeros(self.values.shape, bool)
        for layer, heads in enumerate(streaming):
            found[layer, list(heads)] = True
        return found


@dataclass(frozen=True)
class GateRecipe:
    """How gates are learned; the figures that are not about length are DuoAttention's.

    [Xiao et al., "DuoAttention: Efficient Long-Context LLM Inference with Retrieval and Streaming Heads", 2024]
    """

    sink: int = 128  # first tokens that streaming attention sees
    recent: int = 256  # last tokens that it sees, the newest included
    steps: int = 2000
    batch: int = 4  # sequences of a step
    rate: float = 0.02  # of Adam
    weight: float = 0.05  # of the mean gate beside the error of the last hidden state
    seed: int = 0  # of the order of sequences

    def __post_init__(self) -> None:
        if self.recent < 1 or self.sink < 0 or self.steps < 1 or self.batch < 1:
            raise InputError("no recipe of gates", needed="recent, steps and batch from 1, a sink from 0")


def learned_gates(
    model: PreTrainedModel, tokens: I64, answers: NDArray[np.bool_], recipe: GateRecipe | None = None
) -> Gates:
    """Learn the gates alone: out = a · full + (1 − a) · streaming attention, each step clamped to 0 … 1.

    The loss is the mean square of what this changes in the last hidden state at the answers, and the mean gate times
    its weight. The model stays as it is.

    Args:
        model: a causal language model.
        tokens: (sequences, places), texts in which something far back must be remembered.
        answers: (sequences, places), True where it is needed.
        recipe: how; none: as published.

    Raises:
        MissingExtra: transformers is not installed.
    """
    values = transformers_module("shoal.llm.attention._gates").learned(
        model, tokens, answers, recipe or GateRecipe()
    )
    return Gates(values)


def mass_gates(model: PreTrainedModel, tokens: I64, sink: int = 64, recent: int = 256) -> Gates:
    """The mean share of a head's attention that goes neither to the first nor to the last tokens: cheap, not learned.

    Args:
        model: a causal language model.
        tokens: (sequences, places), longer than `sink` + `recent`; queries further back count.
        sink: first tokens.
        recent: last tokens, the query's own included.

    Raises:
        MissingExtra: transformers is not installed.
        InputError: the texts are too short.
    """
    if tokens.shape[1] <= sink + recent:
        raise InputError("texts too short to tell heads apart", needed=f"more than {sink + recent} tokens",
                         had=str(tokens.shape[1]))  # fmt: skip
    return Gates(transformers_module("shoal.llm.attention._gates").masses(model, tokens, sink, recent))
