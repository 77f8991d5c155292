"""Multiply-accumulates of an op, by kind; kinds not listed multiply nothing worth counting.

| kind | multiply-accumulates |
|---|---|
| Conv | elements out × (channels in / groups) × kernel elements |
| ConvTranspose | elements in × (channels out / groups) × kernel elements |
| Gemm, MatMul | elements out × inner dimension, over all batches |
| LSTM, GRU, RNN | steps × batch × directions × gates × hidden × (input + hidden), gates 4, 3, 1 |
| Einsum | product of all index sizes × (operands − 1) |
| Attention | batch × heads × queries × keys × (key width + value width) |
| GroupQueryAttention | the same, over all places its cache has room for or its window shows |

Pooling, normalisation, activations and moves count 0: they cost bytes, which the op's
`read_bytes` and `written_bytes` hold.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from shoal.graph import contrib
from shoal.graph.access import dims

if TYPE_CHECKING:
    import onnx_ir as ir

RECURRENT_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def macs(node: ir.Node) -> int:
    """Multiply-accumulates of one run of `node`, whose inputs and outputs have static shapes."""
    if node.domain == contrib.DOMAIN and node.op_type == contrib.ATTENTION:
        return contrib.attention_macs(node)
    counter = COUNTERS.get(node.op_type) if not node.domain else None
    return counter(node) if counter else 0


def _conv(node: ir.Node, weight: int = 1) -> int:
    return prod(dims(node.outputs[0])) * prod(dims(node.inputs[weight])[1:])


def _conv_transpose(node: ir.Node) -> int:
    return prod(dims(node.inputs[0])) * prod(dims(node.inputs[1])[1:])


def _gemm(node: ir.Node) -> int:
    left = dims(node.inputs[0])
    inner = left[0] if node.attributes.get_int("transA", 0) else left[-1]
    return prod(dims(node.outputs[0])) * inner


def _matmul(node: ir.Node) -> int:
    return prod(dims(node.outputs[0])) * dims(node.inputs[0])[-1]


def _recurrent(node: ir.Node) -> int:
    first, second, _ = dims(node.inputs[0])  # steps and batch, in either layout
    directions, rows, width = dims(node.inputs[1])  # rows = gates × hidden
    hidden = rows // RECURRENT_GATES[node.op_type]
    return first * second * directions * rows * (width + hidden)


def _einsum(node: ir.Node) -> int:
    equation = node.attributes["equation"].as_string().replace(" ", "")
    terms = equation.split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, value in zip(terms, node.inputs, strict=True):
        shape = dims(value)
        spread = len(shape) - len(term.replace("...", ""))
        letters = term.replace("...", "".join(f"{index}" for index in range(spread)))
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return prod(sizes.values()) * (len(terms) - 1)


def _attention(node: ir.Node) -> int:
    query, key, value = (dims(tensor) for tensor in node.inputs[:3])
    past = dims(node.inputs[4]) if len(node.inputs) > 4 and node.inputs[4] else ()
    batch, queries = query[0], query[-2]
    keys = key[-2] + (past[-2] if past else 0)
    if len(query) == 4:
        return batch * query[1] * queries * keys * (query[-1] + value[-1])
    heads = node.attributes.get_int("q_num_heads", 1)
    value_width = value[-1] // (node.attributes.get_int("kv_num_heads", heads) or 1)
    return batch * queries * keys * (query[-1] + heads * value_width)


COUNTERS: dict[str, Callable[[ir.Node], int]] = {
    "Conv": _conv,
    "ConvInteger": _conv,
    "QLinearConv": lambda node: _conv(node, weight=3),
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Einsum": _einsum,
    "Attention": _attention,
}
