"""A decoder as an ONNX model: what compresses, plans and runs networks does so with it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.errors import InputError

if TYPE_CHECKING:
    import onnx

    from shoal.train.language.decoder import F32, Decoder

OPSET, IR_VERSION = 21, 10
HIDDEN_SCORE = np.float32(-1e9)  # of what a place must not see


def save_language(decoder: Decoder, weights: Mapping[str, F32], places: int, path: Path) -> Path:
    """Write the model of a stretch: `symbols` (1, places) int64 → `logits` (1, places, vocabulary) float32.

    Every product of `Decoder.products` is a MatMul of that name.

    Args:
        decoder: its sizes.
        weights: by the names of `Decoder.shapes`.
        places: symbols of a stretch.
        path: of the file.

    Raises:
        InputError: a weight is missing or of another shape.
    """
    import onnx

    onnx.save(_model(decoder, weights, places), path)
    return path


def _model(decoder: Decoder, weights: Mapping[str, F32], places: int) -> onnx.ModelProto:
    from onnx import TensorProto, helper

    _check(decoder, weights)
    writer = _Stretch(weights, decoder.epsilon, decoder=decoder, places=places)
    logits = writer.whole("symbols")
    return writer.model(
        "language",
        [helper.make_tensor_value_info("symbols", TensorProto.INT64, (1, places))],
        [helper.make_tensor_value_info(logits, TensorProto.FLOAT, (1, places, decoder.vocabulary))],
    )


def _check(decoder: Decoder, weights: Mapping[str, F32]) -> None:
    for name, shape in decoder.shapes().items():
        had = weights[name].shape if name in weights else None
        if had != shape:
            raise InputError("a decoder's weight is missing or of another shape", where=name, needed=str(shape),
                             had=str(had))  # fmt: skip


@dataclass(eq=False)
class Writer:
    """Nodes and constants, written one after another; what decoders have in common."""

    weights: Mapping[str, F32]
    epsilon: float  # of the norms
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def model(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> onnx.ModelProto:
        """All that was written."""
        from onnx import helper

        graph = helper.make_graph(self.nodes, name, list(inputs), list(outputs), self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def norm(self, x: str, at: str) -> str:
        """RMSNorm with its weights."""
        epsilon = self.constant(f"{at}.epsilon", np.float32(self.epsilon))
        square = self.node("Mul", [x, x], f"{at}.square")
        mean = self.node("ReduceMean", [square, self.indices(f"{at}.axis", [-1])], f"{at}.mean", keepdims=1)
        root = self.node("Sqrt", [self.node("Add", [mean, epsilon], f"{at}.sum")], f"{at}.root")
        scaled = self.node("Div", [x, root], f"{at}.scaled")
        return self.node("Mul", [scaled, self.constant(f"{at}.weight")], at)

    def gated(self, x: str, at: str) -> str:
        """SwiGLU."""
        gate = self.product(x, f"{at}.gate_proj")
        silu = self.node("Mul", [gate, self.node("Sigmoid", [gate], f"{at}.sigmoid")], f"{at}.silu")
        both = self.node("Mul", [silu, self.product(x, f"{at}.up_proj")], f"{at}.gated")
        return self.product(both, f"{at}.down_proj")

    def product(self, x: str, name: str) -> str:
        """With a matrix, the op of its name."""
        matrix = np.ascontiguousarray(self.weights[f"{name}.weight"].T)
        return self.node("MatMul", [x, self.constant(f"{name}.weight", matrix)], name)

    def node(self, kind: str, given: Sequence[str], name: str, **options: Any) -> str:
        """An op with one output, named as it."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(given), [name], name=name, **options))
        return name

    def constant(self, name: str, value: Any = None) -> str:
        """A weight by its name, or another value."""
        from onnx import numpy_helper

        value = self.weights[name] if value is None else value
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def indices(self, name: str, values: Sequence[int]) -> str:
        """Whole numbers, for shapes and axes."""
        return self.constant(name, np.array(values, np.int64))


@dataclass(eq=False)
class _Stretch(Writer):
    """A decoder of Llama's kind over all places of a stretch."""

    decoder: Decoder = field(kw_only=True)
    places: int = field(kw_only=True)

    def whole(self, symbols: str) -> str:
        x = self.node("Gather", [self.constant("embed_tokens.weight"), symbols], "embed_tokens")
        for name, table in zip(("cos", "sin"), self.decoder.rotations(self.places), strict=True):
            self.constant(name, table)
        self.constant("mask", np.triu(np.full((self.places, self.places), HIDDEN_SCORE), 1))
        for at in range(self.decoder.layers):
            x = self.block(x, f"layers.{at}")
        head = np.ascontiguousarray(self.weights["embed_tokens.weight"].T)
        return self.node("MatMul", [self.norm(x, "norm"), self.constant("lm_head.weight", head)], "logits")

    def block(self, x: str, at: str) -> str:
        attended = self.attention(self.norm(x, f"{at}.input_layernorm"), f"{at}.self_attn")
        x = self.node("Add", [x, attended], f"{at}.attended")
        gated = self.gated(self.norm(x, f"{at}.post_attention_layernorm"), f"{at}.mlp")
        return self.node("Add", [x, gated], at)

    def attention(self, x: str, at: str) -> str:
        q, k, v = (self.headed(self.product(x, f"{at}.{name}_proj"), f"{at}.{name}") for name in "qkv")
        q, k = self.turned(q, f"{at}.q"), self.turned(k, f"{at}.k")
        across = self.node("Transpose", [k], f"{at}.across", perm=[0, 1, 3, 2])
        scale = self.constant(f"{at}.scale", np.float32(self.decoder.head**-0.5))
        scores = self.node("Mul", [self.node("MatMul", [q, across], f"{at}.products"), scale], f"{at}.scores")
        masked = self.node("Add", [scores, "mask"], f"{at}.masked")
        share = self.node("Softmax", [masked], f"{at}.probabilities", axis=-1)
        mixed = self.node("MatMul", [share, v], f"{at}.mixed")
        joined = self.node("Transpose", [mixed], f"{at}.joined", perm=[0, 2, 1, 3])
        shape = self.indices(f"{at}.whole", [1, self.places, self.decoder.width])
        return self.product(self.node("Reshape", [joined, shape], f"{at}.flat"), f"{at}.o_proj")

    def headed(self, x: str, at: str) -> str:
        """(1, places, width) → (1, heads, places, width of a head)."""
        shape = self.indices(f"{at}.shape", [1, self.places, self.decoder.heads, self.decoder.head])
        return self.node(
            "Transpose", [self.node("Reshape", [x, shape], f"{at}.parts")], f"{at}.heads", perm=[0, 2, 1, 3]
        )

    def turned(self, x: str, at: str) -> str:
        """Rotary places."""
        half = self.decoder.head // 2
        first, second = self.split(x, f"{at}.first", f"{at}.second", half)
        crossed = self.node("Concat", [self.node("Neg", [second], f"{at}.neg"), first], f"{at}.crossed", axis=-1)
        kept = self.node("Mul", [x, "cos"], f"{at}.kept")
        return self.node("Add", [kept, self.node("Mul", [crossed, "sin"], f"{at}.moved")], f"{at}.turned")

    def split(self, x: str, first: str, second: str, half: int) -> tuple[str, str]:
        from onnx import helper

        sizes = self.indices(f"{first}.sizes", [half, half])
        self.nodes.append(helper.make_node("Split", [x, sizes], [first, second], name=first, axis=-1))
        return first, second
