"""Trained binary networks as they are stored and run: signs in words, thresholds in whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import nn

_PARTS = "shoal.train.nets._pack"


def packed(net: nn.Module, path: str = "") -> nn.Module:
    """A copy of a network that multiplies packed signs, and gives what the network gives.

    Where a product's BatchNorm is followed by the sign of the next one's inputs, both and the scale become a
    threshold of whole numbers; elsewhere the float ops stay as they are.

    Args:
        net: of `train/nets`, trained, in evaluation mode.
        path: the instruction set, see `shoal.kernels.lowbit`; none: the best.

    Raises:
        InputError: it is in training mode.
    """
    made: nn.Module = torch_module(_PARTS).packed_copy(net, path)
    return made


def arrays(net: nn.Module) -> dict[str, NDArray[Any]]:
    """All that has to be stored of a network, packed or not, by name."""
    found: dict[str, NDArray[Any]] = torch_module(_PARTS).stored(net)
    return found


def restored(net: nn.Module, found: Mapping[str, NDArray[Any]], path: str = "") -> nn.Module:
    """The packed network whose `arrays` these are: kept by `numpy.savez(file, **arrays(small))`, for one.

    Args:
        net: one of the same kind, task and algorithm; its own weights do not matter.
        found: the arrays by name.
        path: the instruction set, as for `packed`.

    Raises:
        InputError: they are another network's.
    """
    made: nn.Module = torch_module(_PARTS).restored(net, found, path)
    return made


def binary_layers(net: nn.Module) -> dict[str, nn.Module]:
    """The binary products of a network by their names in it: `BinaryConv2d`s and `BinaryLinear`s."""
    layers = torch_module("shoal.train.binary._layers")
    kinds = (layers.BinaryConv2d, layers.BinaryLinear)
    return {name: module for name, module in net.named_modules() if isinstance(module, kinds)}


def packed_layer(layer: nn.Module) -> Any:
    """The `PackedConv` or `PackedLinear` of one binary layer."""
    return torch_module(_PARTS).packed_layer(layer)


def built(net: Any, task: Any, algorithm: Any, seed: int) -> nn.Module:
    """A network with weights of this seed; see `Net.build`."""
    from shoal.train.fit import seeded

    with seeded(seed):
        made: nn.Module = net.build(task, algorithm)
    return made
