"""The one with many small experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from shoal.llm.tiny._kept import SHORT, Kept
from shoal.llm.tiny.mixtral import Mixtral


@dataclass(frozen=True)
class Experts16(Kept):
    """As `mixtral`, but of sixteen experts half as large four are for each byte: as many weights, as much work."""

    config = Mixtral.config | {"num_local_experts": 16, "num_experts_per_tok": 4, "intermediate_size": 32}
    recipe = SHORT
    sha256: ClassVar[str] = "0a0140e732590c998066419387854a4004c72779aaed899a7bd37a2fe9718744"
