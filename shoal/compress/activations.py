"""Activations in eight bits: their ranges on samples, and QuantizeLinear and DequantizeLinear around the ops that can use them.

onnxruntime makes integer kernels of an op between the two. A range is clipped where that lowers the squared error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.layers import Layer
from shoal.errors import InputError
from shoal.graph import Graph, access, decode, save

if TYPE_CHECKING:
    import onnx_ir as ir

JOINED = frozenset(("Add", "AveragePool", "GlobalAveragePool", "MaxPool", "Concat", "Mul"))  # kernels on codes
PASSING = frozenset(("Relu", "Clip"))  # part of the op before them
STEPS = 255
KEPT = 1 << 16  # values of a tensor that a range is sought with
AT_ONCE = 24  # tensors looked at in one run
SHARES = np.linspace(1, 0.4, 25)


@dataclass(frozen=True)
class Range:
    """x = scale · (code − zero), code from 0 to 255."""

    scale: float
    zero: int

    def rounded(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """What is left of `x` in eight bits."""
        codes = np.clip(np.rint(x / np.float32(self.scale)) + self.zero, 0, STEPS)
        found: NDArray[np.float32] = ((codes - self.zero) * np.float32(self.scale)).astype(np.float32)
        return found


def coded_tensors(graph: Graph, layers: Collection[Layer]) -> tuple[str, ...]:
    """The float32 tensors around products and the ops between them that have kernels on codes; not the answers."""
    products = {layer.op for layer in layers}
    found: dict[str, None] = {}
    for op in graph.ops:
        if op.name not in products and op.kind not in JOINED:
            continue
        for name in (*op.inputs, *(_passed(graph, output) for output in op.outputs)):
            found[name] = None
    return tuple(name for name in found if graph.tensors[name].dtype == "float32" and name not in graph.finals)


def ranges(
    graph: Graph, names: Sequence[str], samples: Sequence[Mapping[str, NDArray[Any]]], threads: int = 1
) -> dict[str, Range]:
    """The range of each tensor on the samples.

    Raises:
        InputError: a value is not finite.
    """
    import onnxruntime

    found: dict[str, Range] = {}
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        inner = [name for name in some if name not in graph.inputs]
        with TemporaryDirectory(prefix="shoal-") as folder:
            path = Path(folder) / "seen.onnx"
            save(decode.unpacked(_telling(graph, inner)), path)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = threads, 3
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            kept: dict[str, list[NDArray[np.float32]]] = {name: [] for name in some}
            for number, sample in enumerate(samples):
                values = dict(zip(inner, session.run(inner, dict(sample)), strict=True)) if inner else {}
                source = np.random.default_rng(number)
                for name in some:
                    kept[name].append(_some(values.get(name, sample.get(name)), KEPT // len(samples) + 1, source))
        found |= {name: _fitted(name, np.concatenate(each)) for name, each in kept.items()}
    return found


def insert(model: ir.Model, found: Mapping[str, Range]) -> None:
    """Let everything that reads these tensors read what is left of them in eight bits; in place."""
    import onnx_ir as ir

    values = {
        value.name: value for value in (*model.graph.inputs, *(out for node in model.graph for out in node.outputs))
    }
    for name, each in found.items():
        value = values[name]
        uses = [(use.node, use.idx) for use in value.uses()]
        if not uses:
            continue
        scale = access.constant(model, f"{name}.scale", np.array(each.scale, np.float32))
        zero = access.constant(model, f"{name}.zero", np.array(each.zero, np.uint8))
        code = ir.node("QuantizeLinear", [value, scale, zero], name=f"{name}.code")
        decode = ir.node("DequantizeLinear", [code.outputs[0], scale, zero], name=f"{name}.decode")
        for node, kind in ((code, ir.DataType.UINT8), (decode, ir.DataType.FLOAT)):
            node.outputs[0].name, node.outputs[0].shape = f"{node.name}d", value.shape
            node.outputs[0].type = ir.TensorType(kind)
        producer = value.producer()
        if producer is None:
            model.graph.insert_before(model.graph[0], (code, decode))
        else:
            model.graph.insert_after(producer, (code, decode))
        for node, index in uses:
            node.replace_input_with(index, decode.outputs[0])


def _passed(graph: Graph, name: str) -> str:
    """The tensor after the activation function that alone reads `name`, if there is one."""
    readers = graph.consumers[name]
    if len(readers) == 1 and graph.ops[readers[0]].kind in PASSING and name not in graph.finals:
        return graph.ops[readers[0]].outputs[0]
    return name


def _telling(graph: Graph, names: Sequence[str]) -> ir.Model:
    """The model with these tensors as its outputs."""
    model = graph.model.clone()
    values = {out.name: out for node in model.graph for out in node.outputs}
    model.graph.outputs.clear()
    model.graph.outputs.extend(values[name] for name in names)
    return model


def _some(x: NDArray[Any] | None, most: int, source: np.random.Generator) -> NDArray[np.float32]:
    """Values of `x`, its extremes among them."""
    flat = np.ravel(x).astype(np.float32) if x is not None else np.zeros(0, np.float32)
    if flat.size <= most:
        return flat
    ends = np.array([flat.min(), flat.max()], np.float32)
    return np.concatenate([ends, flat[source.integers(0, flat.size, most)]])


def _fitted(name: str, values: NDArray[np.float32]) -> Range:
    if not np.isfinite(values).all():
        raise InputError("an activation of the calibration samples is not finite", where=name)
    least, most = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if most == least:
        return Range(1.0, 0)
    return min(_tried(least, most), key=lambda each: float(((each.rounded(values) - values) ** 2).sum()))


def _tried(least: float, most: float) -> Iterator[Range]:
    for share in SHARES:
        scale = float(np.float32((most - least) * share / STEPS))
        yield Range(max(scale, 1e-30), int(np.clip(round(-least * share / max(scale, 1e-30)), 0, STEPS)))
