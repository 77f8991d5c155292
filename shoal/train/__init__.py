"""One-process training of small networks (torch, extra `train`): recipes, tasks, nets and ways to binarise them."""

from shoal.train.data import Data, Items, Shape
from shoal.train.export import arrays, binary_layers, built, packed, packed_layer, restored
from shoal.train.fit import Fitted, accuracy, fit, predicted, seeded
from shoal.train.packing import PackedConv, PackedLinear, Thresholds, bits_of
from shoal.train.recipe import Recipe

__all__ = [
    "Data",
    "Fitted",
    "Items",
    "PackedConv",
    "PackedLinear",
    "Recipe",
    "Shape",
    "Thresholds",
    "accuracy",
    "arrays",
    "binary_layers",
    "bits_of",
    "built",
    "fit",
    "packed",
    "packed_layer",
    "predicted",
    "restored",
    "seeded",
]
