"""Small networks of ternary layers, for tests."""

from __future__ import annotations

from typing import Any

from shoal.train import seeded
from shoal.train.ternary import TernaryProducts

SIZES = {"up": (48, 32), "o_proj": (24, 48)}  # outputs and inputs; the second has an RMSNorm of its own


def chain(products: TernaryProducts, seed: int = 0, noise: bool = True) -> Any:
    """Two layers with a ReLU between; `noise`: as if the corrections had been trained."""
    import torch

    with seeded(seed):
        layers = {name: products.linear(*sizes, name) for name, sizes in SIZES.items()}
    net = torch.nn.Sequential()
    net.add_module("up", layers["up"])
    net.add_module("relu", torch.nn.ReLU())
    net.add_module("o_proj", layers["o_proj"])
    source = torch.Generator().manual_seed(5)
    for layer in layers.values() if noise and products.rank else ():
        layer.side_out.data.normal_(0, 0.3, generator=source)
        for each in layer.gate.parameters():
            each.data.add_(0.3 * torch.randn(each.shape, generator=source))
    return net


def tokens(count: int = 7, columns: int = 32) -> Any:
    """Activations (1, count, columns)."""
    import torch

    return torch.randn(1, count, columns, generator=torch.Generator().manual_seed(3))
