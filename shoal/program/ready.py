"""Which step a unit takes next: one pure rule, the same in worker and simulator.

A unit keeps, for every item in flight, the values that are there. A step can be taken once what it reads is
there. Of all steps that can be taken a send goes first (its reader waits), then the oldest item, then the order
the program gives. Because every edge is first in, first out and every item passes (empty if a gate stopped it),
the items of one session reach a segment in order, so state needs no further lock. A previous edge whose scope is
the session lets other sessions overtake a session that waits; states of scope stream have no place beside it.

Nothing is searched: each step counts the values it still lacks, and one that lacks none waits in a heap in the
order of the rule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from types import MappingProxyType
from typing import NamedTuple

from shoal.program.values import Edge, Program, Segment, Step

Session = int
Place = tuple[int, int]  # item, index of the step in its plan

TAKEN = -1  # a step that was taken lacks this many values


class ValueKey(NamedTuple):
    """Where a value is kept: under its item, or as what a newest or previous edge holds."""

    owner: int  # the item; for a newest edge the session
    name: str  # value, or edge for a register
    register: bool = False


NOTHING_HELD: Mapping[str, ValueKey] = MappingProxyType({})


class Job(NamedTuple):
    """One step for one item, with all its reads there; a tuple because each step of each item makes one."""

    item: int
    route: int
    session: Session
    step: Step
    empty: bool  # a value it reads is empty: a segment is skipped, a send carries no payload
    place: int  # of the step among those that the unit takes for items of this route
    names: tuple[str, ...]  # what it reads
    held: Mapping[str, ValueKey] = NOTHING_HELD  # of these, what newest and previous edges hold
    newest: tuple[tuple[str, int], ...] = ()  # newest edge it reads → whose message that is, or -1

    @property
    def reads(self) -> tuple[tuple[str, ValueKey], ...]:
        """Names as the step knows them, with where their values are kept."""
        return tuple((name, self.held.get(name) or ValueKey(self.item, name)) for name in self.names)

    @property
    def instant(self) -> bool:
        """Whether the step takes no time of the unit: a send, or a segment that is skipped."""
        return self.empty or self.step.kind == "send"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a unit does for each item of one route, worked out once."""

    steps: tuple[Step, ...]  # without those that receive
    reads: tuple[tuple[str, ...], ...]  # by step
    registers: Mapping[str, Edge]  # value → the newest or previous edge that holds it
    holding: tuple[bool, ...]  # by step: whether it reads such a value
    lacking: tuple[int, ...]  # by step: values of the item that it reads
    at_once: tuple[int, ...]  # steps that wait for no value of the item
    readers: Mapping[str, tuple[int, ...]]  # value of the item → the steps that read it, one for each read


class _Item:
    __slots__ = ("dry", "empties", "lacking", "left", "plan", "reads_left", "route", "session")

    def __init__(self, plan: _Plan, route: int, session: Session) -> None:
        self.plan, self.route, self.session = plan, route, session
        self.lacking = list(plan.lacking)  # by step: values that are not there yet, or TAKEN
        self.left = len(plan.steps)  # steps not taken
        self.empties: dict[str, bool] = {}  # values that are there → empty or not
        self.dry = False  # whether one of them is
        self.reads_left: dict[str, int] | None = None  # value → reads to come, from the first step on


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
        self._program, self._unit = program, unit
        self._plans: dict[int, _Plan] = {}  # by route, from its first item on
        self._items: dict[int, _Item] = {}
        self._registers: defaultdict[tuple[str, Session], _Register] = defaultdict(_Register)
        # Steps whose items lack nothing. Entries of steps taken since are dropped when they come up.
        self._sends: list[Place] = []
        self._runs: list[Place] = []
        self._blocked: dict[Session, list[Place]] = {}  # of these, steps found waiting for a previous edge
        self._picked: Job | None = None

    def arrive(self, route: int, item: int, session: Session, edge: Edge, *, empty: bool) -> ValueKey | None:
        """Take note that the message of `item` on `edge` is there.

        Returns where its value is to be kept, in place of what is there; None for an empty message.
        """
        self.note(route, item, session, edge, empty)
        if empty:
            return None
        if edge.takes == "every":
            return ValueKey(item, edge.delivers)
        return ValueKey(session if edge.takes == "newest" else item, edge.name, register=True)

    def note(self, route: int, item: int, session: Session, edge: Edge, empty: bool) -> None:
        """The same for those who keep no values."""
        self._picked = None
        if edge.takes == "every":
            self._there(item, self._items.get(item) or self._enter(route, item, session), edge.delivers, empty)
            return
        self._unblock(edge, session)
        register = self._register(edge, session)
        if edge.takes == "previous":
            register.came[item] = empty
        elif not empty:  # an empty one leaves the value that is there
            register.came = {item: False}

    def pick(self) -> Job | None:
        """The step to take now, or None; calling it again without `done` gives the same step."""
        if self._picked is None:
            job = self._first(self._sends) if self._sends else None
            self._picked = self._first(self._runs) if job is None and self._runs else job
        return self._picked

    def done(self, job: Job, outputs: Mapping[str, bool]) -> list[ValueKey]:
        """Take note that `job` was done and gave `outputs` (name → empty or not).

        Returns the values nobody will read again.
        """
        entry = self._items[job.item]
        readers = entry.plan.readers
        if entry.reads_left is None:
            entry.reads_left = {name: len(steps) for name, steps in readers.items()}
        freed = [ValueKey(job.item, name) for name in outputs if name not in readers]
        behind = self.take(job, outputs)
        for name in job.names:
            if name in job.held:
                continue
            entry.reads_left[name] -= 1
            if not entry.reads_left[name]:
                freed.append(ValueKey(job.item, name))
        return freed + behind

    def take(self, job: Job, outputs: Mapping[str, bool]) -> list[ValueKey]:
        """The same for those who keep no values; returns those that its previous edges need no more."""
        self._picked = None
        item, entry = job.item, self._items[job.item]
        entry.lacking[job.place] = TAKEN
        entry.left -= 1
        for name, empty in outputs.items():
            self._there(item, entry, name, empty)
        if not entry.left:
            del self._items[item]
        return [freed for name in job.held for freed in self._passed(job, entry.plan, name)] if job.held else []

    def holds(self, item: int) -> bool:
        """Whether `item` has steps left here."""
        return item in self._items

    @property
    def in_flight(self) -> tuple[int, ...]:
        """Items that have steps left, oldest first."""
        return tuple(sorted(self._items))

    def _enter(self, route: int, item: int, session: Session) -> _Item:
        plan = self._plans.get(route)
        if plan is None:
            plan = self._plans[route] = _plan(self._program, route, self._unit)
        entry = self._items[item] = _Item(plan, route, session)
        for index in plan.at_once:
            self._offer(plan, (item, index))
        return entry

    def _there(self, item: int, entry: _Item, name: str, empty: bool) -> None:
        """A value of the item is there: whoever waited for it lacks one less."""
        known = name in entry.empties
        entry.empties[name] = empty
        entry.dry |= empty
        if known:
            return
        lacking = entry.lacking
        for index in entry.plan.readers.get(name, ()):
            lacking[index] -= 1
            if not lacking[index]:
                self._offer(entry.plan, (item, index))

    def _offer(self, plan: _Plan, place: Place) -> None:
        heappush(self._sends if plan.steps[place[1]].kind == "send" else self._runs, place)

    def _first(self, queue: list[Place]) -> Job | None:
        """The first step in `queue` that can be taken; those a previous edge holds up are set aside."""
        while queue:
            item, index = queue[0]
            entry = self._items.get(item)
            if entry is None or entry.lacking[index]:  # taken
                heappop(queue)
                continue
            job = self._job(item, entry, index)
            if job is not None:
                return job
            self._blocked.setdefault(entry.session, []).append(heappop(queue))
        return None

    def _passed(self, job: Job, plan: _Plan, name: str) -> list[ValueKey]:
        """The values of a previous edge that are behind its readers now."""
        edge = plan.registers[name]
        if edge.takes == "newest":
            return []
        self._unblock(edge, job.session)
        register = self._register(edge, job.session)
        register.read_for[job.step] = job.item
        readers = [step for step, reads in zip(plan.steps, plan.reads, strict=True) if name in reads]
        return [ValueKey(item, edge.name, register=True) for item in register.forget(readers)]

    def _register(self, edge: Edge, session: Session) -> _Register:
        return self._registers[edge.name, session if edge.scope == "session" else -1]

    def _unblock(self, edge: Edge, session: Session) -> None:
        """A register changed: look again at what may have waited for it."""
        for waiting in (session,) if edge.scope == "session" else tuple(self._blocked):
            for item, index in self._blocked.pop(waiting, ()):
                if (entry := self._items.get(item)) is not None:
                    self._offer(entry.plan, (item, index))

    def _job(self, item: int, entry: _Item, index: int) -> Job | None:
        plan = entry.plan
        if plan.holding[index]:
            return self._holding_job(item, entry, index)
        names = plan.reads[index]
        empty = entry.dry and any(entry.empties[name] for name in names)
        return Job(item, entry.route, entry.session, plan.steps[index], empty, index, names)

    def _holding_job(self, item: int, entry: _Item, index: int) -> Job | None:
        """The same for a step that reads from a newest or previous edge; None while the edge lacks the value."""
        held: dict[str, ValueKey] = {}
        newest: list[tuple[str, int]] = []
        names, registers = entry.plan.reads[index], entry.plan.registers
        for name in names:
            if name in registers:
                edge = registers[name]
                key = self._held(edge, entry.session, entry.plan.steps[index])
                if key is None:
                    return None
                held[name] = key
                if edge.takes == "newest":
                    newest.append((edge.name, self._register(edge, entry.session).last))
        empty = any(entry.empties[name] for name in names if name not in held)
        step = entry.plan.steps[index]
        return Job(item, entry.route, entry.session, step, empty, index, names, held, tuple(newest))

    def _held(self, edge: Edge, session: Session, step: Step) -> ValueKey | None:
        """Where the value of a newest or previous edge is; None while the reader's last item has not given it."""
        if edge.takes == "newest":
            return ValueKey(session, edge.name, register=True)
        register = self._register(edge, session)
        last = register.read_for.get(step, -1)
        if last >= 0 and last not in register.came:
            return None
        return ValueKey(register.before(last), edge.name, register=True)


def _plan(program: Program, route: int, unit: str) -> _Plan:
    every = [step for task in program.routes[route].tasks if task.unit == unit for step in task.steps]
    steps = tuple(step for step in every if step.kind != "recv")
    received = [program.edge[step.name] for step in every if step.kind == "recv"]
    registers = {edge.delivers: edge for edge in received if edge.takes != "every"}
    reads = tuple(reads_of(program, step) for step in steps)
    readers: defaultdict[str, list[int]] = defaultdict(list)
    for index, names in enumerate(reads):
        for name in names:
            if name not in registers:
                readers[name].append(index)
    lacking = tuple(sum(name not in registers for name in names) for names in reads)
    return _Plan(
        steps,
        reads,
        registers,
        holding=tuple(any(name in registers for name in names) for names in reads),
        lacking=lacking,
        at_once=tuple(index for index, count in enumerate(lacking) if not count),
        readers={name: tuple(indices) for name, indices in readers.items()},
    )


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
