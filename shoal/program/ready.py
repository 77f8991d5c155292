"""Which step a unit takes next: one pure rule, the same in worker and simulator.

A unit keeps, for every item in flight, the values that are there. A step can be taken once what it reads is
there. Of all steps that can be taken a send goes first (its reader waits), then the oldest item, then the order
the program gives. Because every edge is first in, first out and every item passes (empty if a gate stopped it),
the items of one session reach a segment in order, so state needs no further lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shoal.program.values import Edge, Program, Segment, Step

Session = int


@dataclass(frozen=True, slots=True)
class Job:
    """One step for one item, with all its reads there."""

    item: int
    route: int
    session: Session
    step: Step
    empty: bool  # a value it reads is empty: a segment is skipped, a send carries no payload
    reads: tuple[tuple[str, ValueKey], ...]  # name as the step knows it → where the value is kept


@dataclass(frozen=True, slots=True)
class ValueKey:
    """Where a value is kept: by item, or in the register of an edge for a session."""

    owner: int  # item, or session for a register
    name: str  # value, or edge for a register
    register: bool = False


@dataclass(slots=True)
class _Item:
    route: int
    session: Session
    waiting: list[tuple[int, Step]]  # steps not taken yet, with their position
    empties: dict[str, bool] = field(default_factory=dict)  # values that are there → empty or not
    readers: dict[str, int] = field(default_factory=dict)  # value → steps that still read it


@dataclass(slots=True)
class _Register:
    """The value of a newest or previous edge, for one session."""

    item: int = -1  # whose message came last
    filled: bool = False  # else the edge's initial value stands


class ReadySet:
    """The items in flight on one unit and the rule that picks the next step."""

    def __init__(self, program: Program, unit: str) -> None:
        self._program = program
        self._steps: list[list[tuple[int, Step]]] = [
            [
                (position, step)
                for task in route.tasks
                if task.unit == unit
                for position, step in enumerate(task.steps)
                if step.kind != "recv"
            ]
            for route in program.routes
        ]
        self._incoming = {
            (index, edge.delivers): edge
            for index, route in enumerate(program.routes)
            for task in route.tasks
            if task.unit == unit
            for step in task.steps
            if step.kind == "recv"
            for edge in (program.edge[step.name],)
        }
        self._items: dict[int, _Item] = {}
        self._registers: dict[tuple[str, Session], _Register] = {}
        self._last: dict[tuple[str, Session], int] = {}  # reader of a previous edge → the item it read for last

    def arrive(self, route: int, item: int, session: Session, edge: Edge, *, empty: bool) -> ValueKey | None:
        """Take note that the message of `item` on `edge` is there.

        Returns where its value is kept now if that is a register, whose old value is replaced; else None.
        """
        if edge.takes == "every":
            self._put(self._enter(route, item, session), edge.delivers, empty=empty)
            return None
        register = self._registers.setdefault((edge.name, session), _Register())
        register.item = item
        if empty:  # moves the order on and keeps the value
            return None
        register.filled = True
        return ValueKey(session, edge.name, register=True)

    def pick(self) -> Job | None:
        """The step to take now, or None; calling it again without `done` gives the same step."""
        best: tuple[bool, int, int] | None = None
        chosen: Job | None = None
        for number in sorted(self._items):
            entry = self._items[number]
            for position, step in entry.waiting:
                rank = (step.kind != "send", number, position)
                if best is not None and rank >= best:
                    continue
                job = self._job(number, entry, step)
                if job is not None:
                    best, chosen = rank, job
        return chosen

    def done(self, job: Job, outputs: Mapping[str, bool]) -> list[ValueKey]:
        """Take note that `job` was done and gave `outputs` (name → empty or not).

        Returns the values nobody will read again.
        """
        entry = self._items[job.item]
        entry.waiting = [(position, step) for position, step in entry.waiting if step is not job.step]
        for name, empty in outputs.items():
            self._put(entry, name, empty=empty)
        freed = [key for name, key in job.reads if not key.register and self._read(entry, key.name)]
        freed += [ValueKey(job.item, name) for name in outputs if not entry.readers.get(name)]
        for _, key in job.reads:
            if key.register and self._program.edge[key.name].takes == "previous":
                self._last[(key.name, job.session)] = job.item
        if not entry.waiting:
            del self._items[job.item]
        return freed

    def drop(self, item: int) -> None:
        """Forget an item that was cancelled."""
        self._items.pop(item, None)

    @property
    def in_flight(self) -> tuple[int, ...]:
        """Items that have steps left, oldest first."""
        return tuple(sorted(self._items))

    def _enter(self, route: int, item: int, session: Session) -> _Item:
        if item not in self._items:
            entry = _Item(route, session, list(self._steps[route]))
            for _, step in entry.waiting:
                for name in self._names(step):
                    entry.readers[name] = entry.readers.get(name, 0) + 1
            self._items[item] = entry
        return self._items[item]

    @staticmethod
    def _put(entry: _Item, name: str, *, empty: bool) -> None:
        entry.empties[name] = empty

    @staticmethod
    def _read(entry: _Item, name: str) -> bool:
        entry.readers[name] -= 1
        return entry.readers[name] == 0

    def _names(self, step: Step) -> tuple[str, ...]:
        """The values `step` reads, apart from state."""
        if step.kind == "send":
            return (self._program.edge[step.name].tensor,)
        if step.kind == "run":
            return inputs_of(self._program, self._program.segment[step.name])
        return ()

    def _job(self, number: int, entry: _Item, step: Step) -> Job | None:
        reads: list[tuple[str, ValueKey]] = []
        empty = False
        for name in self._names(step):
            found = self._find(number, entry, name)
            if found is None:
                return None
            key, is_empty = found
            reads.append((name, key))
            empty = empty or is_empty
        return Job(number, entry.route, entry.session, step, empty, tuple(reads))

    def _find(self, number: int, entry: _Item, name: str) -> tuple[ValueKey, bool] | None:
        edge = self._incoming.get((entry.route, name))
        if edge is None or edge.takes == "every":
            return (ValueKey(number, name), entry.empties[name]) if name in entry.empties else None
        register = self._registers.get((edge.name, entry.session))
        key = ValueKey(entry.session, edge.name, register=True)
        given_by = register.item if register else -1
        if edge.takes == "previous" and given_by != self._last.get((edge.name, entry.session), -1):
            return None  # the reader's previous item has not sent its value yet
        return key, False


def inputs_of(program: Program, segment: Segment) -> tuple[str, ...]:
    """The values a segment reads from its item; those it reads from its states are left out."""
    from_state = {program.state[name].reads for name in segment.states}
    return tuple(name for name in segment.inputs if name not in from_state)


def outputs_of(program: Program, segment: Segment) -> tuple[str, ...]:
    """The values a segment gives to its item; those it writes to its states are left out."""
    to_state = {program.state[name].writes for name in segment.states}
    return tuple(name for name in segment.outputs if name not in to_state)
