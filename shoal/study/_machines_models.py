"""What machines are compared on: a convolution, attention, a sparse and a ternary product; and a small ternary transformer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from shoal.graph import Graph

Float = NDArray[np.float32]
TOKENS, HEADS, HEAD = 128, 12, 32  # of MiniLM's attention
OPSET = 17


class Writer:
    """An ONNX model that grows node by node; weights are seeded."""

    def __init__(self, seed: int) -> None:
        self._source = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._weights: dict[str, NDArray[Any]] = {}

    def node(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """One op with one output of that name."""
        import onnx

        self._nodes.append(onnx.helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """A weight."""
        self._weights[name] = values
        return name

    def drawn(self, name: str, *shape: int) -> str:
        """He-scaled."""
        scale = (2 / np.prod(shape[1:] if len(shape) > 2 else shape[:1])) ** 0.5
        return self.constant(name, (self._source.standard_normal(shape) * scale).astype(np.float32))

    def pruned(self, name: str, rows: int, columns: int, kept: float) -> str:
        """Only the largest are kept."""
        values = self._source.standard_normal((rows, columns)).astype(np.float32)
        values[np.abs(values) < np.quantile(np.abs(values), 1 - kept)] = 0.0
        return self.constant(name, values)

    def ternary(self, name: str, rows: int, columns: int) -> str:
        """−s, 0 or s, as many of each."""
        scale = np.float32((1.5 / rows) ** 0.5)
        return self.constant(name, (self._source.integers(-1, 2, (rows, columns)) * scale).astype(np.float32))

    def graph(
        self, folder: Path, name: str, inputs: Mapping[str, tuple[int, ...]], outputs: Sequence[str]
    ) -> Graph:
        """Written and loaded again, as a user's file is."""
        import onnx

        from shoal.graph import load

        kind = onnx.TensorProto.FLOAT
        made = onnx.helper.make_graph(
            self._nodes, name,
            [onnx.helper.make_tensor_value_info(each, kind, shape) for each, shape in inputs.items()],
            [onnx.helper.make_tensor_value_info(each, kind, None) for each in outputs],
            [onnx.numpy_helper.from_array(values, each) for each, values in self._weights.items()],
        )  # fmt: skip
        opsets = [onnx.helper.make_opsetid("", OPSET)]
        file = folder / f"{name}.onnx"
        onnx.save(onnx.helper.make_model(made, opset_imports=opsets, ir_version=9), file)
        return load(file)


def convolution(folder: Path) -> Graph:
    """3 × 3, 32 to 64 channels, 28 × 28 places."""
    made = Writer(0)
    made.node("Conv", ["x", made.drawn("w", 64, 32, 3, 3)], "y", pads=[1, 1, 1, 1])
    return made.graph(folder, "convolution", {"x": (1, 32, 28, 28)}, ["y"])


def attention(folder: Path) -> Graph:
    """Scores and values of MiniLM's heads at 128 tokens, without the softmax between them."""
    made = Writer(0)
    made.node("MatMul", ["q", "k"], "scores")
    made.node("MatMul", ["p", "v"], "mixed")
    rows, turned = (1, HEADS, TOKENS, HEAD), (1, HEADS, HEAD, TOKENS)
    square = (1, HEADS, TOKENS, TOKENS)
    return made.graph(folder, "attention", {"q": rows, "k": turned, "p": square, "v": rows}, ["scores", "mixed"])


def sparse(folder: Path) -> Graph:
    """A layer of 384 by 384 of which a tenth is left, for 16 tokens."""
    made = Writer(0)
    made.node("MatMul", ["x", made.pruned("w", 384, 384, 0.1)], "y")
    return made.graph(folder, "sparse", {"x": (16, 384)}, ["y"])


def ternary(folder: Path) -> Graph:
    """A ternary layer of 384 by 1536, for 16 tokens."""
    made = Writer(0)
    made.node("MatMul", ["x", made.ternary("w", 384, 1536)], "y")
    return made.graph(folder, "ternary", {"x": (16, 384)}, ["y"])


def transformer(folder: Path, layers: int, width: int, tokens: int) -> Graph:
    """A ternary encoder: projections of −s, 0 and s, attention of two products, normalisation and activation in float."""
    made, x = Writer(0), "x"
    for layer in range(layers):
        x = _block(made, x, f"l{layer}", width, tokens)
    return made.graph(folder, "ternary_encoder", {"x": (1, tokens, width)}, [x])


WORKLOADS: Mapping[str, Callable[[Path], Graph]] = {
    "CNN layer": convolution, "attention": attention, "sparse layer": sparse, "ternary layer": ternary,
}  # fmt: skip


def _block(made: Writer, x: str, at: str, width: int, tokens: int) -> str:
    heads = width // HEAD
    normed = _norm(made, x, f"{at}.norm1", width)
    parts = {}
    for name, order in (("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))):
        flat = made.node("MatMul", [normed, made.ternary(f"{at}.{name}.weight", width, width)], f"{at}.{name}.flat")
        shape = made.constant(f"{at}.{name}.shape", np.array([1, tokens, heads, HEAD]))
        split = made.node("Reshape", [flat, shape], f"{at}.{name}.split")
        parts[name] = made.node("Transpose", [split], f"{at}.{name}", perm=list(order))
    scores = made.node("MatMul", [parts["q"], parts["k"]], f"{at}.scores")
    scaled = made.node(
        "Mul", [scores, made.constant(f"{at}.scale", np.array(HEAD**-0.5, np.float32))], f"{at}.scaled"
    )
    shares = made.node("Softmax", [scaled], f"{at}.shares", axis=-1)
    mixed = made.node("MatMul", [shares, parts["v"]], f"{at}.mixed")
    back = made.node("Transpose", [mixed], f"{at}.back", perm=[0, 2, 1, 3])
    joined = made.node(
        "Reshape", [back, made.constant(f"{at}.whole", np.array([1, tokens, width]))], f"{at}.joined"
    )
    seen = made.node("MatMul", [joined, made.ternary(f"{at}.out.weight", width, width)], f"{at}.seen")
    x = made.node("Add", [x, seen], f"{at}.attended")
    wide = made.node("MatMul", [_norm(made, x, f"{at}.norm2", width), made.ternary(f"{at}.up.weight", width, 4 * width)],
                     f"{at}.wide")  # fmt: skip
    active = made.node("Relu", [wide], f"{at}.active")
    down = made.node("MatMul", [active, made.ternary(f"{at}.down.weight", 4 * width, width)], f"{at}.narrow")
    return made.node("Add", [x, down], f"{at}.x")


def _norm(made: Writer, x: str, name: str, width: int) -> str:
    ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
    scale, shift = made.constant(f"{name}.weight", ones), made.constant(f"{name}.bias", zeros)
    return made.node("LayerNormalization", [x, scale, shift], name, axis=-1)
