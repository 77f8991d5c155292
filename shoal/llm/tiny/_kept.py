"""The small models whose weights are kept beside their module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

from numpy.typing import NDArray

from shoal.llm.tiny.contract import Tiny
from shoal.train.language import kept
from shoal.train.recipe import Recipe

BYTES = {  # of every model that reads bytes
    "vocab_size": 256, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None,
}  # fmt: skip
RECIPE = Recipe(steps=1500, batch=16, optimiser="adamw", rate=3e-3, decay=0.1, warmup=0.05, clip=1.0)
SHORT = replace(RECIPE, steps=1200, batch=8)
SLOW = replace(RECIPE, steps=1100, batch=4, rate=2e-3)  # of those that scan: in plain torch a step costs more


class Kept:
    """A kind whose file of weights has the name of its module: `python -m shoal.llm.tiny KIND FILE` writes it."""

    config: ClassVar[Mapping[str, Any]]
    sha256: ClassVar[str]  # of the file
    recipe: ClassVar[Recipe] = RECIPE

    def model(self) -> Tiny:
        """See `Kind`."""
        name = type(self).__module__.rpartition(".")[2]
        return Tiny(self.config, self.read(_read(name, self.sha256)))

    @classmethod
    def written(cls, weights: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """What the file has of weights after training; it keeps float16, and bytes as they are."""
        return weights

    @classmethod
    def read(cls, held: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """The weights of a file."""
        return held


@lru_cache(maxsize=8)
def _read(name: str, sha256: str) -> Mapping[str, NDArray[Any]]:
    return kept("shoal.llm.tiny", f"{name}.safetensors", sha256)
