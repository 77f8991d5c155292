"""The engine of machines that are not here: tensors really go through the model of one, op by op."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.engines import _onnx
from shoal.engines.contract import Arrays
from shoal.program import Program, Segment

if TYPE_CHECKING:
    import onnx_ir as ir

    from shoal.graph import Graph
    from shoal.machines.accelerators import Accelerator


@dataclass(frozen=True)
class Simulated:
    """Values are the machine's; the seconds of a run are this machine's own. `shoal simulate` tells the other's."""

    machine: str = "systolic"  # of the family `machines/accelerators`, with options: "systolic+rows=16+columns=16"

    def write(self, graph: Graph, ops: Sequence[str], folder: Path, stem: str) -> tuple[str, ...]:
        """Write `ops` as ONNX."""
        return _onnx.write(graph, ops, folder, stem)

    def load(self, program: Program, segment: Segment, folder: Path, threads: int) -> SimulatedSession:
        """Compile each op of the segment for the machine.

        Raises:
            ModelError: a file is missing or damaged, or the machine has no unit for an op.
            LimitError: a tensor does not fit into the machine.
        """
        from shoal.graph.load import read
        from shoal.machines.accelerators import accelerator

        path, *_ = _onnx.paths(segment, folder)
        return SimulatedSession(_steps(read(path), accelerator(self.machine)), tuple(segment.outputs))


@dataclass(frozen=True)
class _Step:
    """One op: of the machine, or one that only gives bytes another shape or makes a constant."""

    machine: Accelerator[Any]
    model: ir.Model
    node: ir.Node
    task: Any = None

    def run(self, data: Arrays) -> Mapping[str, NDArray[Any]]:
        """What it gives."""
        from shoal.machines.accelerators import evaluated

        return (
            evaluated(self.model, self.node, data)
            if self.task is None
            else self.machine.run(self.task, data).outputs
        )


@dataclass(frozen=True)
class SimulatedSession:
    """Ops in order."""

    steps: tuple[_Step, ...]
    outputs: tuple[str, ...]

    def run(self, inputs: Arrays, into: Arrays) -> Mapping[str, NDArray[Any]]:
        """Op after op."""
        data: dict[str, NDArray[Any]] = dict(inputs)
        for step in self.steps:
            data.update(step.run(data))
        found = {}
        for name in self.outputs:
            if name in into:
                np.copyto(into[name], data[name])
                found[name] = into[name]
            else:
                found[name] = np.array(data[name], order="C")
        return found


def _steps(model: ir.Model, machine: Accelerator[Any]) -> tuple[_Step, ...]:
    from shoal.graph.tidy import label
    from shoal.machines.accelerators import VIEWS, calls, decodes

    known = {each.name: each for each in calls(model)}
    found = []
    for node in model.graph:
        free = decodes(node) or node.op_type in VIEWS
        found.append(_Step(machine, model, node, None if free else machine.compiled(known[label(node)])))
    return tuple(found)
