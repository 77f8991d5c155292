"""Which step a unit takes next: one pure rule, the same in worker and simulator.

A unit keeps, for every item in flight, the values that are there. A step can be taken once what it reads is
there. Of all steps that can be taken a send goes first (its reader waits), then the oldest item, then the order
the program gives. Because every edge is first in, first out and every item passes (empty if a gate stopped it),
the items of one session reach a segment in order, so state needs no further lock. A previous edge whose scope is
the session lets other sessions overtake a session that waits; states of scope stream have no place beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
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
    newest: tuple[tuple[str, int], ...] = ()  # newest edge it reads → whose message that is, or -1

    @property
    def instant(self) -> bool:
        """Whether the step takes no time of the unit: a send, or a segment that is skipped."""
        return self.step.kind == "send" or self.empty


@dataclass(frozen=True, slots=True)
class ValueKey:
    """Where a value is kept: under its item, or as what a newest or previous edge holds."""

    owner: int  # the item; for a newest edge the session
    name: str  # value, or edge for a register
    register: bool = False


@dataclass(slots=True)
class _Item:
    route: int
    session: Session
    waiting: list[tuple[int, Step]]  # steps not taken yet, with their position
    empties: dict[str, bool] = field(default_factory=dict)  # values that are there → empty or not
    readers: dict[str, int] = field(default_factory=dict)  # value → steps that still read it
    stuck: bool = False  # no step could be taken when last looked at, and nothing came since


@dataclass(slots=True)
class _Register:
    """What a newest or previous edge holds for one session (or, by its scope, for the stream)."""

    read_for: dict[Step, int] = field(default_factory=dict)  # previous: the item each reading step read for last
    came: dict[int, bool] = field(default_factory=dict)  # item → empty or not, in the order the messages came

    @property
    def last(self) -> int:
        """Whose message with a value came last; -1 if none did."""
        return max((item for item, empty in self.came.items() if not empty), default=-1)

    def before(self, last: int) -> int:
        """Whose value a reader gets that read for the item `last`: the latest up to it; -1 for the initial value."""
        known = (item for item, empty in self.came.items() if item <= last and not empty)
        return max(known, default=-1)

    def forget(self, readers: Iterable[Step]) -> list[int]:
        """Drop what none of `readers` will ask for again; returns the items whose values that frees."""
        last = min(self.read_for.get(step, -1) for step in readers)
        kept = self.before(last)
        old = [item for item in self.came if item < last and item != kept]
        return [item for item in old if not self.came.pop(item)]


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
        self._registered = {
            (index, edge.delivers): edge
            for index, route in enumerate(program.routes)
            for task in route.tasks
            if task.unit == unit
            for step in task.steps
            if step.kind == "recv"
            for edge in (program.edge[step.name],)
            if edge.takes != "every"
        }
        self._reads = {step: reads_of(program, step) for steps in self._steps for _, step in steps}
        self._readers = {
            edge.name: [step for _, step in self._steps[route] if name in self._reads[step]]
            for (route, name), edge in self._registered.items()
        }
        self._items: dict[int, _Item] = {}
        self._registers: defaultdict[tuple[str, Session], _Register] = defaultdict(_Register)

    def arrive(self, route: int, item: int, session: Session, edge: Edge, *, empty: bool) -> ValueKey | None:
        """Take note that the message of `item` on `edge` is there.

        Returns where its value is to be kept, in place of what is there; None for an empty message.
        """
        if edge.takes == "every":
            entry = self._enter(route, item, session)
            entry.empties[edge.delivers], entry.stuck = empty, False
            return None if empty else ValueKey(item, edge.delivers)
        self._unstick(edge, session)
        register = self._register(edge, session)
        if edge.takes == "newest":
            if not empty:  # an empty one leaves the value that is there
                register.came = {item: False}
            return None if empty else ValueKey(session, edge.name, register=True)
        register.came[item] = empty
        return None if empty else ValueKey(item, edge.name, register=True)

    def pick(self) -> Job | None:
        """The step to take now, or None; calling it again without `done` gives the same step."""
        best: tuple[bool, int, int] | None = None
        chosen: Job | None = None
        for number in sorted(number for number, entry in self._items.items() if not entry.stuck):
            entry = self._items[number]
            entry.stuck = True
            for position, step in entry.waiting:
                rank = (step.kind != "send", number, position)
                if best is not None and rank >= best:
                    entry.stuck = False  # not looked at
                    continue
                job = self._job(number, entry, step)
                if job is not None:
                    best, chosen, entry.stuck = rank, job, False
        return chosen

    def done(self, job: Job, outputs: Mapping[str, bool]) -> list[ValueKey]:
        """Take note that `job` was done and gave `outputs` (name → empty or not).

        Returns the values nobody will read again.
        """
        entry = self._items[job.item]
        entry.waiting = [(position, step) for position, step in entry.waiting if step is not job.step]
        entry.empties.update(outputs)
        entry.stuck = False
        freed = [ValueKey(job.item, name) for name in outputs if name not in entry.readers]
        for _, key in job.reads:
            freed += self._passed(job, key) if key.register else self._read(entry, key)
        if not entry.waiting:
            del self._items[job.item]
        return freed

    def holds(self, item: int) -> bool:
        """Whether `item` has steps left here."""
        return item in self._items

    @property
    def in_flight(self) -> tuple[int, ...]:
        """Items that have steps left, oldest first."""
        return tuple(sorted(self._items))

    def _enter(self, route: int, item: int, session: Session) -> _Item:
        if item not in self._items:
            entry = _Item(route, session, list(self._steps[route]))
            for _, step in entry.waiting:
                for name in self._reads[step]:
                    entry.readers[name] = entry.readers.get(name, 0) + 1
            self._items[item] = entry
        return self._items[item]

    @staticmethod
    def _read(entry: _Item, key: ValueKey) -> list[ValueKey]:
        entry.readers[key.name] -= 1
        return [] if entry.readers[key.name] else [key]

    def _passed(self, job: Job, key: ValueKey) -> list[ValueKey]:
        """The values of a previous edge that are behind its reader now."""
        edge = self._program.edge[key.name]
        if edge.takes == "newest":
            return []
        self._unstick(edge, job.session)
        register = self._register(edge, job.session)
        register.read_for[job.step] = job.item
        return [ValueKey(item, key.name, register=True) for item in register.forget(self._readers[edge.name])]

    def _register(self, edge: Edge, session: Session) -> _Register:
        return self._registers[edge.name, session if edge.scope == "session" else -1]

    def _unstick(self, edge: Edge, session: Session) -> None:
        """A register changed: look at all items again that may read it."""
        for entry in self._items.values():
            if entry.session == session or edge.scope == "stream":
                entry.stuck = False

    def _job(self, number: int, entry: _Item, step: Step) -> Job | None:
        reads: list[tuple[str, ValueKey]] = []
        newest: list[tuple[str, int]] = []
        empty = False
        for name in self._reads[step]:
            edge = self._registered.get((entry.route, name))
            if edge is not None:
                key = self._held(edge, entry.session, step)
                if edge.takes == "newest":
                    newest.append((edge.name, self._register(edge, entry.session).last))
            elif name in entry.empties:
                key, empty = ValueKey(number, name), empty or entry.empties[name]
            else:
                key = None
            if key is None:
                return None
            reads.append((name, key))
        return Job(number, entry.route, entry.session, step, empty, tuple(reads), tuple(newest))

    def _held(self, edge: Edge, session: Session, step: Step) -> ValueKey | None:
        """Where the value of a newest or previous edge is; None while the reader's last item has not given it."""
        if edge.takes == "newest":
            return ValueKey(session, edge.name, register=True)
        register = self._register(edge, session)
        last = register.read_for.get(step, -1)
        if last >= 0 and last not in register.came:
            return None
        return ValueKey(register.before(last), edge.name, register=True)


def reads_of(program: Program, step: Step) -> tuple[str, ...]:
    """The values `step` reads, apart from state."""
    if step.kind == "send":
        return (program.edge[step.name].tensor,)
    if step.kind == "run":
        return inputs_of(program, program.segment[step.name])
    return ()


def inputs_of(program: Program, segment: Segment) -> tuple[str, ...]:
    """The values a segment reads from its item; those it reads from its states are left out."""
    from_state = {program.state[name].reads for name in segment.states}
    return tuple(name for name in segment.inputs if name not in from_state)


def outputs_of(program: Program, segment: Segment) -> tuple[str, ...]:
    """The values a segment gives to its item; others may read what it writes to its states too."""
    return segment.outputs
