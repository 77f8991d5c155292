"""The one function that decides whether a Program is valid: lowering, packing, workers and the simulator call it.

A valid Program cannot block: each unit's steps are in an order in which every read is there, the steps of a route
over all units form no cycle, buffers hold the whole window, and every message sent is received, once.
"""

from __future__ import annotations

from collections import Counter
from graphlib import CycleError, TopologicalSorter

from shoal.errors import ProgramError
from shoal.program.ready import inputs_of, outputs_of
from shoal.program.sizes import names
from shoal.program.values import CLIENT, Program, Route, Step, Task


def check(program: Program) -> None:
    """Refuse a program that could block, or lose or invent a value.

    Raises:
        ProgramError: naming the edge, segment or state, what it needs and what there is.
    """
    _names_are_unique(program)
    _sizes_are_bound(program)
    _buffers_hold_the_window(program)
    for route in program.routes:
        _messages_match(program, route)
        for task in route.tasks:
            _reads_are_there(program, route, task)
        _no_cycle(program, route)
        if not route.outputs:
            raise ProgramError(f"entry '{route.entry}' answers nothing: no edge leads back to the client")


def _names_are_unique(program: Program) -> None:
    for what, found in (
        ("unit", program.units),
        ("edge", tuple(edge.name for edge in program.edges)),
        ("segment", tuple(segment.name for segment in program.segments)),
        ("state", tuple(state.name for state in program.states)),
    ):
        for name, count in Counter(found).items():
            if count > 1:
                raise ProgramError(f"{what} '{name}' stands {count} times")
    for edge in program.edges:
        for party in (edge.source, edge.target):
            if party != CLIENT and party not in program.units:
                raise ProgramError(f"edge '{edge.name}' names the unknown unit '{party}'")


def _sizes_are_bound(program: Program) -> None:
    specs = [(edge.name, edge.spec) for edge in program.edges]
    specs += [(state.name, state.spec) for state in program.states]
    for name, spec in specs + list(program.tensors.items()):
        for size in spec.shape:
            for free in names(size) - set(program.sizes):
                raise ProgramError(f"'{name}' depends on the size '{free}', which has no bound")


def _buffers_hold_the_window(program: Program) -> None:
    for edge in program.edges:
        if edge.buffer_items < program.window:
            raise ProgramError(
                "a send could block on its reader: the buffer is smaller than the window",
                where=f"edge '{edge.name}'",
                needed=f"{program.window} items",
                had=f"{edge.buffer_items} items",
            )
        if edge.takes == "every" and edge.initial is not None:
            raise ProgramError("only newest and previous edges have an initial value", where=f"edge '{edge.name}'")


def _messages_match(program: Program, route: Route) -> None:
    sent: Counter[str] = Counter(route.inputs)
    taken: Counter[str] = Counter(route.outputs)
    for task in route.tasks:
        for step in task.steps:
            if step.kind == "send":
                _ends_at(program, step, task.unit, "source")
                sent[step.name] += 1
            elif step.kind == "recv":
                _ends_at(program, step, task.unit, "target")
                taken[step.name] += 1
    for name in sent.keys() | taken.keys():
        across = program.edge[name].takes == "newest"  # may join two entries
        if sent[name] > 1 or taken[name] > 1 or (sent[name] != taken[name] and not across):
            raise ProgramError(
                f"edge '{name}' is sent {sent[name]} and received {taken[name]} times",
                where=f"entry {route.entry}",
            )


def _ends_at(program: Program, step: Step, unit: str, end: str) -> None:
    if step.name not in program.edge or getattr(program.edge[step.name], end) != unit:
        raise ProgramError(f"{unit} has a step '{step.kind} {step.name}' that is not its own")


def _reads_are_there(program: Program, route: Route, task: Task) -> None:
    there: set[str] = set()
    received = [program.edge[step.name] for step in task.steps if step.kind == "recv"]
    if not any(edge.takes == "every" for edge in received):
        raise ProgramError("no message tells that an item is there", where=f"{task.unit}, entry {route.entry}")
    for step in task.steps:
        where = f"{task.unit}, entry {route.entry}"
        if step.kind == "recv":
            there.add(program.edge[step.name].delivers)
        elif step.kind == "send" and program.edge[step.name].tensor not in there:
            raise ProgramError(f"'{program.edge[step.name].tensor}' is sent before it is there", where=where)
        elif step.kind == "run":
            there |= _run(program, step, task.unit, there, where)


def _run(program: Program, step: Step, unit: str, there: set[str], where: str) -> set[str]:
    segment = program.segment.get(step.name)
    if segment is None or segment.unit != unit:
        raise ProgramError(f"{unit} has a step 'run {step.name}' that is not its own", where=where)
    for state in segment.states:
        if state not in program.state or program.state[state].unit != unit:
            raise ProgramError(f"segment '{segment.name}' uses the state '{state}', which is not on {unit}")
    for name in inputs_of(program, segment):
        if name not in there:
            raise ProgramError(f"segment '{segment.name}' reads '{name}' before it is there", where=where)
    if segment.gate is not None and segment.gate not in segment.outputs:
        raise ProgramError(f"segment '{segment.name}' has no output '{segment.gate}' to be its gate")
    return set(outputs_of(program, segment))


def _no_cycle(program: Program, route: Route) -> None:
    """Values of one item, as (party, name): what a step writes depends on what it reads."""
    order: TopologicalSorter[tuple[str, str]] = TopologicalSorter()
    for task in route.tasks:
        for step in task.steps:
            if step.kind == "run":
                segment = program.segment[step.name]
                reads = [(task.unit, name) for name in inputs_of(program, segment)]
                for name in segment.outputs:
                    order.add((task.unit, name), *reads)
            elif step.kind == "recv" and program.edge[step.name].takes == "every":
                edge = program.edge[step.name]
                order.add((task.unit, edge.delivers), (edge.source, edge.tensor))
    try:
        order.prepare()
    except CycleError as cycle:
        around = " → ".join(f"{name} on {unit}" for unit, name in cycle.args[1])
        raise ProgramError(f"no order solves the dependency {around}", where=f"entry {route.entry}") from cycle
