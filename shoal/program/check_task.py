"""Whether the steps of one unit for one route are its own, in an order that works, and lose no value."""

from __future__ import annotations

from collections import Counter

from shoal.errors import ProgramError
from shoal.program.ready import inputs_of, outputs_of
from shoal.program.values import Edge, Program, Segment, Step, Task


def check_task(program: Program, task: Task, where: str) -> None:
    """Refuse a task that could block on its own, or loses a value; `where` stands in the error.

    Raises:
        ProgramError: naming the step or the value.
    """
    there: dict[str, Edge | Segment] = {}  # value → what gave it
    readers: Counter[str] = Counter()
    for step, count in Counter(task.steps).items():
        if count > 1:
            raise ProgramError(f"the step '{step.kind} {step.name}' stands {count} times", where=where)
    for step in task.steps:
        reads, gives, giver = _effect(program, step, task.unit)
        for name in reads:
            if name not in there:
                what = f"segment '{step.name}' reads '{name}'" if step.kind == "run" else f"'{name}' is sent"
                raise ProgramError(f"{what} before it is there", where=where)
        for name in gives:
            if name in there:
                raise ProgramError(f"the value '{name}' is given twice", where=where)
        readers.update(reads)
        there |= dict.fromkeys(gives, giver)
    _received_is_read(there, readers, where)


def _received_is_read(there: dict[str, Edge | Segment], readers: Counter[str], where: str) -> None:
    received = {name: giver for name, giver in there.items() if isinstance(giver, Edge)}
    if not any(edge.takes == "every" for edge in received.values()):
        raise ProgramError("no message tells that an item is there", where=where)
    for name, edge in received.items():
        if not readers[name]:
            raise ProgramError(f"'{name}' is received and nobody reads it", where=where)
        if edge.takes == "newest" and readers[name] > 1:
            raise ProgramError(
                f"'{name}' of a {edge.takes} edge is read by {readers[name]} steps, which could see two values",
                where=where, needed="one reader", hint="read it in one segment and pass it on",
            )  # fmt: skip


def _effect(program: Program, step: Step, unit: str) -> tuple[tuple[str, ...], tuple[str, ...], Edge | Segment]:
    """The values that `step` reads and gives, and its edge or segment."""
    if step.kind == "run" and (segment := program.segment.get(step.name)) and segment.unit == unit:
        return inputs_of(program, segment), outputs_of(program, segment), segment
    edge = program.edge.get(step.name)
    if step.kind == "send" and edge and edge.source == unit:
        return (edge.tensor,), (), edge
    if step.kind == "recv" and edge and edge.target == unit:
        return (), (edge.delivers,), edge
    if step.kind in ("move", "fetch"):
        raise ProgramError(f"no worker can '{step.kind}' yet", where=unit, had=step.name)
    raise ProgramError(f"{unit} has a step '{step.kind} {step.name}' that is not its own")
