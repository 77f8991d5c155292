"""A trained binary network with its weights in words of 64 signs; the rest of it is as it was."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shoal.errors import InputError
from shoal.train.binary._layers import BinaryConv2d, BinaryLinear
from shoal.train.binary._sign import mean_magnitude
from shoal.train.nets._parts import Pair, Unit
from shoal.train.packing import PackedConv, PackedLinear, Thresholds

Layer = BinaryConv2d | BinaryLinear


class PackedProduct(nn.Module):
    """A binary layer that multiplies packed words."""

    def __init__(self, layer: Layer, path: str) -> None:
        super().__init__()
        self.value, self.path = packed_layer(layer), path
        self.register_buffer("alpha", mean_magnitude(layer.weight).view(-1, 1))  # all that scales need of weights
        self.layer = copy.deepcopy(layer)
        self.layer.weight = nn.Parameter(torch.empty((0,) * layer.weight.ndim))
        for name in [each for each, _ in self.layer.named_children() if each.startswith("training_")]:
            delattr(self.layer, name)

    def bits(self, x: Tensor) -> NDArray[np.bool_]:
        """The signs of the inputs."""
        signs = self.layer.algorithm.inputs(self.layer, x)
        return np.asarray(signs.detach().numpy() > 0)

    def scaled(self, sums: NDArray[np.int32], x: Tensor) -> Tensor:
        """Sums as figures, times the scale."""
        found = torch.from_numpy(sums).to(torch.float32)
        scale = self.layer.algorithm.scale(self.layer, self._alpha(), x)
        return found if scale is None else found * scale

    def forward(self, x: Tensor) -> Tensor:
        """Like the layer's."""
        return self.scaled(self.value.sums(self.bits(x), self.path), x)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored of its weights."""
        return {"words": self.value.words}

    def _alpha(self) -> Tensor:
        return self.get_buffer("alpha")


class FoldedPair(nn.Module):
    """A pair whose inner BatchNorm, scale and sign are one comparison of whole numbers."""

    def __init__(self, first: PackedProduct, second: Unit, thresholds: Thresholds) -> None:
        super().__init__()
        self.first, self.second, self.thresholds = first, second, thresholds

    def forward(self, x: Tensor) -> Tensor:
        """Like the pair's."""
        product = self.second.product
        assert isinstance(product, PackedProduct)
        inner = self.thresholds.bits(self.first.value.sums(self.first.bits(x), self.first.path))
        y = product.scaled(product.value.sums(inner, product.path), x)
        return x + self.second.ended(y)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The thresholds; whether they are turned is a bit each."""
        return {"least": self.thresholds.least, "turned": np.packbits(self.thresholds.turned)}


def packed_layer(layer: Layer) -> PackedConv | PackedLinear:
    """The layer's signs in words.

    Raises:
        InputError: they are no signs: there is noise on them while training.
    """
    signs = layer.signs().detach().numpy()
    if isinstance(layer, BinaryConv2d):
        return PackedConv.of(signs, layer.stride, layer.pad)
    return PackedLinear.of(signs)


def packed_copy(net: nn.Module, path: str) -> nn.Module:
    """See `shoal.train.export.packed`."""
    if net.training:
        raise InputError("a network that is still being trained cannot be packed", hint="call net.eval() first")
    with torch.no_grad():
        return _packed(copy.deepcopy(net), path)


def stored(net: nn.Module) -> dict[str, NDArray[Any]]:
    """See `shoal.train.export.arrays`."""
    found = {name: each.numpy() for name, each in net.state_dict().items() if _is_stored(name, each)}
    for place, module in net.named_modules():
        if isinstance(module, PackedProduct | FoldedPair):
            found |= {f"{place}.{name}": each for name, each in module.arrays().items()}
    return found


def restored(net: nn.Module, found: Mapping[str, NDArray[Any]], path: str) -> nn.Module:
    """See `shoal.train.export.restored`."""
    with torch.no_grad():
        made = _rebuilt(copy.deepcopy(net).eval(), "", found, path)
    own = {name: each for name, each in made.state_dict().items() if _is_stored(name, each)}
    for name, each in own.items():
        each.copy_(torch.from_numpy(_of(found, name, tuple(each.shape), np.float32)))
    if extra := set(found) - set(stored(made)):
        raise InputError("arrays of another network", had=", ".join(sorted(extra)[:3]))
    return made


def _rebuilt(module: nn.Module, place: str, found: Mapping[str, NDArray[Any]], path: str) -> nn.Module:
    """The same with what is stored in place of what would come of its own weights."""
    if isinstance(module, BinaryConv2d | BinaryLinear):
        product = PackedProduct(module, path)
        words = _of(found, f"{place}.words", product.value.words.shape, np.uint64)
        product.value = replace(product.value, words=words)
        return product
    before = f"{place}." if place else ""
    if isinstance(module, Pair) and f"{before}least" in found:
        first = _rebuilt(module.first.product, f"{before}first", found, path)
        second = _rebuilt(module.second, f"{before}second", found, path)
        assert isinstance(first, PackedProduct)
        assert isinstance(second, Unit)
        return FoldedPair(first, second, _read_thresholds(found, before, first.value.words.shape[0]))
    for name, child in list(module.named_children()):
        setattr(module, name, _rebuilt(child, f"{before}{name}", found, path))
    return module


def _read_thresholds(found: Mapping[str, NDArray[Any]], before: str, rows: int) -> Thresholds:
    least = np.asarray(found[f"{before}least"])
    if least.dtype != np.int32 or least.ndim not in (1, 3) or least.shape[0] != rows:
        raise InputError("thresholds of another network", where=before, had=f"{least.dtype} {least.shape}")
    turned = _of(found, f"{before}turned", (-(-least.size // 8),), np.uint8)
    return Thresholds(least, np.unpackbits(turned, count=least.size).astype(bool).reshape(least.shape))


def _of(found: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
    """A stored array.

    Raises:
        InputError: it is missing, or another one.
    """
    if name not in found:
        raise InputError("arrays of another network", needed=name)
    each = np.ascontiguousarray(found[name])
    if each.shape != shape or each.dtype != kind:
        raise InputError(
            "arrays of another network", where=name, needed=str(shape), had=f"{each.dtype} {each.shape}"
        )
    return each


def _is_stored(name: str, each: Tensor) -> bool:
    """Counts of batches serve training, and emptied weights are stored as words."""
    return bool(each.numel()) and not name.endswith("num_batches_tracked")


def _packed(module: nn.Module, path: str) -> nn.Module:
    if isinstance(module, BinaryConv2d | BinaryLinear):
        return PackedProduct(module, path)
    thresholds = _thresholds(module) if isinstance(module, Pair) else None
    for name, child in list(module.named_children()):
        setattr(module, name, _packed(child, path))
    if thresholds is None:
        return module
    assert isinstance(module, Pair)
    first = module.first.product
    assert isinstance(first, PackedProduct)
    return FoldedPair(first, module.second, thresholds)


def _thresholds(pair: Pair) -> Thresholds | None:
    """By trying out every sum that there can be; None if there is more between the products than a comparison.

    Tried out with the very ops of the training graph, so that no rounding tells the two apart.
    """
    first, second = pair.first.product, pair.second.product
    if not isinstance(first, Layer) or not isinstance(second, Layer) or pair.first.around:
        return None
    if first.algorithm.by_item:
        return None
    columns = first.weight[0].numel()
    levels = np.arange(-columns, columns + 1, 2, dtype=np.int32)
    shape = (len(levels), first.rows, *[1] * (first.weight.ndim - 2))
    sums = torch.from_numpy(levels).to(torch.float32).view(-1, *[1] * (len(shape) - 1)).expand(shape)
    signs = second.algorithm.inputs(second, pair.first.ended(first.scaled(sums, sums)))
    return Thresholds.of(levels, signs.numpy() > 0)
