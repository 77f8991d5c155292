"""Ternary decoders whose weights are kept in whole bytes, on boards of the catalog, by the data sheet's cost model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shoal import catalog
from shoal.cost import CostKey
from shoal.graph.build import from_model
from shoal.machines.ternary_models import TernaryDecoder

if TYPE_CHECKING:
    from shoal.graph import Graph
    from shoal.study._bench import Bench


@dataclass(frozen=True)
class Spent:
    """What some tokens take."""

    seconds: float
    joules: float  # above idle


@dataclass(frozen=True)
class Board:
    """A unit of a board."""

    bench: Bench
    name: str
    unit: str
    form: str  # of weights and activations, "float16" or "int8"

    def tokens(self, model: TernaryDecoder, count: int) -> Spent:
        """So many tokens at once, and the head of the last: products alone, one kernel each."""
        fleet = self.bench.fleet(f'[devices.board]\nboard = "{self.name}"')
        layer, head = _products(model, count, self.form)
        spent = []
        for graph in (layer, head):
            costs = catalog.make("cost/models", "roofline").over(graph, fleet, ())
            names = tuple(op.name for op in graph.ops)
            spent.append(costs.estimate(CostKey(names, f"board/{self.unit}", format=self.form)))
        seconds, joules = (
            model.layers * getattr(spent[0], name) + getattr(spent[1], name) for name in ("seconds", "joules")
        )
        return Spent(float(seconds), float(joules))


def _products(model: TernaryDecoder, rows: int, form: str) -> tuple[Graph, Graph]:
    """Of a layer, and of the head."""
    layer = [(each.name, each.inputs, each.outputs) for each in model.matrices]
    return _graph(layer, rows, form), _graph([("head", model.width, model.vocabulary)], 1, form)


def _graph(products: list[tuple[str, int, int]], rows: int, form: str) -> Graph:
    """Products beside each other; their weights are zeros, only sizes count."""
    import onnx_ir as ir

    kind = ir.DataType.from_numpy(np.dtype(form))

    def value(name: str, shape: tuple[int, ...], weights: bool = False) -> ir.Value:
        held = ir.tensor(np.zeros(shape, form), name=name) if weights else None
        return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(kind), const_value=held)

    inputs = {size: value(f"x{size}", (rows, size)) for _, size, _ in products}
    nodes, constants = [], []
    for name, before, after in products:
        constants.append(value(f"{name}.weight", (before, after), weights=True))
        nodes.append(ir.node("MatMul", [inputs[before], constants[-1]], name=name))
        made = nodes[-1].outputs[0]
        made.name, made.shape, made.type = name, ir.Shape((rows, after)), ir.TensorType(kind)
    graph = ir.Graph(list(inputs.values()), [node.outputs[0] for node in nodes], nodes=nodes, initializers=constants,
                     opset_imports={"": 17}, name="products")  # fmt: skip
    return from_model(ir.Model(graph, ir_version=10), "products", "", "")
