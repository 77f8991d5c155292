"""The items of one run: sent into a Program when the driver says so, gathered when they come out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from shoal.errors import WireError, WorkError
from shoal.program import (
    Abandon,
    Begun,
    Driver,
    Event,
    Finished,
    Header,
    Hop,
    Lost,
    Media,
    Prepare,
    Ready,
    Refuse,
    Retire,
    Seek,
    Start,
    Stop,
    SwitchEpoch,
    Turns,
    WakeAt,
    Woke,
    Workload,
)
from shoal.record import Answer
from shoal.run.changes import LOOK_S, Changes
from shoal.run.crew import Crew
from shoal.run.flight import Flight, Seen
from shoal.run.inputs import Inputs, fitting
from shoal.run.roster import Roster
from shoal.run.upkeep import Upkeep
from shoal.wire import Delivery, Left
from shoal.worker import Clock, answer_of, heard
from shoal.worker.inbox import Inbox

Sink = Callable[[int, Mapping[str, NDArray[Any]]], None]  # item, its outputs; none if a gate stopped it

SOON_S = 0.02  # the same while workers are being prepared: how late the driver may hear that they are ready
SLICE_S = 0.001  # how long one crew is listened to while another has items in flight too
WAKE = -1  # stands for no epoch
LATE_S, LATE_SHARE_OF_LATENCY = 0.002, 0.02  # an emulated answer this much after its due time is late


class Flights:
    """The items of one run, from the driver's first word to its last.

    When boards are emulated, the run's time is the due time of what is being handled, and it begins at zero:
    the times that the driver sees, and that its items start at, are then free of this machine's delays. The driver
    is told that time divided by `stretch`, so that it decides as if the boards went at their own speed.
    """

    def __init__(
        self, roster: Roster, first: int, clock: Clock, stretch: float, inputs: Inputs, sink: Sink, upkeep: Upkeep
    ) -> None:
        self._roster, self._clock, self._stretch = roster, clock, stretch
        self._inputs, self._sink, self._upkeep = inputs, sink, upkeep
        self._turns = Turns[Flight](roster.known, first)
        self._changes = Changes(roster, self._turns, clock, upkeep, self._put)
        self._first = roster.crews[first]
        self._paced = self._first.pace is not None
        self._inbox, self._media = Inbox(), Media()
        self._hops: dict[Crew, Mapping[str, tuple[Hop, ...]]] = {}
        self._flights: dict[int, Flight] = {}
        self._gone: set[tuple[int, str]] = set()  # epoch and unit, of the losses that the driver knows of
        self._alarms: set[tuple[float, int]] = set()  # as the driver counts: time, and epoch that is ready then
        self._now_s = 0.0 if self._paced else clock.now_s()
        self._decided_s = -math.inf  # when the driver was asked last
        self._stop: Stop | None = None
        self.seen = Seen(self._paced, self._turns.facts, deque(maxlen=upkeep.remember))

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs that took part; the one in which items start now is the last."""
        return (*(epoch for epoch in self._turns.used if epoch != self._turns.epoch), self._turns.epoch)

    def drive(self, driver: Driver, workload: Workload, patience_s: float) -> str:
        """Run to the driver's Stop; returns why it ended early, or ""."""
        self._driver, self._state = driver, driver.begin(self._first.program, workload)
        self._decide(Begun(), self._now_s / self._stretch)
        quiet_since_s = self._clock.now_s()
        while self._stop is None:
            crew, came = self._receive()
            if came is not None:
                quiet_since_s = self._clock.now_s()
            lost = None if crew is None else self._put(crew, came) or crew.why(came)
            self._take_due()
            if crew is not None and lost is not None:
                self._lose(crew, *lost)
            self._tell(self._changes.news())
            waiting = self._flights and self._inbox.next_due_s is None
            if waiting and self._clock.now_s() - quiet_since_s > patience_s:
                return f"nothing was heard for {patience_s:g} s{self._in_flight()}"
        return self._stop.failure + self._in_flight() if self._stop.failure else ""

    def _in_flight(self) -> str:
        return f"; items in flight: {', '.join(map(str, sorted(self._flights)))}" if self._flights else ""

    def _next_s(self) -> tuple[float, float]:
        """When the next message is due, and when the driver is to be told something."""
        due_s = self._inbox.next_due_s
        told_s = min(self._alarms)[0] * self._stretch if self._alarms else math.inf
        return math.inf if due_s is None else due_s, told_s

    def _receive(self) -> tuple[Crew | None, Delivery | Left | None]:
        """What comes next, and from which crew; waits until something is to be done, or looked at."""
        look_s = SOON_S if self._changes.busy else LOOK_S
        wait_s = max(0.0, min(min(self._next_s()) - self._clock.now_s(), look_s))
        requests, there = self._upkeep.requests, self._roster.crews
        epochs = [epoch for epoch in self._turns.open_epochs if epoch in there]
        if not epochs:
            requests.wait(wait_s)
            return None, None
        requests.waker = there[epochs[0]].endpoint.wake
        if requests:  # it came before the waker was there
            wait_s = 0.0
        if len(epochs) > 1:
            wait_s = min(wait_s, SLICE_S)
            for epoch in epochs:
                crew = self._roster.crew(epoch)
                if (came := crew.endpoint.receive(0.0)) is not None:
                    return crew, came
        crew = self._roster.crew(epochs[0])
        return crew, crew.endpoint.receive(wait_s)

    def _put(self, crew: Crew, came: Delivery | Left | None) -> tuple[str, str] | None:
        """Keep an answer until it is due; returns the worker that says it failed, and why."""
        if isinstance(came, Delivery) and came.header.control:
            try:
                message = answer_of(heard(crew.endpoint, came), came.peer)
            except WireError as fault:
                return came.peer, fault.what
            if message.get("is") == "vitals" and self._upkeep.pulse is not None:
                self._upkeep.pulse.heard(crew.program.epoch, came.peer, message)
            return crew.told(came.peer, message)
        if isinstance(came, Delivery):
            self._inbox.put(came, came.header.time_s if self._paced else 0.0)
        return None

    def _take_due(self) -> None:
        """Handle what is due by now in the order of its time; at one moment answers go before alarms."""
        now_s = self._clock.now_s()
        while self._stop is None and min(self._next_s()) <= now_s:
            due_s, told_s = self._next_s()
            self._now_s = min(due_s, told_s) if self._paced else now_s
            if due_s <= told_s and (delivery := self._inbox.take(due_s)) is not None:
                self._answer(delivery)
            else:
                self._ring()

    def _ring(self) -> None:
        """Tell the driver what it is time for; wakes go before epochs that are ready."""
        alarm = min(self._alarms)
        self._alarms.remove(alarm)
        time_s, epoch = alarm
        if epoch == WAKE:
            self._decide(Woke(), time_s if self._paced else self._now_s)
        else:
            took_s = self._roster.stated_s(epoch) or 0.0
            self._turns.prepared(epoch, took_s)
            self._decide(Ready(epoch, self._roster.crew(epoch).program, took_s), time_s)

    def _tell(self, news: Iterator[Event]) -> None:
        """Tell the driver of what it cannot see; a preparation's time counts as the boards' does."""
        for event in news:
            self._now_s = self._clock.now_s()
            told = replace(event, took_s=event.took_s / self._stretch) if isinstance(event, Ready) else event
            if isinstance(told, Ready):
                self._turns.prepared(told.epoch, told.took_s)
            self._decide(told, self._told_s)
            if self._stop is not None:
                return

    def _lose(self, crew: Crew, unit: str, why: str) -> None:
        epoch = crew.program.epoch
        if (epoch, unit) not in self._gone:
            self._gone.add((epoch, unit))
            self._turns.lost(epoch)
            self._decide(Lost(unit, why, epoch), self._told_s)

    @property
    def _told_s(self) -> float:
        """The time now, as the driver counts."""
        return self._now_s / self._stretch

    def _decide(self, event: Event, told_s: float) -> None:
        events = deque([event])
        while events and self._stop is None:
            self._decided_s = self._now_s
            self._state, commands = self._driver.step(self._state, events.popleft(), told_s)
            for command in commands:
                match command:
                    case Start():
                        self._start(command)
                    case WakeAt(time_s=time_s):
                        self._alarms.add((time_s, WAKE))
                    case Stop():
                        self._stop = command
                    case Prepare(epoch=epoch):
                        events.extend(self._prepare(epoch, told_s))
                    case SwitchEpoch():
                        self._switch(command, told_s)
                    case Retire():
                        self._changes.retire(command)
                    case Abandon(epoch=epoch):
                        self._abandon(epoch)
                    case Seek(devices=devices):
                        self._changes.seek(devices)
                    case Refuse(item=item, why=why):
                        self._upkeep.refused(item, why)
                    case other:
                        raise WorkError(f"this coordinator cannot {type(other).__name__} yet")

    def _abandon(self, epoch: int) -> None:
        self._gone = {(each, unit) for each, unit in self._gone if each != epoch}
        self._alarms = {(time_s, each) for time_s, each in self._alarms if each != epoch}
        self._flights = {item: each for item, each in self._flights.items() if each.turn.epoch != epoch}
        for flight in self._changes.abandon(epoch):
            self._finish(flight)

    def _prepare(self, epoch: int, told_s: float) -> tuple[Ready, ...]:
        """What the driver is told at once: that the epoch is ready, unless that takes time."""
        at_s = self._changes.prepare(epoch)
        if at_s is not None:
            self._alarms.add((told_s + at_s, epoch))
        if not self._turns.is_ready(epoch):
            return ()
        return (Ready(epoch, self._roster.crew(epoch).program, 0.0),)

    def _switch(self, command: SwitchEpoch, told_s: float) -> None:
        if self._paced and self._flights:
            raise WorkError(
                "boards are emulated, so an epoch can begin only when nothing is in flight",
                hint="two workers of one board would each go at its full speed; let the driver drain",
            )
        self._turns.switch(command, told_s)

    def _start(self, start: Start) -> None:
        crew = self._roster.crew(self._turns.epoch)
        program = crew.program
        route = program.routes[start.route]
        turn = self._turns.start(start.item)
        self._flights[start.item] = Flight(start, crew, turn, set(route.outputs))
        arrays = self._inputs(start.item)
        hops = self._hops_of(crew)
        for name in route.inputs:
            edge = program.edge[name]
            array = fitting(arrays, edge, {**program.sizes, **start.bindings})
            due_s = self._media.carry(hops.get(name, ()), array.nbytes, self._now_s)
            header = Header(
                edge=program.edge_index[name], item=start.item, route=start.route, session=start.session,
                epoch=program.epoch, dtype=edge.spec.dtype, shape=array.shape, payload_bytes=array.nbytes,
                time_s=due_s,
            )  # fmt: skip
            crew.endpoint.send(header, array)

    def _hops_of(self, crew: Crew) -> Mapping[str, tuple[Hop, ...]]:
        if crew not in self._hops:
            self._hops[crew] = crew.pace.stretched(self._stretch).hops if crew.pace else {}
        return self._hops[crew]

    def _answer(self, delivery: Delivery) -> None:
        header = delivery.header
        flight = self._flights.get(header.item)
        if flight is None or flight.turn.epoch != header.epoch:
            if header.epoch in self._changes.abandoned:
                return
            raise WorkError(f"an answer nobody waits for: item {header.item} of epoch {header.epoch}")
        edge = flight.crew.program.edges[header.edge]
        if edge.name not in flight.awaited:
            raise WorkError(f"an answer nobody waits for: item {header.item} on '{edge.name}'")
        if self._paced and header.time_s < self._decided_s:
            self.seen.missed.add(header.item)
        flight.awaited.remove(edge.name)
        flight.due_s = max(flight.due_s, self._now_s)
        if delivery.array is None:
            flight.empty = True
        else:
            flight.outputs[edge.delivers] = delivery.array.copy()
            flight.crew.endpoint.release(delivery)
        if not flight.awaited:
            for each in self._turns.finish(flight.turn, flight):
                self._finish(each)
            self._changes.let_go(flight.turn.epoch)

    def _finish(self, flight: Flight) -> None:
        item = flight.start.item
        del self._flights[item]
        # Later than due if it waited for an earlier turn; later than now if its last message is not the latest due.
        answered_s = self._now_s = max(flight.due_s, self._now_s)
        arrived_s = flight.start.arrived_s * self._stretch
        if self._clock.now_s() > answered_s + LATE_S + LATE_SHARE_OF_LATENCY * (answered_s - arrived_s):
            self.seen.late.add(item)
        self.seen.answers.append(Answer(item, arrived_s, answered_s, flight.empty, flight.turn.epoch))
        self._sink(item, flight.outputs)
        self._decide(Finished(item, flight.empty), self._told_s)
