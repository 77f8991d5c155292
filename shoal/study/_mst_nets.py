"""Networks trained for short trees, and what their trees are checked for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.compress.tree import ChannelTree, channel_tree, distances, hung_from, levels, tree_sums
from shoal.compress.tree_penalty import TreePenalty, sign_rows, start_alike
from shoal.compress.tree_store import tree_bytes
from shoal.kernels.lowbit import sign_product, sign_words
from shoal.train import Recipe, accuracy, binary_layers, built, fit, predicted

if TYPE_CHECKING:
    from torch import nn

Signs = NDArray[np.int8]


@dataclass(frozen=True)
class TreeLayer:
    """One binary layer of a trained network as a tree."""

    name: str
    tree: ChannelTree
    places: int  # outputs a picture
    exact: bool  # whether the tree gives the training graph's sums


@dataclass(frozen=True)
class Net:
    """A trained network."""

    seed: int
    accuracy: float
    penalty_share: float  # of the whole loss, mean over training
    layers: tuple[TreeLayer, ...]

    @property
    def ratio(self) -> float:
        """XNORs of a picture over those of the dense network."""
        return _over(self.layers, lambda each: each.tree.bit_ops * each.places,
                     lambda each: each.tree.dense_bit_ops * each.places)  # fmt: skip

    @property
    def bytes_share(self) -> float:
        """Stored bytes of the trees over those of packed signs."""
        return _over(self.layers, lambda each: len(tree_bytes(each.tree)), lambda each: each.tree.dense_bit_ops / 8)


def trained_net(
    task: str, net: str, algorithm: str, strength: float, seed: int, steps: int, pictures: int, spread: float
) -> Net:
    """Train and take apart; `pictures` are held against the training graph at every layer.

    Channels begin with a share `spread` of signs off a common pattern, below a half.
    """
    data = catalog.make("train/tasks", task).load()
    model = built(catalog.make("train/nets", net), data.shape, catalog.make("train/binary", algorithm), seed)
    if spread < 0.5:
        start_alike(model, spread, seed)
    recipe = Recipe(steps=steps, seed=seed, rate=3e-3)
    fitted = fit(model, data, recipe, penalty=TreePenalty(strength, steps), arm=f"strength {strength:g}")
    share = float(np.mean(np.array(fitted.penalties) / np.array(fitted.losses)))
    found = accuracy(model, data.test_x, data.test_y)
    return Net(seed, found, share, _layers(model, data.test_x[:pictures]))


def random_ratio(rows: int, columns: int, seed: int) -> float:
    """XNORs over dense ones for random signs."""
    signs = np.where(np.random.default_rng(seed).random((rows, columns)) < 0.5, -1, 1)
    return channel_tree(signs).ratio


def weights_agree(trees: list[ChannelTree]) -> bool | None:
    """Whether scipy finds trees of the same weights; None without scipy. It drops edges of weight 0: 1 is added."""
    try:
        from scipy.sparse.csgraph import minimum_spanning_tree
    except ImportError:
        return None
    theirs = [minimum_spanning_tree(distances(tree.signs) + 1).sum() - (tree.rows - 1) for tree in trees]
    return [tree.weight for tree in trees] == [int(each) for each in theirs]


def roots_are_best(trees: list[ChannelTree]) -> bool:
    """Whether no other root gives less depth."""
    return all(
        tree.depth <= int(levels(hung_from(tree.parent, root)).max()) for tree in trees for root in range(tree.rows)
    )


def paths_timed(tree: ChannelTree, places: int, repeats: int = 5) -> tuple[float, float, float]:
    """Seconds of a picture: dense by the best path that is here, dense by numpy, by the tree in numpy."""
    x = np.where(np.random.default_rng(0).random((places, tree.columns)) < 0.5, -1, 1).astype(np.int8)
    weights, inputs = sign_words(tree.signs), sign_words(x)
    ways = (
        partial(sign_product, weights, inputs, tree.columns),
        partial(sign_product, weights, inputs, tree.columns, "numpy"),
        partial(tree_sums, tree, x),
    )
    best, plain, hung = (median(_seconds(way) for _ in range(repeats)) for way in ways)
    return best, plain, hung


def _layers(model: nn.Module, x: NDArray[Any]) -> tuple[TreeLayer, ...]:
    layers: dict[str, Any] = binary_layers(model)
    found: dict[str, TreeLayer] = {}

    def look(name: str, layer: Any, given: tuple[Any, ...]) -> None:
        sums = layer.sums(given[0]).movedim(1, -1) if layer.weight.ndim == 4 else layer.sums(given[0])
        flat = sums.reshape(-1, layer.rows).numpy()
        tree = channel_tree(sign_rows(layer))
        exact = bool((tree_sums(tree, _seen(layer, given[0])) == flat).all())
        found[name] = TreeLayer(name, tree, len(flat) // len(x), exact)

    hooks = [layer.register_forward_pre_hook(partial(look, name)) for name, layer in layers.items()]
    predicted(model, x)
    for hook in hooks:
        hook.remove()
    return tuple(found.values())


def _seen(layer: Any, x: Any) -> Signs:
    """(places, columns): the signs that each output of a layer sums over."""
    import torch

    signs = layer.algorithm.inputs(layer, x)
    if layer.weight.ndim == 2:
        return np.asarray(signs.reshape(-1, signs.shape[-1]).numpy(), np.int8)
    padded = torch.nn.functional.pad(signs, (layer.pad,) * 4, value=-1.0)
    columns = torch.nn.functional.unfold(padded, layer.kernel, stride=layer.stride)
    return np.asarray(columns.transpose(1, 2).reshape(-1, columns.shape[1]).numpy(), np.int8)


def _over(layers: tuple[TreeLayer, ...], part: Any, whole: Any) -> float:
    return float(sum(map(part, layers)) / sum(map(whole, layers)))


def _seconds(way: Any) -> float:
    begun = time.perf_counter()
    way()
    return time.perf_counter() - begun
