"""The one function that decides whether a Program is valid: lowering, packing, workers and the simulator call it.

A valid Program cannot block: each unit's steps are in an order in which every read is there, the steps of a route
over all units form no cycle, no unit has work for an item before it is told of it that others wait for, buffers
hold the whole window, and every message sent is received, once, and read.
"""

from __future__ import annotations

from collections import Counter
from graphlib import CycleError, TopologicalSorter
from math import inf

from shoal.errors import InputError, ProgramError
from shoal.program.check_task import check_task
from shoal.program.message import DTYPES, MAX_RANK
from shoal.program.ready import inputs_of, reads_of
from shoal.program.sizes import names
from shoal.program.values import CLIENT, Edge, Program, Route, Segment, item_bytes


def check(program: Program) -> None:
    """Refuse a program that could block, or lose or invent a value.

    Raises:
        ProgramError: naming the edge, segment or state, what it needs and what there is.
    """
    _names_are_unique(program)
    _sizes_are_bound(program)
    _tensors_can_be(program)
    parties = frozenset(program.parties)
    for edge in program.edges:
        _edge_is_sound(program, edge, parties)
    for segment in program.segments:
        _segment_is_sound(program, segment)
    for route in program.routes:
        _ends_at_the_client(program, route)
        _each_unit_once(route, parties)
        for task in route.tasks:
            check_task(program, task, f"{task.unit}, entry {route.entry}")
        _messages_match(program, route)
        _no_cycle(program, route)
        _all_are_told(program, route)
    _edges_are_used(program)


def _names_are_unique(program: Program) -> None:
    for what, found in (
        ("unit", program.parties),
        ("edge", tuple(edge.name for edge in program.edges)),
        ("segment", tuple(segment.name for segment in program.segments)),
        ("state", tuple(state.name for state in program.states)),
    ):
        for name, count in Counter(found).items():
            if count > 1:
                raise ProgramError(f"{what} '{name}' stands {count} times")


def _sizes_are_bound(program: Program) -> None:
    specs = [(edge.name, edge.spec) for edge in program.edges]
    specs += [(state.name, state.spec) for state in program.states]
    for name, spec in specs + list(program.tensors.items()):
        try:
            for free in {free for size in spec.shape for free in names(size)} - set(program.sizes):
                raise ProgramError(f"'{name}' depends on the size '{free}', which has no bound")
            spec.bound(program.sizes)
        except InputError as fault:
            raise ProgramError(f"'{name}' has no shape: {fault.message}") from fault


def _tensors_can_be(program: Program) -> None:
    for name, spec in program.tensors.items():
        try:
            item_bytes(spec.dtype)
        except (TypeError, ValueError) as fault:
            raise ProgramError(f"'{name}' is of an unknown type", had=spec.dtype) from fault
    for edge in program.edges:
        if edge.spec.dtype not in DTYPES or len(edge.spec.shape) > MAX_RANK:
            raise ProgramError(
                f"no message carries edge '{edge.name}'", needed=f"{', '.join(DTYPES)} of at most {MAX_RANK} dimensions",
                had=f"{edge.spec.dtype} of {len(edge.spec.shape)}",
            )  # fmt: skip


def _edge_is_sound(program: Program, edge: Edge, parties: frozenset[str]) -> None:
    where = f"edge '{edge.name}'"
    for party in (edge.source, edge.target):
        if party not in parties:
            raise ProgramError(f"edge '{edge.name}' names the unknown unit '{party}'")
    if edge.inside and edge.takes != "previous":
        raise ProgramError(f"leads from '{edge.source}' to itself", where=where, hint="a state stays on its unit")
    if edge.scope == "item":
        raise ProgramError("carries what an item leaves to the next, so its scope cannot be the item", where=where)
    if edge.buffer_items < program.window:
        raise ProgramError(
            "a send could block on its reader: the buffer is smaller than the window",
            where=where, needed=f"{program.window} items", had=f"{edge.buffer_items} items",
        )  # fmt: skip
    if (edge.takes == "every") != (edge.initial is None):
        raise ProgramError(
            "newest and previous edges have an initial value, and no others", where=where,
            had=f"takes {edge.takes}, initial {edge.initial}",
        )  # fmt: skip
    if edge.target == CLIENT and edge.takes != "every":
        raise ProgramError("the client takes every answer", where=where, had=f"takes {edge.takes}")


def _segment_is_sound(program: Program, segment: Segment) -> None:
    where = f"segment '{segment.name}'"
    for name in (*segment.inputs, *segment.outputs):
        if name not in program.tensors:
            raise ProgramError(
                f"nothing says what '{name}' is", where=where, hint="add it to the program's tensors"
            )
    if segment.gate is not None and segment.gate not in segment.outputs:
        raise ProgramError(f"segment '{segment.name}' has no output '{segment.gate}' to be its gate")
    for name in segment.states:
        if name not in program.state or program.state[name].unit != segment.unit:
            raise ProgramError(f"segment '{segment.name}' uses the state '{name}', which is not on {segment.unit}")
        state = program.state[name]
        if state.reads not in segment.inputs or state.writes not in segment.outputs:
            raise ProgramError(
                f"uses the state '{name}' without reading and writing it", where=where,
                needed=f"input '{state.reads}' and output '{state.writes}'",
            )  # fmt: skip


def _ends_at_the_client(program: Program, route: Route) -> None:
    where = f"entry {route.entry}"
    if not 0 < route.share < inf:
        raise ProgramError("a route's share of the items is above zero", where=where, had=f"{route.share}")
    if not route.outputs:
        raise ProgramError(f"entry '{route.entry}' answers nothing: no edge leads back to the client")
    for found, end in ((route.inputs, "source"), (route.outputs, "target")):
        for name in found:
            if name not in program.edge or getattr(program.edge[name], end) != CLIENT:
                raise ProgramError(f"'{name}' is no edge that has the client as its {end}", where=where)


def _each_unit_once(route: Route, parties: frozenset[str]) -> None:
    for unit, count in Counter(task.unit for task in route.tasks).items():
        if unit == CLIENT or unit not in parties:
            raise ProgramError(f"a task names the unknown unit '{unit}'", where=f"entry {route.entry}")
        if count > 1:
            raise ProgramError(f"unit '{unit}' has {count} tasks", where=f"entry {route.entry}", needed="one")


def _messages_match(program: Program, route: Route) -> None:
    sent, taken = _traffic(route)
    for name in sent.keys() | taken.keys():
        across = program.edge[name].takes == "newest"  # may join two entries
        if sent[name] > 1 or taken[name] > 1 or (sent[name] != taken[name] and not across):
            raise ProgramError(
                f"edge '{name}' is sent {sent[name]} and received {taken[name]} times",
                where=f"entry {route.entry}",
            )


def _edges_are_used(program: Program) -> None:
    sent, taken = Counter[str](), Counter[str]()
    for route in program.routes:
        for total, found in zip((sent, taken), _traffic(route), strict=True):
            total.update(found)
    for edge in program.edges:
        if not (sent[edge.name] and taken[edge.name]):
            raise ProgramError(
                f"edge '{edge.name}' is sent {sent[edge.name]} and received {taken[edge.name]} times by all entries"
            )


def _traffic(route: Route) -> tuple[Counter[str], Counter[str]]:
    """How often an item of `route` is sent on an edge, and received."""
    sent, taken = Counter(route.inputs), Counter(route.outputs)
    for task in route.tasks:
        sent.update(step.name for step in task.steps if step.kind == "send")
        taken.update(step.name for step in task.steps if step.kind == "recv")
    return sent, taken


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


def _all_are_told(program: Program, route: Route) -> None:
    """A unit knows of an item once a message of it came: what reads only states or registers waits for that too."""
    held = {
        (edge.target, edge.delivers)
        for task in route.tasks
        for edge in (program.edge[step.name] for step in task.steps if step.kind == "recv")
        if edge.takes != "every"
    }
    left = [(task.unit, step) for task in route.tasks for step in task.steps if step.kind != "recv"]
    if all({(unit, name) for name in reads_of(program, step)} - held for unit, step in left):
        return  # each waits for something of the item
    first = [program.edge[name] for name in route.inputs]
    there = held | {(edge.target, edge.delivers) for edge in first}
    told = {edge.target for edge in first}
    while ready := [
        (unit, step)
        for unit, step in left
        if unit in told and all((unit, name) in there for name in reads_of(program, step))
    ]:
        for unit, step in ready:
            if step.kind == "run":
                there |= {(unit, name) for name in program.segment[step.name].outputs}
            elif (edge := program.edge[step.name]).takes == "every":
                there.add((edge.target, edge.delivers))
                told.add(edge.target)
        left = [each for each in left if each not in ready]
    if left:
        unit, step = next(each for each in left if not {(each[0], n) for n in reads_of(program, each[1])} - held)
        raise ProgramError(
            f"is to do '{step.name}' for an item before any message tells that the item is there",
            where=unit, hint="let it read something of the item first, or run it on another unit",
        )  # fmt: skip
