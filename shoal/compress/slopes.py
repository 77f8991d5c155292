"""What errors in the outputs of layers do to the network's answers: gradients of layers' outputs, and their moments.

The answers are taken as means of normal values, of one deviation or of one in proportion to each; the Fisher information
of a layer's outputs is then the second moment of Jᵀ·v, J being the answers' derivatives and v noise. Source: the Gauss–
Newton form in Martens, arXiv 1412.1193; outputs apart from inputs: KFAC, arXiv 1503.05671, and KFC, arXiv 1602.01407.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.gradients import Differentiable
from shoal.compress.layers import Layer
from shoal.graph import Graph
from shoal.train.library import torch_module

F64 = NDArray[np.float64]


def output_moments(
    graph: Graph,
    layers: Sequence[Layer],
    samples: Sequence[Mapping[str, NDArray[Any]]],
    *,
    draws: int = 1,
    relative: bool = False,
    seed: int = 0,
) -> dict[str, F64]:
    """The second moments of the gradients at each layer's outputs, by op: (rows, rows), over samples and places.

    Args:
        graph: the network as it is.
        layers: of it.
        samples: inputs by name.
        draws: of noise, for each sample.
        relative: an answer's deviation is its magnitude: it is relative errors that count.
        seed: of the noise.

    Raises:
        MissingExtra: torch is not installed.
        ModelError: an op has no gradient.
    """
    torch, network = torch_module(), Differentiable(graph)
    outs = {layer.op: graph.ops[graph.position[layer.op]].outputs[0] for layer in layers}
    for layer in layers:
        network.weights[layer.weight].requires_grad_(True)
    source = torch.Generator().manual_seed(seed)
    found = {layer.op: np.zeros((layer.shape[0],) * 2) for layer in layers}
    for sample in samples:
        feeds = {name: torch.from_numpy(array.copy()) for name, array in sample.items()}
        values = network(feeds, {*outs.values(), *graph.outputs})
        answers = [values[name] for name in graph.outputs]
        for _ in range(draws):
            noise = [_noise(torch, each, relative, source) for each in answers]
            slopes = torch.autograd.grad(
                answers, [values[name] for name in outs.values()], noise, retain_graph=True, allow_unused=True
            )
            for layer, slope in zip(layers, slopes, strict=True):
                if slope is not None:
                    rows = _rows(layer, slope)
                    found[layer.op] += rows @ rows.T / rows.shape[1]
    return {op: moment / (draws * len(samples)) for op, moment in found.items()}


def _noise(torch: Any, answer: Any, relative: bool, source: Any) -> Any:
    """What the likelihood's gradient at the answers is."""
    drawn = torch.randn(answer.shape, generator=source)
    return drawn / answer.detach().abs().clamp_min(1e-6) if relative else drawn


def _rows(layer: Layer, slope: Any) -> F64:
    """(rows, places)."""
    channels = slope.movedim(1, 0) if layer.kind == "Conv" else slope.movedim(-1, 0)
    found: F64 = channels.reshape(layer.shape[0], -1).numpy().astype(np.float64)
    return found
