"""Weights in a number format that ONNX has no type for: the op `shoal.Decode`, from packed bytes to float32.

Its inputs are what the format's `pack` gave, each (parts, bytes) in uint8, sorted by name; its attributes say the
format, the names of the streams, the rows and columns of a part, the shape of the tensor that comes out, and whether
that is the matrix turned over. A convolution with groups has a part for each. An engine may run a product on the
codes; for one that cannot, `unpacked` puts float32 weights in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import formats
from shoal.errors import InputError, ModelError
from shoal.formats import Coded, Format, restored
from shoal.graph import access, tidy
from shoal.graph.shelf import shelved
from shoal.graph.weights import lazy

if TYPE_CHECKING:
    import onnx_ir as ir

DOMAIN, KIND, VERSION = "shoal", "Decode", 1


@dataclass(frozen=True, eq=False)
class Packed:
    """A weight as such an op holds it."""

    format: str
    parts: tuple[Coded, ...]  # of equal shapes, one below another
    shape: tuple[int, ...]  # of the tensor
    turned: bool = False  # the tensor is (columns, rows)

    @property
    def form(self) -> Format:
        """The format."""
        return formats.make(self.format)

    @property
    def matrix(self) -> NDArray[np.float32]:
        """What is stored, (rows, columns)."""
        return np.concatenate([restored(self.form, part) for part in self.parts])

    @property
    def tensor(self) -> NDArray[np.float32]:
        """What the op gives."""
        matrix = self.matrix
        return np.ascontiguousarray(matrix.T if self.turned else matrix.reshape(self.shape))


@cache
def register() -> None:
    """Make the op known to onnx, with its inference of shapes."""
    from onnx import TensorProto, defs, helper

    def infer(context: Any) -> None:
        shape = context.get_attribute("shape")
        made = helper.make_tensor_type_proto(TensorProto.FLOAT, tuple(shape.ints))
        context.set_output_type(0, made)

    kinds, schema = defs.OpSchema.AttrType, defs.OpSchema
    needed = {"format": kinds.STRING, "streams": kinds.STRINGS, "part": kinds.INTS, "shape": kinds.INTS}
    made = schema(
        KIND, DOMAIN, VERSION, "Weights in a number format, from their packed bytes",
        inputs=[schema.FormalParameter("streams", "tensor(uint8)", param_option=schema.FormalParameterOption.Variadic,
                                       min_arity=1)],
        outputs=[schema.FormalParameter("weights", "tensor(float)")],
        attributes=[
            *(schema.Attribute(name, kind, required=True) for name, kind in needed.items()),
            schema.Attribute("turned", helper.make_attribute("turned", 0)),
        ],
    )  # fmt: skip
    made.set_type_and_shape_inference_function(infer)
    defs.register_schema(made)


def node(model: ir.Model, name: str, packed: Packed) -> ir.Node:
    """A new op of `model`, not yet among its ops, whose output is called `name`.decoded; its streams become weights.

    Raises:
        InputError: the parts do not pack into streams of one size.
    """
    import onnx_ir as ir

    form = packed.form
    streams = _stacked([form.pack(part) for part in packed.parts])
    inputs = [access.constant(model, f"{name}.{each}", shelved(stream)) for each, stream in streams.items()]
    attributes = [
        ir.AttrString("format", packed.format), ir.AttrStrings("streams", list(streams)),
        ir.AttrInt64s("part", packed.parts[0].codes.shape), ir.AttrInt64s("shape", packed.shape),
        ir.AttrInt64("turned", int(packed.turned)),
    ]  # fmt: skip
    made = ir.Node(DOMAIN, KIND, inputs, attributes)
    value = made.outputs[0]
    value.name, value.shape = f"{name}.decoded", ir.Shape(packed.shape)
    value.type = ir.TensorType(ir.DataType.FLOAT)
    model.opset_imports[DOMAIN] = VERSION
    return made


def is_decode(node: ir.Node | None) -> bool:
    """Whether it is this op."""
    return node is not None and (node.domain, node.op_type) == (DOMAIN, KIND)


def packed_of(node: ir.Node, where: str = "") -> Packed:
    """The weight that a Decode holds.

    Raises:
        ModelError: a stream is no weight, or its bytes are not of such a matrix in this format.
    """
    return _recipe(node, where)()


def unpacked(model: ir.Model) -> ir.Model:
    """`model` with float32 weights, made when they are read, in place of each Decode; in place."""
    import onnx_ir as ir

    for each in [node for node in model.graph if is_decode(node)]:
        shape, recipe = tuple(each.attributes["shape"].as_ints()), _recipe(each)
        tidy.replace_by_constant(each.outputs[0], lazy(_weights(recipe), ir.DataType.FLOAT, shape))
        model.graph.remove(each, safe=True)
    tidy.drop_dead(model.graph)
    return model


def evaluator() -> type[Any]:
    """The op for onnx's ReferenceEvaluator."""
    from onnx.reference.op_run import OpRun

    class Decode(OpRun):
        """In numpy."""

        op_domain = DOMAIN

        def _run(
            self,
            *given: NDArray[np.uint8],
            format: str,
            streams: Sequence[str],
            part: Sequence[int],
            shape: Sequence[int],
            turned: int,
        ) -> tuple[NDArray[np.float32]]:
            named = dict(zip(streams, given, strict=True))
            return (_packed(format, named, tuple(part), tuple(shape), bool(turned), KIND).tensor,)

    return Decode


def _weights(recipe: Callable[[], Packed]) -> Callable[[], NDArray[np.float32]]:
    return lambda: recipe().tensor


def _recipe(node: ir.Node, where: str = "") -> Callable[[], Packed]:
    """What reads the weight, whatever becomes of the node."""
    place, given = where or tidy.label(node), node.attributes
    tensors: dict[str, ir.TensorProtocol] = {}
    for name, value in zip(given["streams"].as_strings(), node.inputs, strict=True):
        if value is None or value.const_value is None:
            raise ModelError(f"decodes '{name}', which is no weight", where=place)
        tensors[name] = value.const_value
    name, turned = given["format"].as_string(), bool(given.get_int("turned", 0))
    part, shape = (tuple(given[each].as_ints()) for each in ("part", "shape"))

    def read() -> Packed:
        return _packed(name, {key: each.numpy() for key, each in tensors.items()}, part, shape, turned, place)

    return read


def _packed(
    name: str,
    streams: Mapping[str, NDArray[np.uint8]],
    part: tuple[int, ...],
    shape: tuple[int, ...],
    turned: bool,
    where: str,
) -> Packed:
    try:
        form = formats.make(name)
        rows, columns = _checked(form, streams, part, shape, turned)
        count = next(iter(streams.values())).shape[0]
        parts = [
            form.unpack({key: np.ascontiguousarray(stream[at]) for key, stream in streams.items()}, (rows, columns))
            for at in range(count)
        ]
    except InputError as fault:
        raise ModelError(f"weights in '{name}' that cannot be read: {fault.message}", where=where) from fault
    return Packed(name, tuple(parts), shape, turned)


def _checked(
    form: Format,
    streams: Mapping[str, NDArray[np.uint8]],
    part: tuple[int, ...],
    shape: tuple[int, ...],
    turned: bool,
) -> tuple[int, int]:
    """Rows and columns of a part, once all sizes fit: before anything of those sizes is made."""
    counts = {stream.shape[0] if stream.ndim == 2 else 0 for stream in streams.values()}
    if len(part) != 2 or len(counts) != 1 or min(counts) < 1 or min((*part, *shape)) < 1:
        raise InputError("its sizes make no sense", had=f"{len(streams)} streams of {sorted(counts)} parts, {part}")
    rows, columns, count = *part, counts.pop()
    if prod(shape) != rows * columns * count or (turned and shape != (columns, rows * count)):
        raise InputError("its shape does not fit its parts", needed=f"{count} of {part}", had=str(shape))
    held = sum(stream.shape[1] for stream in streams.values())
    if held * 8 != form.stored_bits((rows, columns)):
        raise InputError("its bytes do not fit", needed=f"{form.stored_bits((rows, columns)) // 8}", had=str(held))
    return rows, columns


def _stacked(parts: Sequence[formats.Streams]) -> dict[str, NDArray[np.uint8]]:
    names = sorted(parts[0])
    if any(
        {name: part[name].size for name in part} != {name: parts[0][name].size for name in names} for part in parts
    ):
        raise InputError("parts of one weight differ in size")
    return {name: np.stack([part[name].reshape(-1) for part in parts]) for name in names}
