"""Small ONNX segments with a Program around them, for the tests of the engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from shoal.program import Program, Segment, TensorSpec

Shapes = Mapping[str, tuple[int, ...]]
OPSET = 17


@dataclass(frozen=True)
class Case:
    """A model, and its inputs' and outputs' shapes (float32 unless `dtypes` says otherwise)."""

    name: str
    nodes: tuple[onnx.NodeProto, ...]
    inputs: Shapes
    outputs: Shapes
    weights: Mapping[str, NDArray[Any]]
    dtypes: Mapping[str, str]

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            list(self.nodes), self.name, self._values(self.inputs), self._values(self.outputs),
            [numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)

    def dtype(self, name: str) -> str:
        return self.dtypes.get(name, "float32")

    def save(self, folder: Path) -> tuple[str, ...]:
        """Write the model with its weights beside it, as the planning machine does."""
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(self.model(), folder / "s.onnx", save_as_external_data=True, location="s.weights",
                  size_threshold=1024)  # fmt: skip
        return tuple(name for name in ("s.onnx", "s.weights") if (folder / name).exists())

    def segment(self, files: tuple[str, ...], engine: str) -> Segment:
        return Segment("s", "a/cpu", tuple(self.inputs), tuple(self.outputs), engine, files=files)

    def program(self) -> Program:
        shapes = {**self.inputs, **self.outputs}
        tensors = {name: TensorSpec(self.dtype(name), shape) for name, shape in shapes.items()}
        return Program("test", ("a/cpu",), (), (), (), 1, tensors)

    def feeds(self, seed: int = 0) -> dict[str, NDArray[Any]]:
        rng = np.random.default_rng(seed)
        return {
            name: (rng.standard_normal(shape) * 2).astype(self.dtype(name)) for name, shape in self.inputs.items()
        }

    def _values(self, shapes: Shapes) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype(name))), shape)
            for name, shape in shapes.items()
        ]


def case(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: Shapes,
    outputs: Shapes,
    weights: Shapes | None = None,
    *,
    constants: Mapping[str, NDArray[Any]] | None = None,
    dtypes: Mapping[str, str] | None = None,
) -> Case:
    """A case with seeded weights of the given shapes; `constants` are given as they are."""
    rng = np.random.default_rng(1)
    made = {
        key: (rng.standard_normal(shape) / max(1, np.prod(shape[1:])) ** 0.5).astype(np.float32)
        for key, shape in (weights or {}).items()
    }
    return Case(name, tuple(nodes), inputs, outputs, made | dict(constants or {}), dict(dtypes or {}))


def conv_relu_pool() -> Case:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["a/y.1"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    return case("conv_relu_pool", nodes, {"x": (1, 3, 8, 10)}, {"a/y.1": (1, 16, 4, 5)},
                {"w": (16, 3, 3, 3), "b": (16,)})  # fmt: skip


def gemm_softmax() -> Case:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["g"], transB=1),
        helper.make_node("Softmax", ["g"], ["y"], axis=1),
    ]
    return case("gemm_softmax", nodes, {"x": (1, 8, 3, 3)}, {"y": (1, 40)}, {"w": (40, 72), "b": (40,)})


def branches() -> Case:
    """Two inputs and three outputs, one of them read inside as well."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Add", ["r", "z"], ["s"]),
        helper.make_node("Concat", ["r", "z"], ["k"], axis=1),
        helper.make_node("GlobalAveragePool", ["k"], ["p"]),
    ]
    return case("branches", nodes, {"x": (1, 4, 6, 6), "z": (1, 8, 6, 6)},
                {"p": (1, 16, 1, 1), "r": (1, 8, 6, 6), "s": (1, 8, 6, 6)}, {"w": (8, 4, 3, 3)})  # fmt: skip


def no_weights() -> Case:
    nodes = [helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[1, 1])]
    return case("no_weights", nodes, {"x": (1, 2, 7, 7)}, {"y": (1, 2, 5, 5)})


def big_gemm() -> Case:
    """Large enough (4 MB) for the cache."""
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)]
    return case("big_gemm", nodes, {"x": (1, 1024)}, {"y": (1, 1024)}, {"w": (1024, 1024)})


def passes_through() -> Case:
    """An output that is the input itself, and one of another type."""
    nodes = [
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Greater", ["x", "zero"], ["gate"]),
    ]
    return case("passes_through", nodes, {"x": (2, 6)},
                {"same": (2, 6), "flat": (12,), "whole": (2, 6), "gate": (2, 6)},
                constants={"shape": np.array([12]), "zero": np.zeros(1, np.float32)},
                dtypes={"whole": "int64", "gate": "bool"})  # fmt: skip


def works_in_place() -> Case:
    """Starts with an op that engines like to do in place, on inputs whose planes are no multiple of 16 bytes."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Conv", ["r", "w"], ["c"]),
        helper.make_node("Sigmoid", ["z"], ["g"]),
        helper.make_node("Mul", ["c", "g"], ["m"]),
    ]
    return case("works_in_place", nodes, {"x": (1, 3, 5, 5), "z": (1, 4, 3, 3)},
                {"r": (1, 3, 5, 5), "m": (1, 4, 3, 3)}, {"w": (4, 3, 3, 3)})  # fmt: skip


FLOAT_CASES = (conv_relu_pool(), gemm_softmax(), branches(), no_weights(), works_in_place())
