"""Networks as ONNX, op by op, whose fusing is looked at: a decoder's layers, and a convolution by Fourier transforms."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shoal.graph import Graph, load

OPSET, IR_VERSION = 21, 10
Pair = tuple[str, str]  # real and imaginary part, or cosines and sines


@dataclass(frozen=True)
class Shape:
    """A decoder's layers."""

    name: str
    width: int
    hidden: int
    heads: int
    kept_heads: int  # that have keys and values, each for as many heads as another
    layers: int  # of those that are laid out; all are alike


LLAMA_7B = Shape("Llama 2 7B", 4096, 11008, 32, 32, 2)
LLAMA_13B = Shape("Llama 2 13B", 5120, 13824, 40, 40, 2)
LLAMA_70B = Shape("Llama 2 70B", 8192, 28672, 64, 8, 1)
SMALL = Shape("a small decoder", 32, 48, 4, 2, 2)


@dataclass(eq=False)
class _Nodes:
    """Nodes, written one after another; values are of one type."""

    kind: int
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)

    def node(self, op: str, *given: str, **options: Any) -> str:
        from onnx import helper

        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(given), [name], name=name, **options))
        return name

    def given(self, name: str, *shape: int) -> str:
        from onnx import helper

        self.inputs.append(helper.make_tensor_value_info(name, self.kind, shape))
        return name

    def constant(self, value: Any) -> str:
        from onnx import helper, numpy_helper

        name = f"c{len(self.constants)}"
        array = np.asarray(value, helper.tensor_dtype_to_np_dtype(self.kind))
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def whole(self, *values: int) -> str:
        """Whole numbers, for axes and bounds."""
        from onnx import numpy_helper

        name = f"n{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def weight(self, *shape: int) -> str:
        """Of one value everywhere, so that the file stays small."""
        from onnx import helper, numpy_helper

        name = f"shape{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(shape, np.int64), name))
        value = helper.make_tensor("value", self.kind, [1], [1.0 / shape[-2] if len(shape) > 1 else 1.0])
        return self.node("ConstantOfShape", name, value=value)

    def graph(self, name: str, outputs: list[str], folder: Path) -> Graph:
        """Written and read again."""
        import onnx
        from onnx import helper

        given = [helper.make_tensor_value_info(each, self.kind, None) for each in outputs]
        graph = helper.make_graph(self.nodes, name, self.inputs, given, self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        path = folder / f"{name}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
        return load(path)


def decoder(of: Shape, batch: int, tokens: int, seen: int, folder: Path, *, half: bool = True) -> Graph:
    """Layers that read `tokens` new ones of each sequence beside what is kept of those before, `seen` in all.

    Op by op as transformers' "eager" calls them, but that heads are products' axes, which views of tensors are.
    """
    from onnx import TensorProto

    at = _Nodes(TensorProto.FLOAT16 if half else TensorProto.FLOAT)
    x, answers = at.given("x", batch, tokens, of.width), list[str]()
    for layer in range(of.layers):
        x, kept = _layer(at, of, x, (batch, tokens, seen), layer)
        answers += kept
    return at.graph(f"decoder-{of.width}-{tokens}-{seen}", [x, *answers], folder)


def _layer(at: _Nodes, of: Shape, x: str, sizes: tuple[int, int, int], layer: int) -> tuple[str, list[str]]:
    batch, tokens, seen = sizes
    head, before, group = of.width // of.heads, seen - tokens, of.heads // of.kept_heads
    normed, places = _norm(at, x, of.width), (at.weight(tokens, head), at.weight(tokens, head))
    query = at.node("Einsum", normed, at.weight(of.kept_heads, group, of.width, head), equation="bqe,hged->bhgqd")
    key, value = (
        at.node("Einsum", normed, at.weight(of.kept_heads, of.width, head), equation="bqe,hed->bhqd")
        for _ in range(2)
    )
    query, key = _turned(at, query, head, places), _turned(at, key, head, places)
    answers = [key, value]
    if before:  # what was kept, then the new ones; both are read where they lie
        keys = at.node("Concat", at.given(f"keys{layer}", batch, of.kept_heads, before, head), key, axis=2)
        values = at.node("Concat", at.given(f"values{layer}", batch, of.kept_heads, before, head), value, axis=2)
    else:
        keys, values = key, value
    scores = at.node("Einsum", query, keys, equation="bhgqd,bhkd->bhgqk")
    scores = at.node("Mul", scores, at.constant(head**-0.5))
    if tokens > 1:
        scores = at.node("Add", scores, at.weight(tokens, seen))  # what a token must not see
    mixed = at.node("Einsum", at.node("Softmax", scores, axis=-1), values, equation="bhgqk,bhkd->bhgqd")
    out = at.node("Einsum", mixed, at.weight(of.kept_heads, group, head, of.width), equation="bhgqd,hgde->bqe")
    x = at.node("Add", x, out)
    normed = _norm(at, x, of.width)
    gate, wide = (at.node("MatMul", normed, at.weight(of.width, of.hidden)) for _ in range(2))
    gated = at.node("Mul", at.node("Mul", gate, at.node("Sigmoid", gate)), wide)
    return at.node("Add", x, at.node("MatMul", gated, at.weight(of.hidden, of.width))), answers


def _norm(at: _Nodes, x: str, width: int) -> str:
    """By the root mean square."""
    mean = at.node("ReduceMean", at.node("Mul", x, x), at.whole(-1), keepdims=1)
    root = at.node("Sqrt", at.node("Add", mean, at.constant(1e-5)))
    return at.node("Mul", at.node("Div", x, root), at.weight(width))


def _turned(at: _Nodes, x: str, head: int, places: Pair) -> str:
    """By places: each half of a head with the other."""
    half = head // 2
    first, second = (
        at.node("Slice", x, at.whole(begun), at.whole(begun + half), at.whole(-1)) for begun in (0, half)
    )
    crossed = at.node("Concat", at.node("Neg", second), first, axis=-1)
    return at.node("Add", at.node("Mul", x, places[0]), at.node("Mul", crossed, places[1]))


def fourier(batch: int, channels: int, side: int, folder: Path, *, half: bool = True) -> Graph:
    """A circular convolution of side² values by Fourier transforms in two steps of `side`, as products of matrices.

    Value a + side · b of a sequence stands in row a and column b; so do the filter's frequencies `re` and `im`, as
    transformed: frequency side · c + d in row c and column d. [Fu et al., "FlashFFTConv", 2023]
    """
    from onnx import TensorProto

    at = _Nodes(TensorProto.FLOAT16 if half else TensorProto.FLOAT)
    x = at.given("x", batch, channels, side, side)
    filters = at.given("re", channels, side, side), at.given("im", channels, side, side)
    turn = np.exp(-2j * np.pi / side * np.outer(np.arange(side), np.arange(side)))
    twist = np.exp(-2j * np.pi / side**2 * np.outer(np.arange(side), np.arange(side)))
    turning = _constants(at, turn)
    rows = at.node("MatMul", x, turning[0]), at.node("MatMul", x, turning[1])  # over b
    spectrum = _matrix(at, turning, _times(at, rows, _constants(at, twist)))  # over a
    back = _constants(at, turn.conj() / side)
    columns = _times(at, _matrix(at, back, _times(at, spectrum, filters)), _constants(at, twist.conj()))
    real = at.node("Sub", at.node("MatMul", columns[0], back[0]), at.node("MatMul", columns[1], back[1]))
    return at.graph(f"fourier-{side}", [real], folder)


def _constants(at: _Nodes, value: Any) -> Pair:
    return at.constant(value.real), at.constant(value.imag)


def _times(at: _Nodes, x: Pair, y: Pair) -> Pair:
    return _complex(at, "Mul", x, y)


def _matrix(at: _Nodes, matrix: Pair, x: Pair) -> Pair:
    return _complex(at, "MatMul", matrix, x)


def _complex(at: _Nodes, op: str, x: Pair, y: Pair) -> Pair:
    real = at.node("Sub", at.node(op, x[0], y[0]), at.node(op, x[1], y[1]))
    return real, at.node("Add", at.node(op, x[0], y[1]), at.node(op, x[1], y[0]))
