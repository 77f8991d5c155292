"""Random weights for a network whose own are constants: seeded, finite, written as external data."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shoal.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

LOGITS_STD = 2.0  # aimed at, within a factor of √2: a softmax neither flat nor saturated
SPREAD = 0.05  # standard deviation of biases, and of normalisation numbers around 0 or 1
ALIGN_BYTES = 4096  # every tensor begins on a page, so that it can be mapped from the file
DATA = "weights.bin"
PASSED_THROUGH = ("Unsqueeze", "Reshape")  # between a weight and the operator that uses it
CENTRES = {  # operator and input → the value its numbers lie around
    ("Conv", 2): 0.0,
    ("Gemm", 2): 0.0,
    ("Add", 1): 0.0,
    ("Mul", 1): 1.0,
    ("BatchNormalization", 1): 1.0,
    ("BatchNormalization", 2): 0.0,
    ("BatchNormalization", 3): 0.0,
    ("BatchNormalization", 4): 1.0,
}


@dataclass(frozen=True)
class Weight:
    """One tensor to fill: normal numbers of this centre and standard deviation."""

    name: str
    shape: tuple[int, ...]
    centre: float
    std: float

    def numbers(self, seed: int, scale: float) -> NDArray[np.float32]:
        """The same for the same seed and name, in whatever order tensors are filled."""
        random = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        numbers = random.standard_normal(self.shape, np.float32)
        numbers *= np.float32(self.std * scale)
        numbers += np.float32(self.centre * scale)
        return numbers


def write(shipped: Path, seed: int, folder: Path) -> None:
    """Write `model.onnx` and its weights into `folder`: the shipped structure, weights made from `seed`.

    Matrices and filters are normal with standard deviation √(2 / fan-in), which keeps the size of the
    activations through ReLU layers (He et al., Delving deep into rectifiers, 2015); the last one is scaled
    by a power of two to give logits a standard deviation near `LOGITS_STD`.
    """
    import onnx

    model = onnx.load(shipped)
    weights = tuple(weight for weight in _weights(model.graph) if weight is not None)
    _drop_constants(model.graph, {weight.name for weight in weights})
    model.ir_version = 8  # from 4 on weights need not be inputs as well, so engines may fold them
    last, logits = _last_layer(model.graph, {weight.name for weight in weights})
    _fill(model.graph, weights, seed, folder, dict.fromkeys(last, 1.0))
    scale = 2.0 ** round(math.log2(LOGITS_STD / _std_of(model, logits, seed, folder)))
    _fill(model.graph, weights, seed, folder, dict.fromkeys(last, scale))
    onnx.save(model, folder / "model.onnx")


def _weights(graph: onnx.GraphProto) -> Iterator[Weight | None]:
    """Every float weight, made by ConstantOfShape or an initializer; None for one that nothing uses."""
    from onnx import TensorProto, numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shape = tuple(int(size) for size in numpy_helper.to_array(constants[node.input[0]]))
            yield _weight(graph, node.output[0], shape)
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            yield _weight(graph, tensor.name, tuple(tensor.dims))


def _weight(graph: onnx.GraphProto, name: str, shape: tuple[int, ...]) -> Weight | None:
    user = _user(graph, name)
    if user is None:
        return None
    node, slot = user
    if (node.op_type, slot) in CENTRES:
        return Weight(name, shape, CENTRES[node.op_type, slot], SPREAD)
    if (node.op_type, slot) == ("Conv", 1):
        fan_in = math.prod(shape[1:])
    elif (node.op_type, slot) == ("Gemm", 1):
        turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        fan_in = shape[-1] if turned else shape[-2]
    else:
        raise ModelError(f"weight '{name}' feeds input {slot} of a {node.op_type}: no rule for its numbers")
    return Weight(name, shape, 0.0, math.sqrt(2 / fan_in))


def _user(graph: onnx.GraphProto, name: str) -> tuple[onnx.NodeProto, int] | None:
    """The operator a weight serves, and as which of its inputs."""
    for node in graph.node:
        if name in node.input:
            if node.op_type in PASSED_THROUGH:
                return _user(graph, node.output[0])
            return node, list(node.input).index(name)
    return None


def _drop_constants(graph: onnx.GraphProto, filled: set[str]) -> None:
    """Remove what made or repeated the weights: nodes, their shape tensors, graph inputs."""
    inputs = {tensor.name for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used - filled]
    real = [value for value in graph.input if value.name not in inputs]
    for field, values in ((graph.node, nodes), (graph.initializer, kept), (graph.input, real)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(copies)


def _last_layer(graph: onnx.GraphProto, weights: set[str]) -> tuple[list[str], str]:
    """The weights of the last Conv or Gemm, and the name of what enters the softmax (or leaves the graph)."""
    node = [node for node in graph.node if node.op_type in ("Conv", "Gemm")][-1]
    sources = {out: made.input[0] for made in graph.node for out in made.output if made.op_type in PASSED_THROUGH}
    names = [sources.get(name, name) for name in node.input[1:]]
    out = graph.output[0].name
    logits = next((node.input[0] for node in graph.node if node.op_type == "Softmax" and out in node.output), out)
    return [name for name in names if name in weights], logits


def _fill(
    graph: onnx.GraphProto, weights: tuple[Weight, ...], seed: int, folder: Path, scales: dict[str, float]
) -> None:
    """Write all numbers to the data file and (re)place the initializers that point into it."""
    names = {weight.name for weight in weights}
    kept = [tensor for tensor in graph.initializer if tensor.name not in names]
    placed = []
    with (folder / DATA).open("wb") as file:
        for weight in weights:
            file.seek(-(-file.tell() // ALIGN_BYTES) * ALIGN_BYTES)
            placed.append(_pointer(weight, file.tell()))
            weight.numbers(seed, scales.get(weight.name, 1.0)).tofile(file)
    tensors = [*(type(tensor).FromString(tensor.SerializeToString()) for tensor in kept), *placed]
    del graph.initializer[:]
    graph.initializer.extend(tensors)


def _pointer(weight: Weight, offset: int) -> onnx.TensorProto:
    from onnx import TensorProto

    tensor = TensorProto(
        name=weight.name, dims=weight.shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL
    )
    length = math.prod(weight.shape) * 4
    for key, value in (("location", DATA), ("offset", str(offset)), ("length", str(length))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def _std_of(model: onnx.ModelProto, value: str, seed: int, folder: Path) -> float:
    """Standard deviation of one inner value, on a random image."""
    import onnx
    import onnxruntime

    probe = onnx.ModelProto.FromString(model.SerializeToString())
    del probe.graph.output[:]
    probe.graph.output.add(name=value)
    path = folder / "probe.onnx"
    onnx.save(probe, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    random = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
    std = float(np.std(session.run([value], {image.name: random})[0]))
    path.unlink()
    return std
