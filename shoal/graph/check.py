"""What a file must keep before it is taken apart: names that are text, known opsets, no loose ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shoal.errors import ModelError

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 7


def proto(model: onnx.ModelProto, where: str) -> None:
    """Refuse a message that parsed but is no model we can read.

    Raises:
        ModelError: saying what is broken, or which operator set was wanted.
    """
    if not model.ir_version or not model.graph.output:
        raise ModelError("not an ONNX model: it holds no graph", where=where, hint="download or export it again")
    for text in _texts(model.graph):
        # protobuf hands out bytes where a name is not text
        if not isinstance(text, str):
            raise ModelError(f"a damaged ONNX model: the name {text!r} is not text", where=where)
    _opsets(model, where)
    _made(model.graph, where)


def _texts(graph: onnx.GraphProto) -> Iterator[object]:
    yield graph.name
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for tensor in graph.initializer:
        yield tensor.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def _opsets(model: onnx.ModelProto, where: str) -> None:
    from onnx import defs

    newest = defs.onnx_opset_version()
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions:
        raise ModelError("imports no ONNX operator set", where=where)
    strange = [version for version in versions if not OLDEST_OPSET <= version <= newest]
    strange += [entry.version for entry in model.opset_import if not 0 < entry.version < 2**31]
    if strange:
        raise ModelError(
            "an operator set we cannot read",
            where=where,
            needed=f"opset {OLDEST_OPSET} to {newest}",
            had=f"opset {strange[0]}",
            hint="convert it with onnx.version_converter, or install a newer onnx",
        )


def _made(graph: onnx.GraphProto, where: str) -> None:
    made = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    made |= {tensor.values.name for tensor in graph.sparse_initializer}
    made |= {name for node in graph.node for name in node.output}
    for node in graph.node:
        for name in node.input:
            if name and name not in made:
                raise ModelError(f"{node.op_type} reads '{name}', which nothing makes", where=where)
    for value in graph.output:
        if value.name not in made:
            raise ModelError(f"nothing makes the output '{value.name}'", where=where)
    if graph.sparse_initializer:
        raise ModelError("it keeps weights in sparse form", where=where, hint="export it with dense weights")
