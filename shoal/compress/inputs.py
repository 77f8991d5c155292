"""What products read, rounded as the walk comes by: each tensor's levels are fitted to what the coded network makes of it.

Only products read what is left of a tensor; sums and whatever else reads it has it in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.activations import PRODUCTS
from shoal.compress.contract import Rounder, Rounding
from shoal.compress.layers import Layer
from shoal.errors import InputError
from shoal.graph import Graph

if TYPE_CHECKING:
    import onnx_ir as ir


class Inputs:
    """The rounding of each tensor that layers read, once it is known. Several walks may share it: the first one fits."""

    def __init__(self, graph: Graph, layers: Sequence[Layer] = (), rounder: Rounder | None = None) -> None:
        """Those of `layers`, the products to be coded of `graph`; without a rounder all stay as they are."""
        self._rounder, self._given = rounder, frozenset(graph.inputs)
        self._axes = {layer.input: -3 if layer.kind == "Conv" else -1 for layer in reversed(layers)}
        self._ends = {layer.input for layer in (layers[0], layers[-1])} if layers else set()
        self.found: dict[str, Rounding] = {}

    def settle(self, name: str, values: Sequence[NDArray[Any]]) -> None:
        """Fit the levels of a tensor, unless they are known, to what it is on the samples.

        Raises:
            InputError: something is not finite, or an input of the network is the same everywhere.
        """
        if self._rounder is None or name in self.found or name not in self._axes:
            return
        if not all(np.isfinite(each).all() for each in values):
            raise InputError("an activation of the calibration samples is not finite", where=name)
        if name in self._given and _constant(values):
            raise InputError("an input is the same everywhere in the calibration samples", where=name,
                             hint="take samples of what the network will see")  # fmt: skip
        self.found[name] = self._rounder.rounding(values, self._axes[name], name in self._ends)

    def left(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        """What products read of it."""
        return self.found[name].rounded(value) if name in self.found else value

    def told(self, name: str) -> str:
        """Of a tensor's levels, in words."""
        return f"reads {self.found[name].told}" if name in self.found else ""

    def apart(self, model: ir.Model) -> Mapping[str, str]:
        """Give a part of the network a second input for each that its products read rounded, in place: which stands for which."""
        import onnx_ir as ir

        names: dict[str, str] = {}
        for value in [each for each in model.graph.inputs if each.name in self.found]:
            uses = products_on(value)
            if uses:
                second = ir.Value(name=f"{value.name}.left", shape=value.shape, type=value.type)
                model.graph.inputs.append(second)
                names[str(second.name)] = str(value.name)
                for node, index in uses:
                    node.replace_input_with(index, second)
        return names

    def insert(self, model: ir.Model) -> None:
        """Let the products of the whole network read what is left, in place."""
        values = {
            value.name: value
            for value in (*model.graph.inputs, *(out for node in model.graph for out in node.outputs))
        }
        for name, rounding in self.found.items():
            value = values[name]
            uses = products_on(value)
            if not uses:
                continue
            made = rounding.nodes(model, value)
            producer = value.producer()
            if producer is None:
                model.graph.insert_before(model.graph[0], made)
            else:
                model.graph.insert_after(producer, made)
            for node, index in uses:
                node.replace_input_with(index, made[-1].outputs[0])


def products_on(value: ir.Value) -> list[tuple[ir.Node, int]]:
    """The products that read it, and as which input."""
    return [(use.node, use.idx) for use in value.uses() if use.node.op_type in PRODUCTS]


def _constant(values: Sequence[NDArray[Any]]) -> bool:
    first = values[0].flat[0]
    return all(bool((each == first).all()) for each in values)
