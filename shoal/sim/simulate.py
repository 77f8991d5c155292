"""Execute a Program with its driver in simulated time.

The simulator has no rules of its own: units pick steps with the same ReadySet, links queue with the same Media, and
the same driver decides. Only the seconds come from a Pace instead of a machine, and gates answer from a Trace.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from shoal.errors import ProgramError, WorkError
from shoal.events import Kernel
from shoal.program import (
    CLIENT,
    Begun,
    Driver,
    Edge,
    Event,
    Finished,
    Job,
    Media,
    Pace,
    Program,
    ReadySet,
    Segment,
    Start,
    Stop,
    WakeAt,
    Woke,
    Workload,
    check,
    outputs_of,
)
from shoal.record import Answer, Fact, Observed, Span, Trace, UnitReport

# At one moment: what arrives counts first, then what takes no time (sends, skipped segments, what the driver says
# to an answer), then the driver's own alarms, and only then does a unit choose what to run.
ARRIVAL, INSTANT, WAKE, CHOICE = range(4)


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
    check(program)
    simulation = _Simulation(program, pace, driver, workload, trace or Trace())
    return simulation.run()


class _Unit:
    def __init__(self, program: Program, name: str) -> None:
        self.name = name
        self.ready = ReadySet(program, name)
        self.busy = False
        self.busy_s = 0.0
        self.sent_bytes = 0
        self.received_bytes = 0


class _Flight:
    """An item between its start and its last answer."""

    def __init__(self, awaited: frozenset[str]) -> None:
        self.awaited = awaited
        self.empty = False


class _Simulation:
    def __init__(self, program: Program, pace: Pace, driver: Driver, workload: Workload, trace: Trace) -> None:
        self._program, self._pace, self._driver = program, pace, driver
        self._gates = {(fact.item, fact.subject): fact.value for fact in trace.facts if fact.kind == "gate"}
        self._kernel, self._media = Kernel(), Media()
        self._units = {name: _Unit(program, name) for name in program.units}
        self._state: Any = driver.begin(program, workload)
        self._starts: dict[int, Start] = {}
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
        reports = {u.name: UnitReport(u.busy_s, u.sent_bytes, u.received_bytes) for u in self._units.values()}
        facts = sorted(self._facts, key=lambda fact: (fact.item, fact.subject, fact.kind))
        spans = sorted(self._spans, key=lambda span: (span.start_s, span.unit))
        return Observed(tuple(self._answers), reports, tuple(spans), 0, tuple(facts))

    def _decide(self, event: Event) -> None:
        self._state, commands = self._driver.step(self._state, event, self._kernel.now_s)
        for command in commands:
            match command:
                case Start():
                    self._start(command)
                case WakeAt(time_s=time_s):
                    self._kernel.at(time_s, partial(self._decide, Woke()), WAKE)
                case Stop():
                    self._stop = command
                case other:
                    raise WorkError(f"this simulator cannot {type(other).__name__} yet")

    def _start(self, start: Start) -> None:
        route = self._program.routes[start.route]
        self._starts[start.item] = start  # a side branch may still send after the last answer
        self._flights[start.item] = _Flight(frozenset(route.outputs))
        for name in route.inputs:
            self._carry(self._program.edge[name], start.item, empty=False)

    def _carry(self, edge: Edge, item: int, *, empty: bool) -> None:
        start = self._starts[item]
        sizes = {**self._program.sizes, **start.bindings}
        size = 0 if empty else edge.spec.bytes(sizes)
        there_s = self._media.carry(self._pace.hops.get(edge.name, ()), size, self._kernel.now_s)
        if edge.source != CLIENT:
            self._units[edge.source].sent_bytes += size
            self._spans.append(Span("transfer", edge.source, edge.name, item, self._kernel.now_s, there_s, size))
        self._kernel.at(there_s, partial(self._arrive, edge, start, size, empty=empty), ARRIVAL)

    def _arrive(self, edge: Edge, start: Start, size: int, *, empty: bool) -> None:
        if edge.target == CLIENT:
            self._answer(edge, start.item, empty=empty)
            return
        unit = self._units[edge.target]
        unit.received_bytes += size
        unit.ready.arrive(start.route, start.item, start.session, edge, empty=empty)
        self._kernel.at(self._kernel.now_s, partial(self._pass_on, unit), INSTANT)

    def _answer(self, edge: Edge, item: int, *, empty: bool) -> None:
        flight = self._flights[item]
        flight.awaited -= {edge.name}
        flight.empty |= empty
        if not flight.awaited:
            del self._flights[item]
            self._answers.append(Answer(item, self._starts[item].arrived_s, self._kernel.now_s, flight.empty))
            self._kernel.at(self._kernel.now_s, partial(self._decide, Finished(item, flight.empty)), INSTANT)

    def _pass_on(self, unit: _Unit) -> None:
        """Do what takes no time, then choose once nothing else can happen at this moment."""
        while not unit.busy and (job := unit.ready.pick()) is not None:
            if not job.instant:
                self._kernel.at(self._kernel.now_s, partial(self._choose, unit), CHOICE)
                return
            if job.step.kind == "send":
                edge = self._program.edge[job.step.name]
                if edge.inside:
                    unit.ready.arrive(job.route, job.item, job.session, edge, empty=job.empty)
                else:
                    self._carry(edge, job.item, empty=job.empty)
                unit.ready.done(job, {})
            else:
                names = outputs_of(self._program, self._program.segment[job.step.name])
                unit.ready.done(job, dict.fromkeys(names, True))

    def _choose(self, unit: _Unit) -> None:
        if not unit.busy and (job := unit.ready.pick()) is not None:
            self._begin(unit, job, self._program.segment[job.step.name])

    def _begin(self, unit: _Unit, job: Job, segment: Segment) -> None:
        seconds, now_s = self._pace.segments_s[segment.name], self._kernel.now_s
        unit.busy, unit.busy_s = True, unit.busy_s + seconds
        self._spans.append(Span("run", unit.name, segment.name, job.item, now_s, now_s + seconds))
        self._facts += [Fact(job.item, edge, "newest", float(item)) for edge, item in job.newest]
        self._kernel.at(now_s + seconds, partial(self._end, unit, job, segment), ARRIVAL)

    def _end(self, unit: _Unit, job: Job, segment: Segment) -> None:
        stop = segment.gate is not None and not self._gates.get((job.item, segment.name), 1.0)
        if segment.gate is not None:
            self._facts.append(Fact(job.item, segment.name, "gate", float(not stop)))
        names = outputs_of(self._program, segment)
        unit.ready.done(job, {name: stop and name != segment.gate for name in names})
        unit.busy = False
        self._kernel.at(self._kernel.now_s, partial(self._pass_on, unit), INSTANT)
