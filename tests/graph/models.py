"""Small ONNX models for the tests, and where the onnx package keeps its nine light ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
LIGHT_NAMES = tuple(sorted(path.stem for path in LIGHT.glob("*.onnx")))


def light(name: str) -> Path:
    return LIGHT / f"light_{name}.onnx"


def info(name: str, shape: Sequence[int | str | None] | None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node from names separated by spaces; "-" is an input left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, outputs.split(), **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
    weights: dict[str, npt.NDArray[Any]] | None = None,
    opset: int = 17,
    **options: Any,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "small",
        list(inputs),
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    for output in graph.output:
        output.type.tensor_type.elem_type = options.pop(output.name, TensorProto.FLOAT)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **options)


def write(proto: onnx.ModelProto, folder: Path, name: str = "small.onnx") -> Path:
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return path


def floats(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
