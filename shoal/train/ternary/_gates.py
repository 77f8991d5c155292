"""Gates of corrections during training: held small, then left as they are, or shut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.errors import InputError
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import Tensor, nn


def hybrid_layers(model: nn.Module) -> dict[str, Any]:
    """The layers with a correction, by their names in the network."""
    kind = torch_module("shoal.train.ternary._layers").HybridLinear
    return {name: module for name, module in model.named_modules() if isinstance(module, kind)}


def shut(model: nn.Module) -> None:
    """Shut all gates, in place: the network answers as without corrections."""
    for layer in hybrid_layers(model).values():
        layer.gate.shut()


@dataclass(frozen=True)
class GatePenalty:
    """λ·Σ over layers of the mean |g|, in the middle of the steps.

    At first there is none: a correction begins at zero, and a gate that is pressed shut before it is of any use stays shut.
    In the last part gates no longer change, so that all else settles.

    Raises:
        InputError: a figure out of range.
    """

    steps: int  # of training
    strength: float = 1e-3  # λ
    free: float = 0.3  # the first part, as a share of the steps
    settled: float = 0.25  # the last part

    def __post_init__(self) -> None:
        if self.steps < 1 or self.strength < 0 or min(self.free, self.settled) < 0 or self.free + self.settled > 1:
            raise InputError(
                "no penalty", needed="steps from 1, a strength from 0, shares from 0, at most 1 together"
            )

    def __call__(self, model: nn.Module, step: int) -> Tensor | None:
        """What is added to the loss of this step."""
        gates = [layer.gate for layer in hybrid_layers(model).values()]
        done = step / self.steps
        for gate in gates:
            gate.requires_grad_(done < 1 - self.settled)
        if not gates or not self.strength or not self.free <= done < 1 - self.settled:
            return None
        levels = [gate.level() for gate in gates]
        total: Tensor = sum(levels[1:], levels[0])
        return self.strength * total
