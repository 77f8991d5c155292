"""A layer of a real network, pruned by magnitude: as onnxruntime computes it, and as a machine does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shoal.errors import ModelError
from shoal.graph import save
from shoal.machines.accelerators import Call, calls
from shoal.machines.accelerators.nexus import Nexus
from shoal.machines.nexus import Array

if TYPE_CHECKING:
    import onnx_ir as ir

    from shoal.study._networks import Network

MOST_WEIGHTS = 150_000


@dataclass(frozen=True, eq=False)
class PrunedLayer:
    """The op, what it reads in the pruned network, and what onnxruntime gives."""

    call: Call
    share: float  # of weights that are zero
    seen: dict[str, Array]
    wanted: Array

    def off(self, machine: Nexus) -> float:
        """How far the machine's output is from onnxruntime's, in shares of the largest value."""
        found = machine.run(machine.compiled(self.call), self.seen).outputs[self.call.outputs[0].name]
        return float(np.abs(found - self.wanted).max() / np.abs(self.wanted).max())

    def operands(self, machine: Nexus) -> tuple[Array, Array]:
        """Weights (columns, inner) and the inputs of as many rows as the array holds, (inner, rows); whole numbers."""
        task = machine.compiled(self.call)
        left = task.product.left(self.seen)[0]
        scale = float(np.abs(left).max()) / task.most
        return task.weights[0].dense(), np.rint(left[: task.rows] / scale).T


def pruned_layer(network: Network, share: float, folder: Path) -> PrunedLayer:
    """The network's layer of most weights up to 150 000 whose smallest are set to zero; the rest of it stays as it is."""
    import onnx_ir as ir
    import onnxruntime

    model = network.graph.model.clone()
    chosen = largest(model)
    node = next(each for each in model.graph if chosen.outputs[0].name in {out.name for out in each.outputs})
    weight, source = node.inputs[1], node.inputs[0]
    if weight is None or source is None or weight.const_value is None:
        raise ModelError("a layer without weights", where=chosen.name)
    weight.const_value = ir.tensor(pruned(weight.const_value.numpy(), share), name=weight.name)
    told = [source, node.outputs[0]]
    model.graph.outputs.clear()
    model.graph.outputs.extend(told)
    path = folder / f"{network.name}-{share:g}.onnx"
    save(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    seen, wanted = session.run([str(each.name) for each in told], dict(network.samples[0]))
    call = next(each for each in calls(model) if each.outputs[0].name == told[1].name)
    return PrunedLayer(call, share, {str(source.name): seen}, wanted)


def largest(model: ir.Model) -> Call:
    """The product of most constant weights, up to a number."""
    found = [call for call in calls(model) if call.kind in {"Conv", "Gemm", "MatMul"} and call.attributes.get("group", 1) == 1
             and call.inputs[0] is not None and not call.inputs[0].constant and _weights(call) <= MOST_WEIGHTS]  # fmt: skip
    return max(found, key=_weights)


def pruned(values: Array, share: float) -> Array:
    """The smallest magnitudes as zeros."""
    least = np.quantile(np.abs(values), share)
    return np.where(np.abs(values) < least, 0, values).astype(values.dtype)


def _weights(call: Call) -> int:
    weights = call.inputs[1]
    return weights.elements if weights is not None and weights.constant else -1
