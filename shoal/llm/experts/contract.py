"""What a technique on experts is: it changes a model in place, and hands back what undoes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.experts._handle import Handle

FAMILY = "llm/experts"
I64 = NDArray[np.int64]
Settled = Literal[
    "which experts there are",
    "how wide experts are",
    "how many a token meets",
    "how weights are stored",
    "their order",
]


class Technique(Protocol):
    """A member of `llm/experts`."""

    @property
    def exact(self) -> bool:
        """Whether the model answers as before, but for rounding (1e-5)."""

    @property
    def settles(self) -> tuple[Settled, ...]:
        """What it decides; two techniques that decide the same do not go together."""

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """Change the model in place.

        Args:
            model: of transformers, with experts as one array a matrix.
            symbols: (n, places) of text to learn from what experts do; read only where that is needed.

        Raises:
            ModelError: no layer has experts, or the router is of a kind that the technique does not know.
            InputError: an option is out of range for this model.
            MissingExtra: a library is not installed.
        """
