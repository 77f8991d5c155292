"""Activations in eight bits: their ranges on samples, and the ops that round them before those that can use it.

onnxruntime makes integer kernels of an op between QuantizeLinear and DequantizeLinear. A range of whole numbers holds
all that was seen, unless without the ends the squared error is a tenth: errors of rounding cancel out in sums, what is
cut off does not. For floating-point numbers see `float8`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.float8 import FloatRange, float_range
from shoal.compress.layers import Layer
from shoal.compress.stretches import session_of
from shoal.errors import InputError
from shoal.graph import Graph, access

if TYPE_CHECKING:
    import onnx_ir as ir

FLOATS = "fp8"
KINDS = ("int8", "int8-inputs", FLOATS)  # all between products too; or only what products read: sums stay float32
PRODUCTS = frozenset(("Conv", "Gemm", "MatMul"))
JOINED = frozenset(("Add", "AveragePool", "GlobalAveragePool", "MaxPool", "Concat", "Mul"))  # kernels on codes
PASSING = frozenset(("Relu", "Clip"))  # part of the op before them
MOVING = frozenset(
    ("Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
)  # compute nothing
HELD = {"QuantizeLinear": "UINT8", "Less": "BOOL"}  # what ops of the rounding give, if not float32
STEPS = 255
KEPT = 1 << 14  # values of a tensor that a range is sought with
AT_ONCE = 24  # tensors looked at in one run
SHARES = np.geomspace(0.9, 0.02, 25)  # of each end of the whole range, tried
WORTH = 0.1  # of the squared error of the whole range: a narrower one must have less
NEAR = np.linspace(0.9, 1.1, 5)  # of the best of them


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

    def nodes(self, model: ir.Model, value: ir.Value) -> list[ir.Node]:
        """Ops, the last of which gives what is left of `value`."""
        import onnx_ir as ir

        scale = access.constant(model, f"{value.name}.scale", np.array(self.scale, np.float32))
        zero = access.constant(model, f"{value.name}.zero", np.array(self.zero, np.uint8))
        code = ir.node("QuantizeLinear", [value, scale, zero], name=f"{value.name}.code")
        return [code, ir.node("DequantizeLinear", [code.outputs[0], scale, zero], name=f"{value.name}.decode")]


Narrow = Range | FloatRange


def coded_tensors(graph: Graph, layers: Collection[Layer], kind: str = "int8") -> tuple[str, ...]:
    """The float32 tensors that are rounded, in the graph's order of reading; never the answers.

    They are what the layers read. With "int8" they are also what convolutions give, and all around the ops between
    products that have kernels on codes. An op that would read or give something else too, as the sums of a
    transformer do, stays in float32.
    """
    products = {layer.op for layer in layers}
    reading = products if kind != "int8" else products | _on_codes(graph, products)
    found: dict[str, None] = {}
    for op in graph.ops:
        if op.name not in reading:
            continue
        gives = op.outputs if kind == "int8" and op.kind in JOINED | {"Conv"} else ()
        for name in (*op.inputs, *(_passed(graph, output) for output in gives)):
            found[name] = None
    return tuple(name for name in found if graph.tensors[name].dtype == "float32" and name not in graph.finals)


def ranges(
    graph: Graph,
    names: Sequence[str],
    samples: Sequence[Mapping[str, NDArray[Any]]],
    threads: int = 1,
    kind: str = "int8",
) -> dict[str, Narrow]:
    """The range of each tensor on the samples; one that is only moved keeps the range that it had.

    Raises:
        InputError: a value is not finite.
    """
    kept = {name: _Kept() for name in names}
    for name, number, x in telling(graph, names, samples, threads):
        kept[name].add(x, KEPT // len(samples) + 1, np.random.default_rng(number))
    found: dict[str, Narrow] = {
        name: each.floats(name) if kind == FLOATS else each.range(name) for name, each in kept.items()
    }
    for op in graph.ops:
        if op.kind in MOVING and op.inputs and op.inputs[0] in found and op.outputs[0] in found:
            found[op.outputs[0]] = found[op.inputs[0]]
    return found


def telling(
    graph: Graph, names: Sequence[str], samples: Sequence[Mapping[str, NDArray[Any]]], threads: int = 1
) -> Iterator[tuple[str, int, NDArray[Any]]]:
    """These tensors on each of the samples: name, number of the sample, values; a few of them at a time."""
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        inner = [name for name in some if name not in graph.inputs]
        if not inner:  # onnxruntime refuses a network without answers
            yield from ((name, number, sample[name]) for number, sample in enumerate(samples) for name in some)
            continue
        with TemporaryDirectory(prefix="shoal-") as folder:
            session = session_of(_telling(graph, inner), Path(folder) / "seen.onnx", threads)
            for number, sample in enumerate(samples):
                values = dict(zip(inner, session.run(inner, dict(sample)), strict=True))
                yield from ((name, number, values[name] if name in values else sample[name]) for name in some)


def insert(model: ir.Model, found: Mapping[str, Narrow], kind: str = "int8") -> None:
    """Let what reads these tensors (but for "int8" the products alone) read what is left of them; in place."""
    import onnx_ir as ir

    values = {
        value.name: value for value in (*model.graph.inputs, *(out for node in model.graph for out in node.outputs))
    }
    for name, each in found.items():
        value = values[name]
        uses = [(use.node, use.idx) for use in value.uses() if kind == "int8" or use.node.op_type in PRODUCTS]
        if not uses:
            continue
        made = each.nodes(model, value)
        for node in made:
            held = HELD.get(node.op_type, "FLOAT")
            node.outputs[0].name, node.outputs[0].shape = f"{node.name}d", value.shape
            node.outputs[0].type = ir.TensorType(ir.DataType[held])
        producer = value.producer()
        if producer is None:
            model.graph.insert_before(model.graph[0], made)
        else:
            model.graph.insert_after(producer, made)
        for node, index in uses:
            node.replace_input_with(index, made[-1].outputs[0])


def _on_codes(graph: Graph, products: Collection[str]) -> set[str]:
    """The ops between products that can read and give nothing but codes."""
    read = {name for op in graph.ops if op.name in products for name in op.inputs}
    left = {op.name: op for op in graph.ops if op.kind in JOINED and not op.weights}
    while True:
        known = {*products, *left}
        out = [
            name
            for name, op in left.items()
            if not all(each in read or _maker(graph, each) in known for each in op.inputs)
            or not all(_readers(graph, each) <= known for each in op.outputs)
        ]
        if not out:
            return set(left)
        for name in out:
            del left[name]


def _maker(graph: Graph, name: str) -> str:
    """The op that computes this tensor; "" for an input."""
    while name in graph.producer:
        op = graph.ops[graph.producer[name]]
        if op.kind not in (PASSING | MOVING) - JOINED or not op.inputs:
            return op.name
        name = op.inputs[0]
    return ""


def _readers(graph: Graph, name: str) -> set[str]:
    """The ops that compute with this tensor; "" for an answer."""
    found = {""} if name in graph.finals else set()
    for index in graph.consumers[name]:
        op = graph.ops[index]
        moved = op.kind in (PASSING | MOVING) - JOINED and op.outputs
        found |= _readers(graph, op.outputs[0]) if moved else {op.name}
    return found


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


class _Kept:
    """Values of a tensor, drawn evenly, and its ends."""

    def __init__(self) -> None:
        self._values: list[NDArray[np.float32]] = []
        self._least = self._most = 0.0

    def add(self, x: NDArray[Any], most: int, source: np.random.Generator) -> None:
        """Those of one item, of which at most so many are kept."""
        flat = np.ravel(x).astype(np.float32, copy=False)
        if flat.size:
            self._least = float(np.minimum(self._least, flat.min()))  # which keeps what is not a number
            self._most = float(np.maximum(self._most, flat.max()))
        self._values.append(flat if flat.size <= most else flat[source.integers(0, flat.size, most)])

    def floats(self, name: str) -> FloatRange:
        """That with the least squared error."""
        return float_range(np.append(self._finite(name), np.array([self._least, self._most], np.float32)))

    def range(self, name: str) -> Range:
        """The whole one, or that with the least squared error: a share of it, then each end by itself."""
        values = self._finite(name)
        if self._most == self._least:
            return Range(1.0, 0)

        def lost(ends: tuple[float, float]) -> float:
            return float(((_between(*ends).rounded(values) - values) ** 2).sum(dtype=np.float64))

        ends = _best(self._least, self._most, lost)
        whole = self._least, self._most
        return _between(*(ends if lost(ends) < WORTH * lost(whole) else whole))

    def _finite(self, name: str) -> NDArray[np.float32]:
        """All that is kept."""
        if not (np.isfinite(self._least) and np.isfinite(self._most)):
            raise InputError("an activation of the calibration samples is not finite", where=name)
        return np.concatenate(self._values)


def _best(least: float, most: float, lost: Callable[[tuple[float, float]], float]) -> tuple[float, float]:
    """Ends within these, one after the other: far ones may be on one side only."""
    low, high = least, most
    for shares in (SHARES, SHARES, NEAR):
        low, high = min(((low, min(most, high * share)) for share in (1.0, *shares)), key=lost)
        low, high = min(((max(least, low * share), high) for share in (1.0, *shares)), key=lost)
    return low, high


def _between(low: float, high: float) -> Range:
    scale = max(float(np.float32((high - low) / STEPS)), 1e-30)
    return Range(scale, int(np.clip(round(-low / scale), 0, STEPS)))
