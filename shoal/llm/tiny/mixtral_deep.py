"""The deep one with experts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from shoal.llm.tiny._kept import SHORT, Kept
from shoal.llm.tiny.mixtral import Mixtral


@dataclass(frozen=True)
class MixtralDeep(Kept):
    """As `mixtral`, but eight layers that are narrower, so that there are about as many weights."""

    config = Mixtral.config | {"num_hidden_layers": 8, "hidden_size": 96, "intermediate_size": 48}
    recipe = replace(SHORT, steps=800)
    sha256: ClassVar[str] = "c68b252a3e36ef56542392f9a00655e78a9798e679dd63304e0734822d4d0594"
