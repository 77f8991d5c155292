"""A decoder as ONNX: one file for prefill and decode, whose caches are inputs and outputs in the same memory.

| input | type, shape | |
|---|---|---|
| tokens | int64 (batch, tokens) | of each sequence the next ones |
| last | int32 (batch,) | the place of the last of them |
| past.keys.N, past.values.N | float32 (batch, heads of keys, context, width) | of layer N; what is beyond a sequence's end is not read |

| output | type, shape | |
|---|---|---|
| scores | float32 (batch, best) | the largest logits of the last token, falling; among equals the lower token first |
| candidates | int64 (batch, best) | their tokens |
| present.keys.N, present.values.N | as `past` | what to hand in next time; given the same memory, only new places are written |

With `Form.logits` the answers are `logits`, float32 (batch, tokens, vocabulary), of every token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, ModelError
from shoal.llm.decoder.products import Product
from shoal.llm.decoder.values import Decoder

if TYPE_CHECKING:
    import onnx_ir as ir

OPSET, IR_VERSION, CONTRIB = 23, 10, "com.microsoft"
BEST = 64
Weights = Mapping[str, Product]  # by the names that Hugging Face gives them, "model." left out
Steps = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Form:
    """What of a decoder is written, and how."""

    context: int  # places of a sequence
    head_parts: int = 1  # pieces of the vocabulary, each an op that may be placed by itself
    best: int = BEST  # candidates that are answered
    logits: bool = False  # answer all logits of all tokens instead


def caches(layers: int) -> tuple[tuple[str, str], ...]:
    """Names of what is handed on, as (input, output): keys and values of each layer in turn."""
    return tuple(
        (f"past.{what}.{at}", f"present.{what}.{at}") for at in range(layers) for what in ("keys", "values")
    )


def save_decoder(decoder: Decoder, weights: Weights, form: Form, path: Path) -> Path:
    """Write the decoder; matrices go into a file beside it.

    Raises:
        InputError: it is to be longer than its places allow, or cannot be written.
        ModelError: a weight is missing or of another shape.
    """
    from shoal.graph import save

    most = decoder.architecture.context
    if not 1 <= form.context <= most:
        raise InputError("a context that the model was not made for", needed=f"1 to {most}", had=str(form.context))
    save(_Writer(decoder, weights, form).model(), path)
    return path


@dataclass(eq=False)
class _Writer:
    decoder: Decoder
    weights: Weights
    form: Form
    nodes: list[ir.Node] = field(default_factory=list)
    constants: list[ir.Value] = field(default_factory=list)

    def model(self) -> ir.Model:
        import onnx_ir as ir

        tokens = self.given("tokens", ir.DataType.INT64, ("batch", "tokens"))
        last = self.given("last", ir.DataType.INT32, ("batch",))
        kept, left = [], []
        x = self.embedded(tokens)
        for at in range(len(self.decoder.attentions)):
            shape = ("batch", *self.decoder.cache_shape(at, 0, self.form.context)[1:])
            past = [self.given(f"past.{what}.{at}", ir.DataType.FLOAT, shape) for what in ("keys", "values")]
            x, present = self.layer(x, at, past, last)
            kept += past
            left += [self.typed(each, ir.DataType.FLOAT, shape) for each in present]
        graph = ir.Graph(
            [tokens, last, *kept], [*self.answers(x), *left], nodes=self.nodes, initializers=self.constants,
            opset_imports={"": OPSET, CONTRIB: 1}, name=self.decoder.architecture.kind,
        )  # fmt: skip
        return ir.Model(graph, ir_version=IR_VERSION, producer_name="shoal")

    def embedded(self, tokens: ir.Value) -> ir.Value:
        matrix = self.weight("embed_tokens.weight", self.ends)
        x = self.looked_up(matrix, tokens)
        root = np.float32(self.decoder.architecture.width**0.5)
        return (
            self.node("Mul", [x, self.constant("embed.root", root)], "embed.lifted") if self.decoder.lifted else x
        )

    def looked_up(self, matrix: Product, tokens: ir.Value) -> ir.Value:
        """Rows of the matrix, decoded once they are found."""
        rows = self.node("Gather", [self.constant("embed_tokens.codes", matrix.values), tokens], "embed.rows")
        if matrix.scales is None:
            return rows
        scales = self.node("Gather", [self.constant("embed_tokens.scales", matrix.scales), tokens], "embed.scales")
        import onnx_ir as ir

        plain = self.node("Cast", [rows], "embed.plain", to=ir.DataType.FLOAT)
        blocks = self.node(
            "Reshape", [plain, self.sizes("embed.blocks.shape", 0, 0, -1, matrix.block)], "embed.blocks"
        )
        apart = self.node("Unsqueeze", [scales, self.sizes("embed.axis", -1)], "embed.apart")
        scaled = self.node("Mul", [blocks, apart], "embed.scaled")
        width = self.decoder.architecture.width
        return self.node("Reshape", [scaled, self.sizes("embed.whole", 0, 0, width)], "embed")

    def layer(
        self, x: ir.Value, at: int, past: Sequence[ir.Value], last: ir.Value
    ) -> tuple[ir.Value, tuple[ir.Value, ir.Value]]:
        name = f"layers.{at}"
        names = (
            ("input", "post_attention", "pre_feedforward", "post_feedforward") if self.decoder.sandwiched
            else ("input", "", "post_attention", "")
        )  # fmt: skip
        before, behind, before_product, behind_product = (each and f"{name}.{each}_layernorm" for each in names)
        mixed, *present = self.attention(self.norm(x, before), at, past, last)
        mixed = self.norm(mixed, behind) if behind else mixed
        x = self.node("Add", [x, mixed], f"{name}.attended")
        made = self.gated(self.norm(x, before_product), f"{name}.mlp")
        made = self.norm(made, behind_product) if behind_product else made
        return self.node("Add", [x, made], f"{name}.out"), (present[0], present[1])

    def attention(self, x: ir.Value, at: int, past: Sequence[ir.Value], last: ir.Value) -> tuple[ir.Value, ...]:
        import onnx_ir as ir

        kind, name = self.decoder.attentions[at], f"layers.{at}.self_attn"
        q, k, v = (self.product(x, f"{name}.{each}_proj", biased=kind.biased) for each in "qkv")
        if kind.normed:
            q = self.normed_heads(q, f"{name}.q", kind.heads, kind.head)
            k = self.normed_heads(k, f"{name}.k", kind.kv_heads, kind.head)
        cos, sin = self.tables(at, kind.head)
        # Said to be as long as the cache: each row goes by its own `last`, and no layer waits for another's longest.
        reach = self.constant(f"{name}.reach", np.array(self.form.context, np.int32))
        options = {"num_heads": kind.heads, "kv_num_heads": kind.kv_heads, "scale": self.decoder.scale, "do_rotary": 1,
                   "local_window_size": kind.window or -1}  # fmt: skip
        made = ir.node("GroupQueryAttention", [q, k, v, *past, last, reach, cos, sin], options, domain=CONTRIB,
                       num_outputs=3, name=f"{name}.attention")  # fmt: skip
        self.nodes.append(made)
        mixed, keys, values = made.outputs
        mixed.name, keys.name, values.name = f"{name}.mixed", f"present.keys.{at}", f"present.values.{at}"
        return self.product(mixed, f"{name}.o_proj"), keys, values

    def normed_heads(self, x: ir.Value, name: str, heads: int, width: int) -> ir.Value:
        """Each head by itself."""
        apart = self.node("Reshape", [x, self.sizes(f"{name}.heads", 0, -1, width)], f"{name}.apart")
        normed = self.norm(apart, f"{name}_norm", width)
        return self.node("Reshape", [normed, self.sizes(f"{name}.whole", 0, -1, heads * width)], f"{name}.joined")

    def tables(self, at: int, width: int) -> tuple[ir.Value, ir.Value]:
        """Cosines and sines, once for all layers that share them."""
        places = self.decoder.places
        first = next(
            each for each, kind in enumerate(self.decoder.attentions)
            if places[each] == places[at] and kind.head == width
        )  # fmt: skip
        if first == at:
            for name, table in zip(("cos", "sin"), places[at].tables(self.form.context, width), strict=True):
                self.constant(f"places.{at}.{name}", table)
        known = {value.name: value for value in self.constants}
        return known[f"places.{first}.cos"], known[f"places.{first}.sin"]

    def gated(self, x: ir.Value, name: str) -> ir.Value:
        gate = self.product(x, f"{name}.gate_proj")
        if self.decoder.activation == "gelu":
            bent = self.node("Gelu", [gate], f"{name}.bent", approximate="tanh")
        else:
            bent = self.node("Mul", [gate, self.node("Sigmoid", [gate], f"{name}.sigmoid")], f"{name}.bent")
        both = self.node("Mul", [bent, self.product(x, f"{name}.up_proj")], f"{name}.gated")
        return self.product(both, f"{name}.down_proj")

    def answers(self, x: ir.Value) -> list[ir.Value]:
        """Of the last token the best candidates, or of every token all logits."""
        import onnx_ir as ir

        vocabulary, best = (
            self.decoder.architecture.vocabulary,
            min(self.form.best, self.decoder.architecture.vocabulary),
        )
        if not self.form.logits:
            x = self.node("Gather", [x, self.constant("head.last", np.array(-1))], "head.newest", axis=1)
        x = self.norm(x, "norm")
        parts = self.head(x)
        if self.form.logits:
            whole = (
                self.node("Concat", parts, "logits", axis=-1)
                if len(parts) > 1
                else self.renamed(parts[0], "logits")
            )
            return [self.typed(whole, ir.DataType.FLOAT, ("batch", "tokens", vocabulary))]
        found = self.best(parts, best)
        return [self.typed(found[0], ir.DataType.FLOAT, ("batch", best)),
                self.typed(found[1], ir.DataType.INT64, ("batch", best))]  # fmt: skip

    def head(self, x: ir.Value) -> list[ir.Value]:
        """The logits of each piece of the vocabulary."""
        tied = self.decoder.architecture.tied
        matrix = self.weight("embed_tokens.weight" if tied else "lm_head.weight", self.ends)
        return [
            self.times(x, matrix.rows(first, last), f"lm_head.{at}")
            for at, (first, last) in enumerate(self.pieces())
        ]

    def pieces(self) -> list[tuple[int, int]]:
        """Tokens of each piece of the vocabulary."""
        edges = np.linspace(0, self.decoder.architecture.vocabulary, self.form.head_parts + 1).astype(int)
        return [(int(first), int(last)) for first, last in pairwise(edges)]

    def best(self, parts: Sequence[ir.Value], count: int) -> tuple[ir.Value, ir.Value]:
        """The best of each piece, and of those the best: on equal logits the lower token, in every piece and over all."""
        if len(parts) == 1:
            return self.top(parts[0], count, "scores", "candidates")
        scores, tokens = [], []
        for at, (part, (first, last)) in enumerate(zip(parts, self.pieces(), strict=True)):
            found, index = self.top(part, min(count, last - first), f"head.{at}.scores", f"head.{at}.index")
            scores.append(found)
            tokens.append(
                self.node("Add", [index, self.constant(f"head.{at}.first", np.array(first))], f"head.{at}.tokens")
            )
        joined = self.node("Concat", scores, "head.scores", axis=-1)
        whole = self.node("Concat", tokens, "head.tokens", axis=-1)
        found, index = self.top(joined, count, "scores", "head.index")
        return found, self.node("GatherElements", [whole, index], "candidates", axis=-1)

    def top(self, x: ir.Value, count: int, scores: str, index: str) -> tuple[ir.Value, ir.Value]:
        import onnx_ir as ir

        made = ir.node("TopK", [x, self.sizes(f"{scores}.count", count)], {"axis": -1}, num_outputs=2, name=scores)
        self.nodes.append(made)
        made.outputs[0].name, made.outputs[1].name = scores, index
        return made.outputs[0], made.outputs[1]

    def norm(self, x: ir.Value, name: str, width: int = 0) -> ir.Value:
        held = self.weight(f"{name}.weight", (width or self.decoder.architecture.width,))
        weight = np.asarray(held.values, np.float32) + np.float32(self.decoder.raised)
        return self.node("RMSNormalization", [x, self.constant(f"{name}.weight", weight)], f"{name}.normed", axis=-1,
                         epsilon=self.decoder.epsilon)  # fmt: skip

    def product(self, x: ir.Value, name: str, *, biased: bool = False) -> ir.Value:
        made = self.times(x, self.weight(f"{name}.weight"), name)
        if not biased:
            return made
        bias = self.constant(f"{name}.bias", np.asarray(self.weight(f"{name}.bias").values, np.float32))
        return self.node("Add", [made, bias], f"{name}.biased")

    def times(self, x: ir.Value, matrix: Product, name: str) -> ir.Value:
        """A MatMul called `name`, with a constant or with one that is decoded block by block."""
        import onnx_ir as ir

        turned = np.ascontiguousarray(matrix.values.T)
        if matrix.scales is None:
            return self.node("MatMul", [x, self.constant(f"{name}.weight", turned)], name)
        kind = ir.DataType.INT4 if matrix.bits == 4 else ir.DataType.INT8
        codes = self.constant(f"{name}.codes", turned.astype(kind.numpy()), kind)
        scales = self.constant(f"{name}.scales", np.ascontiguousarray(matrix.scales.T))
        plain = self.node("DequantizeLinear", [codes, scales], f"{name}.decoded", axis=0, block_size=matrix.block)
        return self.node("MatMul", [x, plain], name)

    @property
    def ends(self) -> tuple[int, int]:
        return self.decoder.architecture.vocabulary, self.decoder.architecture.width

    def weight(self, name: str, shape: tuple[int, ...] | None = None) -> Product:
        found = self.weights.get(name)
        if found is None or (shape is not None and found.values.shape != shape):
            raise ModelError("a decoder's weight is missing or of another shape", where=name,
                             needed=str(shape or "a matrix"), had=str(found and found.values.shape))  # fmt: skip
        return found

    def node(self, kind: str, given: Sequence[ir.Value], name: str, **options: Any) -> ir.Value:
        import onnx_ir as ir

        made = ir.node(kind, list(given), options or None, name=name)
        made.outputs[0].name = name
        self.nodes.append(made)
        return made.outputs[0]

    def renamed(self, value: ir.Value, name: str) -> ir.Value:
        value.name = name
        return value

    def constant(self, name: str, array: NDArray[Any] | np.generic, kind: Any = None) -> ir.Value:
        import onnx_ir as ir

        tensor = ir.tensor(np.asarray(array), dtype=kind, name=name)
        value = ir.Value(
            name=name, shape=ir.Shape(np.shape(array)), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.constants.append(value)
        return value

    def sizes(self, name: str, *values: int) -> ir.Value:
        return self.constant(name, np.array(values, np.int64))

    def given(self, name: str, kind: Any, shape: tuple[int | str, ...]) -> ir.Value:
        import onnx_ir as ir

        return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(kind))

    def typed(self, value: ir.Value, kind: Any, shape: tuple[int | str, ...]) -> ir.Value:
        import onnx_ir as ir

        value.shape, value.type = ir.Shape(shape), ir.TensorType(kind)
        return value
