"""The operands of a network's products, and its answers, as onnxruntime computes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress import Layer, layers_of, weights_of
from shoal.graph import Graph, save

if TYPE_CHECKING:
    import onnx_ir as ir

    from shoal.study._networks import Network

Matrix = NDArray[np.float32]
BLOCKS = 32  # columns must be whole blocks of all formats


@dataclass(frozen=True, eq=False)
class Operands:
    """The two matrices of a product y = x·Wᵀ."""

    layer: str
    x: Matrix  # (places, columns)
    w: Matrix  # (rows, columns)


def operands(network: Network, places: int, seed: int = 0) -> Iterator[Operands]:
    """Of each product whose columns are whole blocks, so many places and rows at most; activations are the network's.

    Grouped convolutions, and products of nothing but zeros, are left out.
    """
    graph, source = network.graph, np.random.default_rng(seed)
    layers = [each for each in layers_of(graph) if each.groups == 1 and each.shape[1] % BLOCKS == 0]
    seen = _seen(network, layers, max(1, places // len(network.samples)))
    for layer in layers:
        weights = weights_of(graph, layer)
        rows = np.sort(source.permutation(len(weights))[:places])
        found = Operands(layer.op, np.concatenate(seen[layer.op]), weights[rows])
        if found.x.any() and found.w.any():
            yield found


def answers(graph: Graph, samples: Sequence[Mapping[str, NDArray[Any]]]) -> list[NDArray[Any]]:
    """Every output of the network for every sample."""
    return [each for found in _told(graph.model, graph.outputs, samples) for each in found]


def _seen(network: Network, layers: Sequence[Layer], most: int) -> dict[str, list[Matrix]]:
    """What each layer sees of each sample."""
    inner = list(dict.fromkeys(layer.input for layer in layers if layer.input not in network.graph.inputs))
    seen: dict[str, list[Matrix]] = {layer.op: [] for layer in layers}
    found = _told(_telling(network.graph, inner), inner, network.samples)
    for number, (sample, told) in enumerate(zip(network.samples, found, strict=True)):
        values = {**sample, **dict(zip(inner, told, strict=True))}
        for layer in layers:
            x = layer.seen(values[layer.input], most, np.random.default_rng(number))[0]
            seen[layer.op].append(np.ascontiguousarray(x))
    return seen


def _told(
    model: ir.Model, names: Sequence[str], samples: Sequence[Mapping[str, NDArray[Any]]]
) -> Iterator[list[NDArray[Any]]]:
    """These tensors of each sample."""
    import onnxruntime

    with TemporaryDirectory(prefix="shoal-") as folder:
        path = Path(folder) / "whole.onnx"
        save(model, path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for sample in samples:
            yield session.run(list(names), dict(sample)) if names else []


def _telling(graph: Graph, names: Sequence[str]) -> ir.Model:
    """The model with these tensors as its outputs."""
    model = graph.model.clone()
    values = {out.name: out for node in model.graph for out in node.outputs}
    kept = [values[name] for name in names] or list(model.graph.outputs)
    model.graph.outputs.clear()
    model.graph.outputs.extend(kept)
    return model
