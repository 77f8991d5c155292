"""An ONNX file to a Graph: read, checked, bound to shapes, folded, counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.errors import ModelError
from shoal.graph import check, contrib, decode, fold, opened, tidy, weights
from shoal.graph import shapes as shapes_of
from shoal.graph.build import from_model
from shoal.graph.carry import Carry, carry_over
from shoal.graph.values import Graph

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

# What the reader of a damaged file may stumble over; anything else is a defect of ours.
DAMAGE = (RuntimeError, ValueError, TypeError, LookupError, AttributeError)


def load(
    path: str | Path,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    sizes: Mapping[str, int] | None = None,
    carry: Carry = (),
    open_sizes: Iterable[str] = (),
) -> Graph:
    """The model in the ONNX file `path`, bound to shapes, its constants folded, every op counted.

    Weights stay where they are: in the file's own message, mapped from external data, or as the recipe
    (ConstantOfShape, a folded Transpose …) that makes them when asked.

    Args:
        path: an .onnx file, opset 7 to the newest the installed onnx knows.
        shapes: input name to its full shape.
        sizes: symbolic dimension name to its size, for whichever inputs name it.
        carry: inputs that take what an output gave for the item before: {"h_in": "h_out"}, or Carried values.
        open_sizes: symbolic dimensions that segments cut from the graph shall leave open. In the graph a number stands
            for each that no other size is: such a graph is for segments, another with real sizes for counting.

    Raises:
        ModelError: the file is missing, damaged, or leaves a shape open; an operator is unknown; a carried
            tensor does not exist or fit.
    """
    file = Path(path)
    model = read(file)
    digest = weights.digest(file, weights.external_files(model))
    tidy.prepare(model, str(file))
    shapes_of.check(model, str(file))
    marks = opened.marks(model, open_sizes)
    shapes_of.bind(model, shapes or {}, {**(sizes or {}), **marks}, str(file))
    fold.settle(model, str(file))
    tidy.finish(model)
    found = carry_over(from_model(model, file.stem, str(file), digest), carry)
    return replace(found, open=marks) if marks else found


def read(file: Path) -> ir.Model:
    """The ONNX file as onnx-ir holds it, checked, weights unread.

    Raises:
        ModelError: missing, damaged, not ONNX, of an opset we do not know, or without its external data.
    """
    decode.register()
    contrib.register()
    proto = parse(file)
    check.proto(proto, str(file))
    model = _to_ir(proto, str(file))
    weights.attach(model, file)
    return model


def parse(file: Path) -> onnx.ModelProto:
    """The ONNX file as it is written, unchecked.

    Raises:
        ModelError: missing, damaged, or not ONNX.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

    try:
        proto = onnx.load(file, format="protobuf", load_external_data=False)
    except OSError as fault:
        raise ModelError(f"cannot read: {fault.strerror}", where=str(file)) from fault
    except DecodeError as fault:
        raise ModelError(
            "not an ONNX model, or a damaged one", where=str(file), hint="download or export it again"
        ) from fault
    return proto


def _to_ir(proto: onnx.ModelProto, where: str) -> ir.Model:
    import onnx_ir as ir

    declared = {value.name: value for value in proto.graph.input}
    for output in proto.graph.output:
        if output.name in declared:  # what an input says of itself holds
            output.CopyFrom(declared[output.name])
    try:
        return ir.serde.deserialize_model(proto)
    except DAMAGE as fault:
        raise ModelError(f"a damaged ONNX model: {_root(fault)}", where=where) from fault


def _root(fault: BaseException) -> str:
    """The first line of what set a chain of errors off."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    return str(fault).splitlines()[0] if str(fault) else type(fault).__name__
