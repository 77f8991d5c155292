"""Every algorithm, network and task of BiBench trained by one recipe, and what each trained network is measured for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.train import (
    Data,
    Fitted,
    Recipe,
    accuracy,
    binary_layers,
    built,
    fit,
    packed,
    packed_layer,
    predicted,
)
from shoal.train.corrupt import STRENGTHS, corrupted, kinds

if TYPE_CHECKING:
    from torch import nn

FLOAT = "float"  # stands for no algorithm
WORSE = 200  # pictures that are made worse


@dataclass(frozen=True)
class Trial:
    """One trained network; accuracies are shares."""

    task: str
    net: str
    algorithm: str
    seed: int
    accuracy: float
    step_s: float  # of training
    corrupted: tuple[float, ...] = ()  # accuracy at each kind and strength
    exact: bool | None = None  # whether packed words give its sums and outputs; None: not looked at


@dataclass(frozen=True, eq=False)
class Loaded:
    """A task with its pictures made worse."""

    name: str
    data: Data
    worse: tuple[NDArray[np.float32], ...] = ()


def loaded(name: str) -> Loaded:
    """A task of `train/tasks`; its first test pictures at every kind and strength of corruption."""
    task = catalog.make("train/tasks", name)
    data: Data = task.load()
    if not task.pictures:
        return Loaded(name, data)
    clean = data.test_x[:WORSE]
    worse = [corrupted(clean, kind, level) for kind in kinds() for level in range(1, STRENGTHS + 1)]
    return Loaded(name, data, tuple(worse))


def trial(task: Loaded, net: str, algorithm: str, recipe: Recipe, looked_at: int = 0) -> Trial:
    """Train one network; hold its packed words against it on `looked_at` test items."""
    model, fitted = trained(task, net, algorithm, recipe)
    data = task.data
    return Trial(
        task.name,
        net,
        algorithm,
        recipe.seed,
        accuracy(model, data.test_x, data.test_y),
        fitted.step_s,
        tuple(accuracy(model, x, data.test_y[: len(x)]) for x in task.worse),
        exact(model, data.test_x[:looked_at]) if looked_at and algorithm != FLOAT else None,
    )


def trained(task: Loaded, net: str, algorithm: str, recipe: Recipe) -> tuple[nn.Module, Fitted]:
    """A network trained for the task."""
    model = made(task, net, algorithm, recipe.seed)
    fitted = fit(model, task.data, recipe, arm=f"{task.name}, {net}, {algorithm}, seed {recipe.seed}")
    return model, fitted


def made(task: Loaded, net: str, algorithm: str, seed: int) -> nn.Module:
    """An untrained one."""
    how = None if algorithm == FLOAT else catalog.make("train/binary", algorithm)
    return built(catalog.make("train/nets", net), task.data.shape, how, seed)


def exact(model: nn.Module, x: NDArray[Any]) -> bool:
    """Whether every layer's packed words give the training graph's sums, and the packed network its outputs."""
    found: list[bool] = []

    def look(layer: Any, given: tuple[Any, ...]) -> None:
        bits = (layer.algorithm.inputs(layer, given[0]) > 0).numpy()
        found.append(bool((packed_layer(layer).sums(bits) == layer.sums(given[0]).numpy()).all()))

    layers: dict[str, Any] = binary_layers(model)
    hooks = [layer.register_forward_pre_hook(look) for layer in layers.values()]
    outputs = predicted(model, x)
    for hook in hooks:
        hook.remove()
    same = bool((predicted(packed(model), x) == outputs).all())
    return same and len(found) == len(layers) and all(found)


def deviation(accuracies: list[float]) -> float:
    """Of accuracies over settings; at least half of the least step that a figure of 4 digits has."""
    return max(float(np.std(accuracies)), 5e-5)


def counted(model: nn.Module, x: NDArray[Any]) -> tuple[int, int, int, int]:
    """Weights and multiplications of one item: of all, and of those that stay float.

    Multiplications are those of convolutions, matrices and attention; norms and scales are left out, as usual.
    """
    from torch import nn

    counts = {"all": 0, "float": 0}

    def count(layer: Any, given: tuple[Any, ...], out: Any) -> None:
        if hasattr(layer, "heads"):  # two products of places with places
            each = 2 * out.shape[1] * out.shape[1] * out.shape[2]
        else:
            each = math.prod(out.shape[1:]) * layer.weight[0].numel()
        counts["all"] += each
        counts["float"] += 0 if hasattr(layer, "algorithm") else each

    layers = binary_layers(model)
    plain = [each for each in model.modules() if isinstance(each, nn.Conv1d | nn.Conv2d | nn.Linear)]
    attention = [each for each in model.modules() if hasattr(each, "heads")]
    hooks = [each.register_forward_hook(count) for each in (*layers.values(), *plain, *attention)]
    predicted(model, x[:1])
    for hook in hooks:
        hook.remove()
    weights = sum(each.numel() for name, each in model.named_parameters() if "training_" not in name)
    signs = sum(int(layer.get_parameter("weight").numel()) for layer in layers.values())
    return weights, weights - signs, counts["all"], counts["float"]
