"""A model's ops on one machine that is not here, op after op: what each takes, or why the machine has no unit for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shoal.errors import PlanError
from shoal.graph import Graph
from shoal.machines.accelerators import Taken, calls, price


@dataclass(frozen=True)
class OpTaken:
    """One op on the machine."""

    name: str
    kind: str  # the ONNX operator type
    macs: int
    taken: Taken


@dataclass(frozen=True)
class Alone:
    """All ops of a model on one machine. Sums are of those that it takes."""

    machine: str
    ops: tuple[OpTaken, ...]

    @property
    def done(self) -> tuple[OpTaken, ...]:
        """Those that the machine takes."""
        return tuple(op for op in self.ops if not op.taken.refusal)

    @property
    def refused(self) -> tuple[OpTaken, ...]:
        """Those that it has no unit for, or no room."""
        return tuple(op for op in self.ops if op.taken.refusal)

    @property
    def seconds(self) -> float:
        """One op after another."""
        return sum(op.taken.seconds for op in self.done)

    @property
    def cycles(self) -> int:
        """One op after another."""
        return sum(op.taken.cycles for op in self.done)

    @property
    def energy_j(self) -> Mapping[str, float]:
        """Joules by component."""
        found: dict[str, float] = {}
        for op in self.done:
            for name, joules in op.taken.energy_j.items():
                found[name] = found.get(name, 0.0) + joules
        return found

    @property
    def joules(self) -> float:
        """All components."""
        return sum(self.energy_j.values())


def alone(graph: Graph, machine: str) -> Alone:
    """Run every op of `graph` on the machine that the text asks for ("systolic", "systolic+rows=16").

    Inputs are values that stand for data; weights are the model's own.

    Raises:
        InputError: no such machine or option.
        PlanError: the graph holds no weights, or the machine takes none of its ops.
    """
    if not graph.written:
        raise PlanError("made from a configuration alone: there are no ops to run on a machine", where=graph.name)
    macs = {op.name: op.macs for op in graph.ops}
    found = tuple(
        OpTaken(call.name, call.kind, macs.get(call.name, 0), price(machine, call)) for call in calls(graph.model)
    )
    made = Alone(machine, found)
    if not made.cycles:
        raise PlanError(f"'{machine}' takes none of the model's ops", where=graph.name,
                        had=made.refused[0].taken.refusal if made.refused else "no ops")  # fmt: skip
    return made
