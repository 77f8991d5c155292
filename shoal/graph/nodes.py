"""Writes the nodes of a divided graph: copies, portions, slices, joins; each with its type, shape and owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shoal.graph import access
from shoal.graph.box import Box, full, shape_of
from shoal.graph.shapes import OLDEST_IR_VERSION
from shoal.graph.tidy import label
from shoal.graph.values import Graph
from shoal.graph.weights import lazy

if TYPE_CHECKING:
    import onnx_ir as ir

    from shoal.graph.portions import Portion

SLICE_BY_INPUTS_FROM = 10  # the opset from which Slice takes its bounds as inputs


class Nodes:
    """A model that grows node by node. `owners` and `origins` tell of each op who has it and what it is part of."""

    def __init__(self, graph: Graph) -> None:

        self._source = graph
        self._opset = graph.model.graph.opset_imports.get("", 1)
        self._values: dict[str, ir.Value] = {}
        self._nodes: list[ir.Node] = []
        self._slices: dict[tuple[str, Box, int], str] = {}
        self._identities: dict[str, str] = {}
        self.owners: dict[str, int] = {}
        self.origins: dict[str, str] = {}  # op → the op of the source that it does a part of
        for value in graph.model.graph.inputs:
            self._new(access.name(value), access.dims(value), access.dtype(value))
        self._weights = dict(graph.model.graph.initializers)

    def model(self) -> ir.Model:
        """What has been written so far."""
        import onnx_ir as ir

        source = self._source
        used = {access.name(value) for node in self._nodes for value in node.inputs if value is not None}
        part = ir.Graph(
            [self._values[access.name(value)] for value in source.model.graph.inputs],
            [self._values[access.name(value)] for value in source.model.graph.outputs],
            nodes=self._nodes,
            initializers=[
                value for name, value in self._values.items() if name in used and value.const_value is not None
            ],
            opset_imports=dict(source.model.graph.opset_imports),
            name=source.name,
        )
        return ir.Model(part, ir_version=max(source.model.ir_version, OLDEST_IR_VERSION), producer_name="shoal")

    def copy(self, node: ir.Node, reads: Mapping[str, str], owner: int, *, alone: bool) -> dict[str, str]:
        """`node` as it is, reading each tensor under the name `reads` gives.

        Returns the names of what it makes: its own, or, unless it is `alone`, ones that tell the owner.
        """
        import onnx_ir as ir

        inputs = [
            None if value is None or not value.name else self._value(reads.get(value.name, value.name))
            for value in node.inputs
        ]
        outputs, names = [], {}
        for value in node.outputs:
            name = value.name or ""
            own = name if alone or not name else f"{name}@{owner}"
            if name in self._source.tensors:
                add = self._new if alone else self._fresh
                outputs.append(add(own, access.dims(value), access.dtype(value)))
                names[name] = access.name(outputs[-1])
            else:
                outputs.append(ir.Value(name=own))  # nobody reads it, but engines may want it there
        made = ir.Node(node.domain, node.op_type, inputs, node.attributes.values(), outputs=outputs)
        self._add(made, names[label(node)], owner, label(node))
        return names

    def portion(self, node: ir.Node, portion: Portion, values: Sequence[str | None], owner: int) -> str:
        """The node that makes a portion of `node`."""
        import onnx_ir as ir

        changed = [attribute(name, value) for name, value in portion.attributes.items()]
        kept = [value for name, value in node.attributes.items() if name not in portion.attributes]
        inputs = [None if name is None else self._value(name) for name in values]
        if node.op_type == "Concat":
            inputs = [value for value in inputs if value is not None]
        dtype = access.dtype(node.outputs[0])
        output = self._fresh(f"{access.name(node.outputs[0])}@{owner}", shape_of(portion.box), dtype)
        made = ir.Node(node.domain, node.op_type, inputs, [*kept, *changed], outputs=[output])
        self._add(made, access.name(output), owner, label(node))
        return access.name(output)

    def slice(self, value: str, box: Box, owner: int) -> str:
        """`box` of a value, counted from its corner; the same slice is made once."""
        key = (value, box, owner)
        if key not in self._slices:
            source = self._value(value)
            axes = [axis for axis, interval in enumerate(box) if interval != (0, access.dims(source)[axis])]
            bounds = {
                "starts": tuple(box[axis][0] for axis in axes),
                "ends": tuple(box[axis][1] for axis in axes),
                "axes": tuple(axes),
            }
            by_inputs = self._opset >= SLICE_BY_INPUTS_FROM
            more = [self._value(self.integers(each)) for each in bounds.values()] if by_inputs else []
            attributes = [] if by_inputs else [attribute(name, each) for name, each in bounds.items()]
            output = self._fresh(f"{value}{_text(box, axes)}", shape_of(box), access.dtype(source))
            self._slices[key] = self._write("Slice", [source, *more], output, owner, *attributes)
        return self._slices[key]

    def concat(self, values: Sequence[str], axis: int, box: Box, owner: int, tensor: str) -> str:
        """Values behind one another."""
        inputs = [self._value(name) for name in values]
        output = self._fresh(f"{tensor}@{owner}.joined", shape_of(box), access.dtype(inputs[0]))
        return self._write("Concat", inputs, output, owner, attribute("axis", axis))

    def add_up(self, values: Sequence[str], tensor: str, box: Box, owner: int) -> str:
        """The sum of values of one shape."""
        inputs = [self._value(name) for name in values]
        output = self._fresh(f"{tensor}@{owner}.sum", shape_of(box), access.dtype(inputs[0]))
        return self._write("Sum", inputs, output, owner)

    def identity(self, value: str, owner: int) -> str:
        """A copy of an input, so that others get it from `owner`."""
        if value not in self._identities:
            source = self._value(value)
            output = self._fresh(f"{value}@{owner}", access.dims(source), access.dtype(source))
            self._identities[value] = self._write("Identity", [source], output, owner)
        return self._identities[value]

    def answer(self, value: str, name: str, owner: int) -> None:
        """Give an answer of the graph, which `owner` has as `value`, its own name."""
        source = self._value(value)
        if self.owners.get(value) != owner or source.uses():
            output = self._new(name, access.dims(source), access.dtype(source))
            self._write("Identity", [source], output, owner)
            return
        source.name = name
        self._values[name] = self._values.pop(value)
        self.owners[name] = self.owners.pop(value)
        if value in self.origins:
            self.origins[name] = self.origins.pop(value)

    def weight(self, name: str, box: Box) -> str:
        """`box` of a weight, cut when it is read."""
        source = self._weights[name]
        if box == full(access.dims(source)):
            return name
        axes = [axis for axis, interval in enumerate(box) if interval != (0, access.dims(source)[axis])]
        own = f"{name}{_text(box, axes)}"
        if own not in self._values:
            tensor = access.data(source)
            made = self._new(own, shape_of(box), tensor.dtype)
            made.const_value = lazy(partial(_cut, tensor, box), tensor.dtype, shape_of(box))
        return own

    def integers(self, values: tuple[int, ...]) -> str:
        """A constant list of integers."""
        import onnx_ir as ir

        name = f"shoal.ints.{'_'.join(str(value) for value in values)}"
        if name not in self._values:
            array = np.asarray(values, np.int64)
            self._new(name, array.shape, ir.DataType.INT64).const_value = ir.tensor(array, name=name)
        return name

    def zero(self, rank: int, dtype: ir.DataType) -> str:
        """A constant zero that broadcasts."""
        import onnx_ir as ir

        name = f"shoal.zero.{dtype.name.lower()}.{rank}"
        if name not in self._values:
            array = np.zeros((1,) * rank, dtype.numpy())
            self._new(name, array.shape, dtype).const_value = ir.tensor(array, name=name)
        return name

    def _value(self, name: str) -> ir.Value:
        import onnx_ir as ir

        if name not in self._values:
            source = self._weights[name]
            self._values[name] = ir.Value(
                name=name, shape=source.shape, type=source.type, const_value=source.const_value
            )
        return self._values[name]

    def _new(self, name: str, shape: Sequence[int], dtype: ir.DataType) -> ir.Value:
        import onnx_ir as ir

        self._values[name] = ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(dtype))
        return self._values[name]

    def _fresh(self, wish: str, shape: Sequence[int], dtype: ir.DataType) -> ir.Value:
        """A new value called as wished, or nearly."""
        name, number = wish, 2
        while name in self._values or name in self._source.tensors or name in self._weights:
            name, number = f"{wish}.{number}", number + 1
        return self._new(name, shape, dtype)

    def _write(
        self, kind: str, inputs: Sequence[ir.Value | None], output: ir.Value, owner: int, *attributes: ir.Attr
    ) -> str:
        """A node of our own; returns the name of what it makes."""
        import onnx_ir as ir

        name = access.name(output)
        self._add(ir.Node("", kind, list(inputs), attributes, outputs=[output]), name, owner)
        return name

    def _add(self, node: ir.Node, name: str, owner: int, origin: str = "") -> None:
        self._nodes.append(node)
        self.owners[name] = owner
        if origin:
            self.origins[name] = origin


def attribute(name: str, value: int | str | tuple[int, ...]) -> ir.Attr:
    """One of whole numbers or text."""
    import onnx_ir as ir

    if isinstance(value, int):
        return ir.AttrInt64(name, value)
    return ir.AttrString(name, value) if isinstance(value, str) else ir.AttrInt64s(name, value)


def _text(box: Box, axes: Sequence[int]) -> str:
    """How a slice is called: "[1:0-112]" is elements 0 to 112 of axis 1."""
    return "".join(f"[{axis}:{box[axis][0]}-{box[axis][1]}]" for axis in axes)


def _cut(tensor: ir.TensorProtocol, box: Box) -> npt.NDArray[np.generic]:
    return np.ascontiguousarray(tensor.numpy()[tuple(slice(first, end) for first, end in box)])
