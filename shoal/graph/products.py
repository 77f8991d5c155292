"""Products whose weights are coded: in which format, and how large the matrices are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.graph import access, decode
from shoal.graph.tidy import label
from shoal.graph.values import Graph

if TYPE_CHECKING:
    import onnx_ir as ir

KINDS = ("Conv", "Gemm", "MatMul")
_BITS = {"INT4": 4, "UINT4": 4, "INT8": 8, "UINT8": 8}


@dataclass(frozen=True)
class CodedProduct:
    """A product with a constant that an op of its own decodes."""

    op: str
    decode: str  # the op that decodes the constant
    format: str
    rows: int  # of a part
    columns: int  # what each row sums over
    parts: int = 1  # groups of a convolution

    @property
    def weights(self) -> int:
        """Of all parts."""
        return self.rows * self.columns * self.parts


def coded_products(graph: Graph) -> tuple[CodedProduct, ...]:
    """All of `graph`, in its order."""
    return tuple(_products(graph))


def whole_numbers(graph: Graph, product: CodedProduct) -> NDArray[np.int16] | None:
    """The codes' values before scales, where these are whole numbers; none: the format has other values."""
    node = next(each for each in graph.model.graph if label(each) == product.decode)
    if not decode.is_decode(node):
        return access.data(node.inputs[0]).numpy().astype(np.int16)
    packed = decode.packed_of(node)
    grid = getattr(packed.form, "grid", None)
    if grid is None or not (np.rint(grid.array) == grid.array).all():
        return None
    found: NDArray[np.int16] = np.concatenate([grid.array[part.codes] for part in packed.parts]).astype(np.int16)
    return found


def _products(graph: Graph) -> Iterator[CodedProduct]:
    for node in graph.model.graph:
        if node.op_type not in KINDS or len(node.inputs) < 2 or node.inputs[1] is None:
            continue
        source = node.inputs[1].producer()
        if decode.is_decode(source):
            assert source is not None
            rows, columns = source.attributes["part"].as_ints()
            parts = access.dims(source.inputs[0])[0]
            name = source.attributes["format"].as_string()
            yield CodedProduct(label(node), label(source), name, rows, columns, parts)
        elif source is not None and source.op_type == "DequantizeLinear":
            found = _standard(node, source)
            if found is not None:
                yield found


def _standard(node: ir.Node, source: ir.Node) -> CodedProduct | None:
    """A product with codes of ONNX's own; none: what is decoded is no constant."""
    codes, scales = source.inputs[:2]
    if codes is None or codes.const_value is None or codes.const_value.dtype.name not in _BITS:
        return None
    shape, parts = access.dims(codes), int(_attribute(node, "group", 1)) if node.op_type == "Conv" else 1
    turned = node.op_type == "MatMul" or (node.op_type == "Gemm" and not _attribute(node, "transB", 0))
    rows, columns = (shape[-1], shape[0]) if turned else (shape[0], prod(shape[1:]))
    apart = {0: "t", 1: ""}.get(len(access.dims(scales)), f"g{_attribute(source, 'block_size', 0)}")
    affine = "a" if len(source.inputs) > 2 and source.inputs[2] is not None else ""
    name = f"int{_BITS[codes.const_value.dtype.name]}{affine}{apart}"
    return CodedProduct(label(node), label(source), name, rows // parts, columns, parts)


def _attribute(node: ir.Node, name: str, default: int) -> Any:
    found = node.attributes.get(name)
    return default if found is None else found.value
