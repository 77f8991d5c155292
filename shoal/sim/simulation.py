"""One simulated run from the driver's first word to its last."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

from shoal.cost import check_conserved
from shoal.errors import ProgramError, WorkError
from shoal.events import Kernel
from shoal.program import (
    Abandon,
    Begun,
    Driver,
    Epoch,
    Event,
    Finished,
    Found,
    Gone,
    Here,
    Lost,
    Prepare,
    Ready,
    Refuse,
    Retire,
    Seek,
    Start,
    Stop,
    SwitchEpoch,
    Turns,
    Unfound,
    Unready,
    WakeAt,
    Woke,
    Workload,
    joined,
)
from shoal.record import Answer, Fact, Observed, Trace
from shoal.sim.books import Flight, Message, Spans, Unit, World, totals
from shoal.sim.carry import ARRIVAL, CHOICE, INSTANT, READY, WAKE, Carrier
from shoal.sim.runs import Runs
from shoal.sim.scenario import Scenario, UnitDies
from shoal.sim.speeds import speeds_of_unit


@dataclass(frozen=True)
class Trial:
    """A simulated run that may have ended early."""

    observed: Observed
    failure: str  # why it ended early; "" if all was done
    events: (
        int  # actions of the kernel: a message that crossed a hop, a segment that ended, a choice, a decision, …
    )


class Simulation:
    """Asks the driver, starts items, and takes their messages in; units work in `Runs`, messages go by `Carrier`."""

    def __init__(
        self, epochs: Mapping[int, Epoch], first: int, driver: Driver, workload: Workload, trace: Trace,
        scenario: Scenario, max_spans: int,
    ) -> None:  # fmt: skip
        self._driver, self._scenario = driver, scenario
        self._kernel, self._spans = Kernel(), Spans(max_spans)
        self._flights: dict[int, Flight] = {}
        self._carrier = Carrier(self._kernel, self._spans, scenario, self._arrive)
        gates = {(fact.item, fact.subject): fact.value for fact in trace.facts if fact.kind == "gate"}
        self._runs = Runs(self._kernel, self._spans, self._carrier, self._flights, scenario.noise, gates)
        self._units: dict[str, Unit] = {}
        self._worlds = {
            number: World(epoch, self._units, self._unit, self._runs.pass_on) for number, epoch in epochs.items()
        }
        self._turns = Turns[Flight](epochs, first)
        self._state: Any = driver.begin(epochs[first].program, workload)
        self._wakes: set[float] = set()
        self._stop: Stop | None = None
        self._sent_s = 0.0  # when the last message of a unit was there
        self._answers: list[Answer] = []
        self._refused: list[Fact] = []

    def run(self) -> Trial:
        """The whole run.

        Raises:
            ProgramError: items did not end, or the record does not add up: a defect.
        """
        for fault in self._scenario.turns():
            change = self._die if isinstance(fault, UnitDies) else self._return
            self._kernel.at(fault.at_s, partial(change, fault.unit), ARRIVAL)
        self._kernel.at(0.0, partial(self._decide, Begun()), INSTANT)
        with _no_collection():
            self._kernel.run()
        used = {epoch: self._worlds[epoch] for epoch in self._turns.used}
        observed = self._observed(used)
        check_conserved(observed, joined({epoch: world.program for epoch, world in used.items()}))
        return Trial(observed, self._failure(), self._kernel.events)

    def _unit(self, name: str) -> Unit:
        return Unit(name, speeds_of_unit(name, self._scenario.faults), self._runs.choose)

    def _failure(self) -> str:
        """Why the run ended early."""
        if self._stop is not None and self._stop.failure:
            return self._stop.failure
        left = sorted(item for item, flight in self._flights.items() if flight.awaited)
        if left and not self._scenario.faults:
            raise ProgramError(f"items {left} never ended", hint="this is a defect of the program")
        if left:
            return f"items {', '.join(map(str, left[:20]))} never ended, for what a fault took"
        return "" if self._stop is not None else "the driver never said stop"

    def _observed(self, used: Mapping[int, World]) -> Observed:
        for unit in self._units.values():
            self._runs.interrupt(unit)
        names = {name for world in used.values() for name in world.posts}
        return Observed(
            answers=tuple(self._answers),
            units={name: unit.report for name, unit in self._units.items() if name in names},
            spans=self._spans.kept(),
            spans_dropped=self._spans.dropped,
            facts=tuple(
                sorted(
                    self._runs.facts + self._turns.facts + self._refused, key=attrgetter("item", "subject", "kind")
                )
            ),
            totals=totals(used.values(), max(self._sent_s, self._runs.ended_s)),
        )

    def _decide(self, event: Event) -> None:
        events: deque[Event] = deque([event])
        while events:
            self._state, commands = self._driver.step(self._state, events.popleft(), self._kernel.now_s)
            for command in commands:
                match command:
                    case Start():
                        self._start(command)
                    case WakeAt(time_s=time_s):
                        self._wake_at(time_s)
                    case Stop():
                        self._end_with(command)
                    case Prepare(epoch=epoch):
                        events.extend(self._prepare(epoch))
                    case SwitchEpoch():
                        self._turns.switch(command, self._kernel.now_s)
                    case Retire():
                        self._turns.retire(command)
                    case Abandon(epoch=epoch):
                        self._abandon(epoch)
                    case Seek(devices=devices):
                        events.append(self._sought(devices))
                    case Refuse(item=item):
                        self._refused.append(Fact(item, "", "refused", self._kernel.now_s))
                    case other:
                        raise WorkError(f"this simulator cannot {type(other).__name__} yet")

    def _wake_at(self, time_s: float) -> None:
        if time_s not in self._wakes:
            self._wakes.add(time_s)
            self._kernel.at(time_s, partial(self._wake, time_s), WAKE)

    def _wake(self, time_s: float) -> None:
        self._wakes.remove(time_s)
        self._decide(Woke())

    def _end_with(self, stop: Stop) -> None:
        self._stop = stop
        if stop.failure:  # else what is still under way ends
            self._kernel.clear()

    def _prepare(self, epoch: int) -> tuple[Ready | Unready, ...]:
        """What the driver is told at once: that the epoch is ready, unless that takes time."""
        to_do, world = self._turns.ask(epoch), self._worlds[epoch]
        if dead := [name for name in world.posts if self._units[name].dead]:
            self._turns.lost(epoch)
            return (Unready(epoch, f"{dead[0]} is dead"),)
        if to_do and world.prepare_s:
            self._kernel.at(self._kernel.now_s + world.prepare_s, partial(self._prepared, world), READY)
        elif to_do:
            self._turns.prepared(epoch, 0.0)
        return (Ready(epoch, world.program, 0.0),) if self._turns.is_ready(epoch) else ()

    def _prepared(self, world: World) -> None:
        dead = any(self._units[name].dead for name in world.posts)
        if self._stop is None and dead:
            self._turns.lost(world.epoch)
            self._decide(Unready(world.epoch, "one of its units died meanwhile"))
        elif self._stop is None:
            self._turns.prepared(world.epoch, world.prepare_s)
            self._decide(Ready(world.epoch, world.program, world.prepare_s))

    def _start(self, start: Start) -> None:
        world = self._worlds[self._turns.epoch]
        flight = self._flights[start.item] = Flight(start, world, self._turns.start(start.item))
        for name in world.program.routes[start.route].inputs:
            self._carrier.send(world.ways[name], flight, empty=False)

    def _arrive(self, message: Message) -> None:
        way, flight, post = message.way, message.flight, message.way.target
        start, now_s = flight.start, self._kernel.now_s
        if flight.abandoned or (post is not None and post.unit.dead):
            return
        self._carrier.deliver(message)
        if way.source is not None:
            self._sent_s = now_s
        flight.messages -= 1
        if not flight.messages:
            del self._flights[start.item]
        if post is None:
            self._answer(flight, empty=message.empty)
            return
        unit = post.unit
        unit.received_bytes += message.size
        post.ready.note(start.route, start.item, start.session, way.edge, message.empty)
        if unit.running is None or unit.running.end_s <= now_s:  # else it could do nothing at this moment
            self._kernel.at(now_s, post.pass_on, INSTANT)

    def _answer(self, flight: Flight, *, empty: bool) -> None:
        flight.awaited -= 1
        flight.empty |= empty
        if not flight.awaited:
            self._go_out(self._turns.finish(flight.turn, flight))

    def _go_out(self, flights: Iterable[Flight]) -> None:
        for each in flights:
            start, now_s = each.start, self._kernel.now_s
            self._answers.append(Answer(start.item, start.arrived_s, now_s, each.empty, each.turn.epoch))
            self._kernel.at(now_s, partial(self._decide, Finished(start.item, each.empty)), INSTANT)

    def _die(self, name: str) -> None:
        unit = self._units[name]
        if not unit.dead:
            self._runs.interrupt(unit)
            unit.dead = True
            for post in unit.posts:
                post.clear()
            self._kernel.at(self._kernel.now_s, partial(self._tell_of_death, name), INSTANT)

    def _tell_of_death(self, name: str) -> None:
        why = f"it died at {self._kernel.now_s:g} s"
        for epoch, world in self._worlds.items():
            if name in world.posts and epoch in self._turns.open_epochs:
                self._turns.lost(epoch)
                self._decide(Lost(name, why, epoch))
            elif name in world.posts and self._turns.is_ready(epoch):
                self._turns.lost(epoch)
                self._decide(Unready(epoch, f"{name} is gone: {why}"))
        self._decide(Gone(name.partition("/")[0], why))

    def _return(self, name: str) -> None:
        self._units[name].dead = False
        self._kernel.at(self._kernel.now_s, partial(self._decide, Here(name.partition("/")[0])), INSTANT)

    def _abandon(self, epoch: int) -> None:
        """Forget what is in flight in `epoch`, and end what its units run for it."""
        world = self._worlds[epoch]
        self._turns.lost(epoch)
        for item, flight in list(self._flights.items()):
            if flight.world is world:
                flight.abandoned = True
                del self._flights[item]
        for post in world.posts.values():
            running = post.unit.running
            if running is not None and running.work.world is world:
                self._runs.interrupt(post.unit)
                self._kernel.at(self._kernel.now_s, post.unit.choose, CHOICE)
            post.clear()
        self._go_out(self._turns.abandon(epoch))

    def _sought(self, devices: frozenset[str]) -> Found | Unfound:
        """The given epoch with the shortest period of those that make do with `devices`."""
        able = [epoch for epoch, world in self._worlds.items() if world.program.devices <= devices]
        if not able:
            return Unfound(devices, "no epoch was given for these devices")
        best = min(able, key=lambda epoch: (self._worlds[epoch].period_s, epoch))
        return Found(devices, best, self._worlds[best].program.devices, self._worlds[best].period_s)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the search for cycles of garbage: a run makes none, and the search takes a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
