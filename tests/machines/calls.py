"""Ops that machines are asked in tests: small models of one op each, with weights of several kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from shoal.machines.accelerators import Call, calls, evaluated

SOURCE = np.random.default_rng(5)
Float = NDArray[np.float32]


def drawn(*shape: int) -> Float:
    return SOURCE.standard_normal(shape).astype(np.float32)


def ternary(*shape: int) -> Float:
    return (SOURCE.integers(-1, 2, shape) * 0.25).astype(np.float32)


def pruned(*shape: int) -> Float:
    values = drawn(*shape)
    values[np.abs(values) < 1.0] = 0.0
    return values


def model(kind: str, shapes: Mapping[str, tuple[int, ...]], weights: Mapping[str, Float], out: tuple[int, ...],
          **attributes: Any) -> ir.Model:  # fmt: skip
    """One op: first its inputs, then its weights, in their order."""
    values = {name: ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
              for name, shape in shapes.items()}  # fmt: skip
    held = [
        ir.Value(name=name, shape=ir.Shape(each.shape), type=ir.TensorType(ir.DataType.FLOAT), const_value=ir.tensor(each, name=name))
        for name, each in weights.items()
    ]  # fmt: skip
    node = ir.node(kind, [*values.values(), *held], attributes or None)
    made = node.outputs[0]
    made.name, made.shape, made.type = "y", ir.Shape(out), ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(
        list(values.values()), [made], nodes=[node], initializers=held, opset_imports={"": 17}, name=kind
    )
    return ir.Model(graph, ir_version=10)


CASES: Mapping[str, Callable[[], ir.Model]] = {
    "MatMul": lambda: model("MatMul", {"x": (5, 24)}, {"w": drawn(24, 40)}, (5, 40)),
    "MatMul, ternary": lambda: model("MatMul", {"x": (4, 60)}, {"w": ternary(60, 40)}, (4, 40)),
    "MatMul, pruned": lambda: model("MatMul", {"x": (4, 32)}, {"w": pruned(32, 40)}, (4, 40)),
    "MatMul of two inputs": lambda: model("MatMul", {"x": (1, 2, 9, 16), "k": (1, 2, 16, 9)}, {}, (1, 2, 9, 9)),
    "Gemm": lambda: model("Gemm", {"x": (3, 20)}, {"w": drawn(12, 20), "b": drawn(12)}, (3, 12), transB=1),
    "Conv": lambda: model("Conv", {"x": (1, 3, 9, 8)}, {"w": drawn(6, 3, 3, 3), "b": drawn(6)}, (1, 6, 5, 4),
                          strides=[2, 2], pads=[1, 1, 1, 1]),
    "Conv of groups": lambda: model("Conv", {"x": (2, 4, 6, 6)}, {"w": drawn(8, 1, 3, 3)}, (2, 8, 4, 4), group=4),
    "Relu": lambda: model("Relu", {"x": (3, 4)}, {}, (3, 4)),
}  # fmt: skip


def case(name: str) -> tuple[Call, dict[str, Float], Float]:
    """The call, values for its inputs, and what ONNX's reference gives."""
    SOURCE.bit_generator.state = np.random.default_rng(
        crc32(name.encode())
    ).bit_generator.state  # whatever ran before
    made = CASES[name]()
    (call,) = calls(made)
    data = {each.name: drawn(*each.shape) for each in call.inputs if each is not None and not each.constant}
    return call, data, evaluated(made, made.graph[0], data)["y"]
