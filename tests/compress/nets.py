"""Small networks with every kind of product, and what onnxruntime answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from shoal.graph import decode, save
from shoal.graph.load import read
from tests.graph.models import floats, info, model, node

Arrays = Mapping[str, NDArray[Any]]


def mixed(opset: int = 21) -> onnx.ModelProto:
    """Convolutions (grouped, depthwise, strided, dilated), MatMul, and Gemm both ways round."""
    weights = {
        "w1": floats(8, 3, 3, 3, seed=1) / 5, "b1": floats(8, seed=2) / 5,
        "w2": floats(8, 1, 3, 3, seed=3) / 3,
        "w3": floats(16, 4, 3, 3, seed=4) / 6,
        "w4": floats(16, 64, seed=5) / 4,
        "w5": floats(32, 64, seed=6) / 8, "b5": floats(32, seed=7),
        "w6": floats(32, 10, seed=8) / 6,
    }  # fmt: skip
    nodes = [
        node("Conv", "x w1 b1", "c1", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 w2", "c2", kernel_shape=[3, 3], group=8, auto_pad="SAME_UPPER"),
        node("Relu", "c2", "r2"),
        node("Conv", "r2 w3", "c3", kernel_shape=[3, 3], group=2, dilations=[2, 2], pads=[2, 2, 2, 2]),
        node("GlobalAveragePool", "c3", "p"),
        node("Flatten", "p", "f"),
        node("MatMul", "f w4", "m"),
        node("Relu", "m", "r3"),
        node("Gemm", "r3 w5 b5", "g1", transB=1),
        node("Relu", "g1", "r4"),
        node("Gemm", "r4 w6", "y"),
    ]
    return model(nodes, [info("x", (1, 3, 16, 16))], ["y"], weights, opset)


def mlp(width: int = 64, depth: int = 3, opset: int = 21, relu: bool = True) -> onnx.ModelProto:
    """MatMuls on three tokens, with a Relu after each or without."""
    weights = {f"w{number}": floats(width, width, seed=number) * (2 / width) ** 0.5 for number in range(depth)}
    nodes = []
    for number in range(depth):
        before = f"a{number - 1}" if number else "x"
        product = f"m{number}" if relu else f"a{number}"
        nodes.append(node("MatMul", f"{before} w{number}", product))
        if relu:
            nodes.append(node("Relu", product, f"a{number}"))
    return model(nodes, [info("x", (3, width))], [f"a{depth - 1}"], weights, opset)


def samples(proto: onnx.ModelProto, count: int = 8, seed: int = 0) -> list[Arrays]:
    """Normal inputs, of columns with different deviations, as activations have them."""
    (given,) = proto.graph.input
    shape = [each.dim_value for each in given.type.tensor_type.shape.dim]
    source = np.random.default_rng(seed)
    deviations = np.exp(np.random.default_rng(99).standard_normal(shape[-1]))
    return [{"x": (source.standard_normal(shape) * deviations).astype(np.float32)} for _ in range(count)]


def answers(path: Path, given: list[Arrays]) -> NDArray[np.float32]:
    """What onnxruntime answers to each, with activations in float32 where it would round them to eight bits."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    plain = path.with_name(f"{path.stem}-decoded.onnx")
    save(decode.unpacked(read(path)), plain)
    session = ort.InferenceSession(str(plain), options, providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, dict(each))[0] for each in given])


def kinds(path: Path, folder: Path) -> list[str]:
    """The ops that onnxruntime really runs."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [each.op_type for each in onnx.load(folder / "optimised.onnx", load_external_data=False).graph.node]
