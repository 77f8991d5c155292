"""Which layers of a ternary network lose most by being ternary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from shoal.train.fit import predicted
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import nn


def most_sensitive(model: nn.Module, symbols: NDArray[Any], share: float = 0.5) -> tuple[str, ...]:
    """The names of so many of the ternary layers, those first whose outputs are furthest from their float weights'.

    Args:
        model: trained; each layer sees what the ternary layers before it give.
        symbols: items to look at.
        share: of the layers, at least one.
    """
    torch, layers = torch_module(), torch_module("shoal.train.ternary._layers")
    lost: dict[str, float] = {}

    def look(name: str, layer: Any, given: tuple[Any, ...], made: Any) -> None:
        x = layers.normal(given[0]) if layer.normed else given[0]
        wanted = torch.nn.functional.linear(x, layer.weight)
        lost[name] = float((made - wanted).square().mean() / wanted.square().mean())

    hooks = [
        module.register_forward_hook(lambda *seen, name=name: look(name, *seen))
        for name, module in model.named_modules()
        if isinstance(module, layers.TernaryLinear)
    ]
    predicted(model, symbols, batch=len(symbols))
    for hook in hooks:
        hook.remove()
    return tuple(sorted(lost, key=lambda name: -lost[name])[: max(1, round(share * len(lost)))])
