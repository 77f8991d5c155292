"""What experts cost on a fast device with little memory, on a slow one that holds all of them, and on the way between.

Source: Zhang et al., "DAOP: Data-Aware Offloading and Predictive Pre-Calculation for Efficient MoE Inference", DATE 2025;
the constants are those of its programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shoal.errors import InputError


@dataclass(frozen=True)
class Pace:
    """Times of one layer's parts.

    Attributes:
        slow_s: one token in one expert on the slow device, with the token's way there and back.
        load_s: one expert's weights from the slow device to the fast one.
        attention_s: all of a layer but its experts, on the fast device.
        fast_s: one expert on the fast device; its tokens come at no cost.
        ask_s: what it costs the fast device to ask the slow one.
    """

    slow_s: float
    load_s: float
    attention_s: float = 0.0
    fast_s: float = 0.0
    ask_s: float = 0.0

    def __post_init__(self) -> None:
        if min(self.slow_s, self.load_s) <= 0 or min(self.attention_s, self.fast_s, self.ask_s) < 0:
            raise InputError("computing and loading an expert take a time above zero", where="pace", had=f"{self}")

    def hidden(self, fast: int, slow: int) -> bool:
        """Whether nobody waits for what the slow device was asked for a layer before."""
        return slow * self.slow_s <= self.attention_s + fast * self.fast_s


# seconds: one token in one expert on the processor, one expert's way to the card
PUBLISHED: Mapping[str, tuple[float, float]] = {
    "A100, Mixtral-8x7B": (5e-3, 40e-3),
    "A100, Phi-3.5-MoE": (2.5e-3, 25e-3),
    "A100, Mixtral-8x22B": (16e-3, 86e-3),
    "A6000, Mixtral-8x7B": (8.5e-3, 210e-3),
    "A6000, Phi-3.5-MoE": (3.5e-3, 30e-3),
}
