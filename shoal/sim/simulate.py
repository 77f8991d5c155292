"""Execute a Program with its driver in simulated time.

The simulator has no rules of its own: units pick steps with the same ReadySet, links queue with the same Media, and
the same driver decides. Only the seconds come from a Pace instead of a machine, and gates answer from a Trace.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

from shoal.errors import ProgramError, WorkError
from shoal.events import Kernel
from shoal.program import (
    CLIENT,
    Begun,
    Driver,
    Edge,
    Epoch,
    Event,
    Finished,
    Job,
    Media,
    Pace,
    Prepare,
    Program,
    Ready,
    ReadySet,
    Retire,
    Segment,
    Start,
    Stop,
    SwitchEpoch,
    Turn,
    Turns,
    WakeAt,
    Woke,
    Workload,
    check,
    checked,
    epoch_name,
    outputs_of,
)
from shoal.record import Answer, Fact, Observed, Span, Trace, UnitReport

# At one moment: what arrives counts first, then what takes no time (sends, skipped segments, what the driver says
# to an answer), then the driver's own alarms, then epochs that are ready, and only then does a unit choose what to
# run.
ARRIVAL, INSTANT, WAKE, READY, CHOICE = range(5)


def simulate(
    program: Program, pace: Pace, driver: Driver, workload: Workload, trace: Trace | None = None
) -> Observed:
    """Run `program` on `workload` in simulated time.

    Args:
        program: what to execute; it is checked first.
        pace: seconds of each segment and the hops of each edge.
        driver: decides when items start.
        workload: what arrives.
        trace: answers of gates by (item, segment); a gate it does not mention says go. Other facts are not
            read: which message was the newest comes out of the times.

    Raises:
        ProgramError: the program is invalid.
        WorkError: the driver gave up, or items were left in flight.
    """
    return simulate_epochs({program.epoch: Epoch(program, pace)}, driver, workload, trace)


def simulate_epochs(
    epochs: Mapping[int, Epoch],
    driver: Driver,
    workload: Workload,
    trace: Trace | None = None,
    first: int | None = None,
) -> Observed:
    """Run `workload` in simulated time, beginning in the epoch `first` (none: the lowest), as `simulate` does.

    Segments and edges of epochs above 0 bear the names that `epoch_name` gives them. A unit does one thing at a
    time, whichever epoch it is for; of several it takes the oldest item's.

    Raises:
        InputError: the driver asks for an epoch that is not there.
        PlanError: items cannot be switched between the programs.
    """
    for epoch in epochs.values():
        check(epoch.program)
    checked({number: epoch.program for number, epoch in epochs.items()})
    first = min(epochs) if first is None else first
    return _Simulation(epochs, first, driver, workload, trace or Trace()).run()


class _Core:
    """One unit, which serves all epochs."""

    def __init__(self) -> None:
        self.units: list[_Unit] = []
        self.busy = False
        self.busy_s = 0.0
        self.sent_bytes = 0
        self.received_bytes = 0


class _Unit:
    """One unit in one epoch."""

    def __init__(self, world: _World, name: str, core: _Core) -> None:
        self.name, self.world, self.core = name, world, core
        self.ready = ReadySet(world.program, name)
        core.units.append(self)


class _World:
    """One epoch."""

    def __init__(self, epoch: int, given: Epoch, cores: dict[str, _Core]) -> None:
        self.epoch, self.program, self.pace, self.prepare_s = epoch, given.program, given.pace, given.prepare_s
        self.units = {name: _Unit(self, name, cores.setdefault(name, _Core())) for name in given.program.units}


class _Flight:
    """An item between its start and its last answer."""

    def __init__(self, start: Start, awaited: frozenset[str], turn: Turn[_Flight]) -> None:
        self.start, self.awaited, self.turn = start, awaited, turn
        self.empty = False


class _Simulation:
    def __init__(
        self, epochs: Mapping[int, Epoch], first: int, driver: Driver, workload: Workload, trace: Trace
    ) -> None:
        self._driver = driver
        self._gates = {(fact.item, fact.subject): fact.value for fact in trace.facts if fact.kind == "gate"}
        self._kernel, self._media = Kernel(), Media()
        self._cores: dict[str, _Core] = {}
        self._worlds = {number: _World(number, epoch, self._cores) for number, epoch in epochs.items()}
        self._turns = Turns[_Flight](epochs, first)
        self._state: Any = driver.begin(epochs[first].program, workload)
        self._starts: dict[int, tuple[Start, _World]] = {}
        self._flights: dict[int, _Flight] = {}
        self._stop: Stop | None = None
        self._answers: list[Answer] = []
        self._spans: list[Span] = []
        self._facts: list[Fact] = []

    def run(self) -> Observed:
        self._kernel.at(0.0, partial(self._decide, Begun()), INSTANT)
        self._kernel.run()
        if self._stop is not None and self._stop.failure:
            raise WorkError(self._stop.failure)
        if self._flights:
            raise ProgramError(f"items {sorted(self._flights)} never ended", hint="this is a defect of the program")
        if self._stop is None:
            raise WorkError("the driver never said stop")
        used = {name for epoch in self._turns.used for name in self._worlds[epoch].units}
        reports = {
            name: UnitReport(core.busy_s, core.sent_bytes, core.received_bytes)
            for name, core in self._cores.items()
            if name in used
        }
        facts = sorted(self._facts + self._turns.facts, key=lambda fact: (fact.item, fact.subject, fact.kind))
        spans = sorted(self._spans, key=lambda span: (span.start_s, span.unit))
        return Observed(tuple(self._answers), reports, tuple(spans), 0, tuple(facts))

    def _decide(self, event: Event) -> None:
        events: deque[Event] = deque([event])
        while events:
            self._state, commands = self._driver.step(self._state, events.popleft(), self._kernel.now_s)
            for command in commands:
                match command:
                    case Start():
                        self._start(command)
                    case WakeAt(time_s=time_s):
                        self._kernel.at(time_s, partial(self._decide, Woke()), WAKE)
                    case Stop():
                        self._stop = command
                    case Prepare(epoch=epoch):
                        events.extend(self._prepare(epoch))
                    case SwitchEpoch():
                        self._turns.switch(command, self._kernel.now_s)
                    case Retire():
                        self._turns.retire(command)
                    case other:
                        raise WorkError(f"this simulator cannot {type(other).__name__} yet")

    def _prepare(self, epoch: int) -> tuple[Ready, ...]:
        """What the driver is told at once: that the epoch is ready, unless that takes time."""
        to_do, world = self._turns.ask(epoch), self._worlds[epoch]
        if to_do and world.prepare_s:
            self._kernel.at(self._kernel.now_s + world.prepare_s, partial(self._prepared, world), READY)
        elif to_do:
            self._turns.prepared(epoch, 0.0)
        return (Ready(epoch, world.program, 0.0),) if self._turns.is_ready(epoch) else ()

    def _prepared(self, world: _World) -> None:
        if self._stop is None:
            self._turns.prepared(world.epoch, world.prepare_s)
            self._decide(Ready(world.epoch, world.program, world.prepare_s))

    def _start(self, start: Start) -> None:
        world = self._worlds[self._turns.epoch]
        route = world.program.routes[start.route]
        self._starts[start.item] = start, world  # a side branch may still send after the last answer
        self._flights[start.item] = _Flight(start, frozenset(route.outputs), self._turns.start(start.item))
        for name in route.inputs:
            self._carry(world.program.edge[name], start.item, empty=False)

    def _carry(self, edge: Edge, item: int, *, empty: bool) -> None:
        start, world = self._starts[item]
        sizes = {**world.program.sizes, **start.bindings}
        size = 0 if empty else edge.spec.bytes(sizes)
        now_s = self._kernel.now_s
        there_s = self._media.carry(world.pace.hops.get(edge.name, ()), size, now_s)
        if edge.source != CLIENT:
            self._cores[edge.source].sent_bytes += size
            name = epoch_name(world.epoch, edge.name)
            self._spans.append(Span("transfer", edge.source, name, item, now_s, there_s, size))
        self._kernel.at(there_s, partial(self._arrive, edge, start, world, size, empty=empty), ARRIVAL)

    def _arrive(self, edge: Edge, start: Start, world: _World, size: int, *, empty: bool) -> None:
        if edge.target == CLIENT:
            self._answer(edge, start.item, empty=empty)
            return
        unit = world.units[edge.target]
        unit.core.received_bytes += size
        unit.ready.arrive(start.route, start.item, start.session, edge, empty=empty)
        self._kernel.at(self._kernel.now_s, partial(self._pass_on, unit), INSTANT)

    def _answer(self, edge: Edge, item: int, *, empty: bool) -> None:
        flight = self._flights[item]
        flight.awaited -= {edge.name}
        flight.empty |= empty
        for each in () if flight.awaited else self._turns.finish(flight.turn, flight):
            self._finish(each)

    def _finish(self, flight: _Flight) -> None:
        start, now_s = flight.start, self._kernel.now_s
        del self._flights[start.item]
        self._answers.append(Answer(start.item, start.arrived_s, now_s, flight.empty, flight.turn.epoch))
        self._kernel.at(now_s, partial(self._decide, Finished(start.item, flight.empty)), INSTANT)

    def _pass_on(self, unit: _Unit) -> None:
        """Do what takes no time, then choose once nothing else can happen at this moment."""
        program = unit.world.program
        while not unit.core.busy and (job := unit.ready.pick()) is not None:
            if not job.instant:
                self._kernel.at(self._kernel.now_s, partial(self._choose, unit.core), CHOICE)
                return
            if job.step.kind == "send":
                edge = program.edge[job.step.name]
                if edge.inside:
                    unit.ready.arrive(job.route, job.item, job.session, edge, empty=job.empty)
                else:
                    self._carry(edge, job.item, empty=job.empty)
                unit.ready.done(job, {})
            else:
                names = outputs_of(program, program.segment[job.step.name])
                unit.ready.done(job, dict.fromkeys(names, True))

    def _choose(self, core: _Core) -> None:
        if core.busy:
            return
        jobs = [(job, unit) for unit in core.units if (job := unit.ready.pick()) is not None]
        if jobs:
            job, unit = min(jobs, key=lambda pair: pair[0].item)
            self._begin(unit, job, unit.world.program.segment[job.step.name])

    def _begin(self, unit: _Unit, job: Job, segment: Segment) -> None:
        world, core = unit.world, unit.core
        seconds, now_s = world.pace.segments_s[segment.name], self._kernel.now_s
        core.busy, core.busy_s = True, core.busy_s + seconds
        name = epoch_name(world.epoch, segment.name)
        self._spans.append(Span("run", unit.name, name, job.item, now_s, now_s + seconds))
        self._facts += [
            Fact(job.item, epoch_name(world.epoch, edge), "newest", float(item)) for edge, item in job.newest
        ]
        self._kernel.at(now_s + seconds, partial(self._end, unit, job, segment), ARRIVAL)

    def _end(self, unit: _Unit, job: Job, segment: Segment) -> None:
        name = epoch_name(unit.world.epoch, segment.name)
        stop = segment.gate is not None and not self._gates.get((job.item, name), 1.0)
        if segment.gate is not None:
            self._facts.append(Fact(job.item, name, "gate", float(not stop)))
        names = outputs_of(unit.world.program, segment)
        unit.ready.done(job, {name: stop and name != segment.gate for name in names})
        unit.core.busy = False
        for each in unit.core.units:
            self._kernel.at(self._kernel.now_s, partial(self._pass_on, each), INSTANT)
