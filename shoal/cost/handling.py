"""What a worker spends beside the ops as a loop over the whole model has them.

It calls segments, takes messages in, sends them, copies what it sends; an engine changes the layout of what crosses a
segment's border, and fuses nothing across it; and its ops find caches that others have used since. Constants of the machine and the transport, measured once on toy models (`run.handled`), never on the model that
is planned. Their Samples have the transport as their engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from shoal.cost.contract import Traffic
from shoal.fleet import Fleet
from shoal.measure import handling_subject
from shoal.program import Program, Segment, Task
from shoal.record import Sample

WAYS = ("shm", "shaped")  # transports it is measured for; the second where a fleet's links are imitated


@dataclass(frozen=True)
class Handling:
    """CPU seconds of one thread of this machine."""

    call_s: float = 0.0  # a segment: picking it, giving it its inputs, keeping its outputs
    receive_s: float = 0.0  # a message taken in
    send_s: float = 0.0  # a message sent
    copy_s_per_byte: float = 0.0  # of messages that are copied into the transport's memory
    border_s_per_byte: float = 0.0  # of what segments read and give
    ops_share: float = 0.0  # more than the ops' own seconds in a loop that nothing interrupts

    def seconds(self, ops_s: float, traffic: Traffic) -> float:
        """Beside the `ops_s` of one segment, once, with the messages before and after it."""
        moved_s = traffic.received * self.receive_s + traffic.sent * self.send_s
        passed_s = traffic.copied_bytes * self.copy_s_per_byte + traffic.border_bytes * self.border_s_per_byte
        return self.call_s + moved_s + passed_s + ops_s * self.ops_share


def handling_of(samples: Sequence[Sample], over: str) -> Handling:
    """The constants among `samples` for the transport `over`; nought for what was never measured."""
    names = {handling_subject(each.name): each.name for each in fields(Handling)}
    own = (each for each in samples if each.engine == over and each.subject in names)
    return Handling(**{names[each.subject]: each.median_s for each in own})


def way_of(fleet: Fleet) -> str:
    """The transport a fleet's workers talk over here: throttled machines have the fleet's links imitated too."""
    return WAYS[any(device.speed < 1 for device in fleet.devices)]


def traffic(program: Program) -> dict[str, Traffic]:
    """By segment: the messages that its unit takes in before it runs and sends afterwards."""
    found: dict[str, Traffic] = {}
    for task in (task for route in program.routes for task in route.tasks):
        found |= _of_task(program, task)
    return found


def _of_task(program: Program, task: Task) -> dict[str, Traffic]:
    found: dict[str, Traffic] = {}
    made: dict[str, str] = {}  # tensor → the segment that gives it
    readers = _readers(program, task)
    received = 0
    for step in task.steps:
        if step.kind == "recv":
            received += 1
        elif step.kind == "run":
            segment = program.segment[step.name]
            found[step.name] = Traffic(received, border_bytes=_border_bytes(program, segment))
            received = 0
            made |= dict.fromkeys(segment.outputs, step.name)
        elif step.kind == "send" and (maker := made.get(program.edge[step.name].tensor)):
            edge, before = program.edge[step.name], found[maker]
            copied = readers[edge.tensor] > 1 or program.segment[maker].gate is not None
            size = edge.spec.bytes(program.sizes) if copied else 0
            found[maker] = replace(before, sent=before.sent + 1, copied_bytes=before.copied_bytes + size)
    return found


def _border_bytes(program: Program, segment: Segment) -> int:
    return sum(program.tensors[name].bytes(program.sizes) for name in (*segment.inputs, *segment.outputs))


def _readers(program: Program, task: Task) -> Counter[str]:
    """How many steps read each tensor. What a single send reads is made in the transport's memory: no copy.

    A segment counts twice: what it reads stays where it is.
    """
    readers: Counter[str] = Counter()
    for step in task.steps:
        if step.kind == "send":
            readers[program.edge[step.name].tensor] += 1
        elif step.kind == "run":
            readers.update(2 * program.segment[step.name].inputs)
    return readers
