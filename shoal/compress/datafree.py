"""Calibration inputs where there is no data: noise, or noise shaped until a network's normalisations see what they saw.

Source: distilled data, ZeroQ, arXiv 2001.00281. Distilling needs torch and BatchNormalization (of a graph whose
normalisations are not worked into its convolutions yet); noise needs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.gradients import Differentiable
from shoal.errors import InputError, MissingExtra, ModelError
from shoal.graph import Graph, access, array
from shoal.train.library import torch_module

LEAST_VARIANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Made:
    """Inputs made up, and how."""

    samples: tuple[dict[str, NDArray[Any]], ...]
    how: str  # "distilled" or "noise"
    warning: str = ""  # why it is noise, if that was not asked for
    off: tuple[float, float] | None = None  # of the statistics, before and after distilling


def made(graph: Graph, count: int, *, steps: int = 100, seed: int = 0) -> Made:
    """`count` inputs: distilled where that can be, else noise with a warning that says why.

    Args:
        graph: as loaded, its normalisations still apart.
        count: of inputs.
        steps: of Adam, when distilling.
        seed: of the noise.

    Raises:
        InputError: none are asked for.
    """
    try:
        return distilled(graph, count, steps=steps, seed=seed)
    except (ModelError, MissingExtra) as fault:
        warning = f"calibrated on noise, which is not what the network will see: {fault.message}"
        return Made(noise(graph, count, seed), "noise", warning)


def noise(graph: Graph, count: int, seed: int = 0) -> tuple[dict[str, NDArray[Any]], ...]:
    """`count` inputs: normal floats, and ones for whole numbers, which index safely.

    Raises:
        InputError: none are asked for.
    """
    if count < 1:
        raise InputError("no inputs asked for", needed="at least 1", had=str(count))
    source = np.random.default_rng(seed)
    return tuple({name: _drawn(graph, name, source) for name in graph.inputs} for _ in range(count))


def distilled(graph: Graph, count: int, *, steps: int = 100, rate: float = 0.1, seed: int = 0) -> Made:
    """Inputs for which the mean and the deviation of each BatchNormalization's input are the stored ones.

    Adam on Σ ‖μ − μ̂‖² + ‖σ − σ̂‖² over all inputs at once, from noise on.

    Raises:
        InputError: none are asked for.
        MissingExtra: torch is not installed.
        ModelError: there is no BatchNormalization, an op has no gradient, or it takes not one input of one item.
    """
    start = noise(graph, count, seed)
    wanted = _statistics(graph)
    if not wanted:
        raise ModelError("there is no BatchNormalization to tell what inputs look like", where=graph.name)
    if len(graph.inputs) != 1 or graph.tensors[graph.inputs[0]].shape[:1] != (1,):
        raise ModelError("distilling takes a network of one input, one item at a time", where=graph.name)
    library = torch_module()
    network, (name,) = Differentiable(graph), graph.inputs
    targets = {tensor: tuple(map(library.from_numpy, each)) for tensor, each in wanted.items()}
    images = library.from_numpy(np.concatenate([each[name] for each in start])).requires_grad_(True)
    adam = library.optim.Adam([images], lr=rate)
    losses = []
    for _ in range(steps):
        adam.zero_grad()
        loss = _off(network({name: images}, list(targets)), targets)
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    with library.no_grad():
        last = float(_off(network({name: images}, list(targets)), targets))
    found: Sequence[NDArray[Any]] = np.split(images.detach().numpy(), count)
    return Made(
        tuple({name: each.copy()} for each in found), "distilled", off=(losses[0] if losses else last, last)
    )


def _drawn(graph: Graph, name: str, source: np.random.Generator) -> NDArray[Any]:
    tensor = graph.tensors[name]
    dtype = np.dtype(tensor.dtype)
    floating = np.issubdtype(dtype, np.floating)
    return np.asarray(source.standard_normal(tensor.shape) if floating else np.ones(tensor.shape), dtype)


def _statistics(graph: Graph) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """The stored mean and deviation of what each normalisation reads, by tensor."""
    found = {}
    for node in graph.model.graph:
        if node.op_type != "BatchNormalization" or node.inputs[0] is None:
            continue
        values = [value for value in node.inputs[3:5] if value is not None]
        if all(access.name(value) in graph.weights for value in values):
            mean, variance = (np.array(array(graph, access.name(value)), np.float32) for value in values)
            found[access.name(node.inputs[0])] = mean, np.sqrt(np.maximum(variance, LEAST_VARIANCE))
    return found


def _off(found: dict[str, Any], targets: dict[str, tuple[Any, Any]]) -> Any:
    total = 0.0
    for tensor, (mean, deviation) in targets.items():
        values = found[tensor]
        axes = (0, *range(2, values.dim()))
        variance = values.var(dim=axes, unbiased=False)
        total = total + ((values.mean(dim=axes) - mean) ** 2).sum()
        total = total + (((variance + LEAST_VARIANCE).sqrt() - deviation) ** 2).sum()
    return total
