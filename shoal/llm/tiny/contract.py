"""What a small trained model is: its configuration as Hugging Face has it, and its weights by the module's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.llm.modules import module

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAMILY = "llm/tiny"


@dataclass(frozen=True, eq=False)
class Tiny:
    """A small model that reads bytes: symbol i is byte i."""

    config: Mapping[str, Any]
    weights: Mapping[str, NDArray[np.float32]]

    def module(self, attention: str = "eager") -> PreTrainedModel:
        """The model as transformers has it; see `shoal.llm.modules.module`."""
        return module(self.config, self.weights, attention=attention)


class Kind(Protocol):
    """A member of `llm/tiny`."""

    def model(self) -> Tiny:
        """Configuration and weights.

        Raises:
            MissingExtra: safetensors is not installed.
            ModelError: the file of weights is damaged.
        """


def tiny(kind: str) -> Tiny:
    """The small model of a kind ("llama"); `catalog.names("llm/tiny")` lists them.

    Raises:
        InputError: there is none.
    """
    found: Tiny = catalog.find(FAMILY, kind)().model()
    return found
