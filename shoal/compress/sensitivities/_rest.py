"""The network from one layer on, run with other weights in that layer: the layer's input is kept, not made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.calibrate import check_sample
from shoal.compress.layers import Layer, Matrix
from shoal.compress.sensitivities.contract import Arrays
from shoal.compress.stretches import session_of
from shoal.graph import Graph, boundary, extract
from shoal.graph.tidy import label

if TYPE_CHECKING:
    import onnx_ir as ir

Answers = list[tuple[NDArray[Any], ...]]  # by sample: the outputs that the layer can change
Run = Callable[[Matrix], Answers]
TRIED = "shoal.tried"


def rests(
    graph: Graph, layers: Sequence[Layer], samples: Sequence[Arrays], threads: int
) -> Iterator[tuple[Layer, Run]]:
    """Each layer, in the graph's order, with the network's answers to the samples for any W of it.

    Only what later ops still read is kept between layers.

    Raises:
        InputError: a sample lacks an input or has another shape.
    """
    for sample in samples:
        check_sample(graph, sample)
    kept = [dict(sample) for sample in samples]
    done = 0
    for layer in sorted(layers, key=lambda each: graph.position[each.op]):
        place = graph.position[layer.op]
        _advance(graph, kept, done, place, threads)
        done = place
        with TemporaryDirectory(prefix="shoal-") as folder:
            yield layer, _run(graph, layer, kept, Path(folder), threads)


def probabilities(graph: Graph, output: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """The output's last axis as probabilities: those it has, after a Softmax, or the softmax of what it gives."""
    rows = np.asarray(values, np.float64).reshape(-1, values.shape[-1] if values.ndim else 1)
    made = graph.producer.get(output)
    if made is not None and graph.ops[made].kind == "Softmax":
        return rows
    lifted = np.exp(rows - rows.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = lifted / lifted.sum(axis=1, keepdims=True)
    return shares


def divergence(graph: Graph, outputs: Sequence[str], plain: Answers, other: Answers) -> float:
    """KL(plain ‖ other) in nats: the mean over samples and rows, summed over the outputs that are floats."""
    total = 0.0
    for index, name in enumerate(outputs):
        if not graph.tensors[name].dtype.startswith("float"):
            continue
        each = [
            _kl(probabilities(graph, name, one[index]), probabilities(graph, name, two[index]))
            for one, two in zip(plain, other, strict=True)
        ]
        total += float(np.mean(each))
    return total


def outputs_after(graph: Graph, layer: Layer) -> tuple[str, ...]:
    """The outputs made from the layer on."""
    return boundary(graph, _after(graph, layer))[1]


def _kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    least = 1e-30
    return float((p * (np.log(np.maximum(p, least)) - np.log(np.maximum(q, least)))).sum(axis=1).mean())


def _after(graph: Graph, layer: Layer) -> list[str]:
    return [op.name for op in graph.ops[graph.position[layer.op] :]]


def _advance(graph: Graph, kept: Sequence[dict[str, NDArray[Any]]], done: int, place: int, threads: int) -> None:
    """Run the ops from `done` up to the one at `place`, and let go of what no op to come reads."""
    names = [op.name for op in graph.ops[done:place]]
    if names:
        inputs, outputs = boundary(graph, names)
        with TemporaryDirectory(prefix="shoal-") as folder:
            session = session_of(extract(graph, names), Path(folder) / "rest.onnx", threads)
            for values in kept:
                found = session.run(list(outputs), {name: values[name] for name in inputs})
                values.update(zip(outputs, found, strict=True))
    for values in kept:
        for name in [name for name in values if all(index < place for index in graph.consumers.get(name, ()))]:
            del values[name]


def _run(graph: Graph, layer: Layer, kept: Sequence[Arrays], folder: Path, threads: int) -> Run:
    names = _after(graph, layer)
    inputs, outputs = boundary(graph, names)
    session = session_of(_open_weight(extract(graph, names), layer), folder / "rest.onnx", threads)

    def run(matrix: Matrix) -> Answers:
        weights = layer.tensor(matrix)
        return [
            tuple(session.run(list(outputs), {TRIED: weights, **{name: values[name] for name in inputs}}))
            for values in kept
        ]

    return run


def _open_weight(model: ir.Model, layer: Layer) -> ir.Model:
    """The model with the layer's weights as an input; other ops that share them keep theirs."""
    import onnx_ir as ir

    given = ir.Value(name=TRIED, shape=ir.Shape(layer.stored), type=ir.TensorType(ir.DataType.FLOAT))
    node = next(node for node in model.graph if label(node) == layer.op)
    node.replace_input_with(1, given)
    model.graph.inputs.append(given)
    weight = model.graph.initializers[layer.weight]
    if not weight.uses():
        del model.graph.initializers[layer.weight]
    return model
