"""Drive a Program whose workers are connected: start items as the driver says, gather answers, notice losses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, WorkError
from shoal.program import (
    Begun,
    Driver,
    Edge,
    Event,
    Finished,
    Header,
    Lost,
    Media,
    Pace,
    Program,
    Start,
    Stop,
    WakeAt,
    Woke,
    Workload,
)
from shoal.record import Answer, Observed, UnitReport
from shoal.wire import Delivery, Endpoint, Left
from shoal.worker import Clock, facts_of, heard, say, spans_of
from shoal.worker.inbox import Inbox

Array = NDArray[Any]
Inputs = Callable[[int], Mapping[str, Array]]  # item → arrays by the name of the graph's input
Sink = Callable[[int, Mapping[str, Array]], None]  # item, its outputs; none if a gate stopped it

LATE_S, LATE_SHARE_OF_LATENCY = 0.002, 0.02  # an emulated answer this much after its due time is late


@dataclass(frozen=True)
class Outcome:
    """What happened; `failure` says why the run ended early, naming the unit and the items in flight."""

    observed: Observed
    failure: str = ""


@dataclass
class _Flight:
    start: Start
    awaited: set[str]
    empty: bool = False
    outputs: dict[str, Array] = field(default_factory=dict)
    due_s: float = 0.0


class Coordinator:
    """One run over connected workers."""

    def __init__(
        self,
        program: Program,
        endpoint: Endpoint,
        pace: Pace | None = None,
        patience_s: float = 60.0,
        watch: Callable[[], tuple[str, str] | None] = lambda: None,
    ) -> None:
        """`patience_s`: how long nothing may happen; `watch` tells of a worker that ended (unit, why)."""
        self._program, self._endpoint, self._pace = program, endpoint, pace
        self._patience_s, self._watch = patience_s, watch
        self._clock = Clock()

    def wait_ready(self) -> dict[str, Mapping[str, Any]]:
        """Wait until every worker has its segments loaded; what each said of itself, by unit.

        Raises:
            WorkError: a worker failed while loading, or left.
        """
        return self._gather("ready")

    def run(self, driver: Driver, workload: Workload, inputs: Inputs, sink: Sink) -> Outcome:
        """Run `workload`; answers go to `sink` as they come."""
        for unit in self._program.units:
            say(self._endpoint, {"do": "start", "origin": self._clock.origin}, unit)
        stream = _Stream(self._program, self._endpoint, self._pace, self._clock, inputs, sink)
        failure = stream.drive(driver, workload, self._patience_s, self._watch)
        reports = {} if failure else self._report()
        return Outcome(stream.observed(reports), failure)

    def stop(self) -> None:
        """Let the workers go."""
        for unit in self._program.units:
            say(self._endpoint, {"do": "stop"}, unit)

    def _report(self) -> dict[str, Mapping[str, Any]]:
        for unit in self._program.units:
            say(self._endpoint, {"do": "report"}, unit)
        return self._gather("report")

    def _gather(self, word: str) -> dict[str, Mapping[str, Any]]:
        """One message {"is": word} from every unit."""
        found: dict[str, Mapping[str, Any]] = {}
        deadline_s = time.monotonic() + self._patience_s
        while len(found) < len(self._program.units):
            came = self._endpoint.receive(0.2)
            lost = _lost(came) or self._watch()
            if lost is not None:
                raise WorkError(f"{lost[0]} is gone ({lost[1]})")
            if isinstance(came, Delivery):
                message = heard(self._endpoint, came)
                if message.get("is") == "error":
                    raise WorkError(str(message["message"]), where=came.peer, hint=message.get("hint"))
                if message.get("is") == word:
                    found[came.peer] = message
            if time.monotonic() > deadline_s:
                missing = ", ".join(sorted(set(self._program.units) - set(found)))
                raise WorkError(f"no '{word}' from {missing} within {self._patience_s:g} s")
        return found


def _lost(came: Delivery | Left | None) -> tuple[str, str] | None:
    return (came.peer, came.why) if isinstance(came, Left) else None


class _Stream:
    """The items of one run, from the driver's first word to its last."""

    def __init__(
        self, program: Program, endpoint: Endpoint, pace: Pace | None, clock: Clock, inputs: Inputs, sink: Sink
    ) -> None:
        self._program, self._endpoint, self._pace, self._clock = program, endpoint, pace, clock
        self._inputs, self._sink = inputs, sink
        self._inbox, self._media = Inbox(), Media()
        self._flights: dict[int, _Flight] = {}
        self._answers: list[Answer] = []
        self._late = 0
        self._wakes: list[float] = []
        self._now_s = 0.0  # the run's time: the due time of what is being handled when emulating
        self._stop: Stop | None = None

    def drive(
        self, driver: Driver, workload: Workload, patience_s: float, watch: Callable[[], tuple[str, str] | None]
    ) -> str:
        """Run to the driver's Stop; returns why it ended early, or ""."""
        self._driver, self._state = driver, driver.begin(self._program, workload)
        self._now_s = self._clock.now_s()
        self._decide(Begun())
        quiet_since_s = self._clock.now_s()
        while self._stop is None:
            came = self._endpoint.receive(self._patience(patience_s))
            if came is not None:
                quiet_since_s = self._clock.now_s()
                self._handle(came)
            self._take_due()
            if self._stop is None and (lost := watch()) is not None:
                self._decide(Lost(*lost))
            if self._flights and self._clock.now_s() - quiet_since_s > patience_s:
                return f"nothing was heard for {patience_s:g} s{self._in_flight()}"
        return self._stop.failure + self._in_flight() if self._stop.failure else ""

    def observed(self, reports: Mapping[str, Mapping[str, Any]]) -> Observed:
        """What is known so far, with the units' reports if they came."""
        spans = tuple(span for report in reports.values() for span in spans_of(report))
        fields = ("busy_s", "sent_bytes", "received_bytes", "cpu_s", "resident_bytes", "peak_bytes")
        return Observed(
            answers=tuple(self._answers),
            units={unit: UnitReport(**{key: report[key] for key in fields}) for unit, report in reports.items()},
            spans=tuple(sorted(spans, key=lambda span: span.start_s)),
            spans_dropped=sum(report["spans_dropped"] for report in reports.values()),
            facts=tuple(fact for report in reports.values() for fact in facts_of(report)),
            late_share=self._late / max(1, len(self._answers)) if self._pace else None,
        )

    def _in_flight(self) -> str:
        return f"; items in flight: {', '.join(map(str, sorted(self._flights)))}" if self._flights else ""

    def _patience(self, patience_s: float) -> float:
        times = [
            time_s for time_s in (self._inbox.next_due_s, min(self._wakes, default=None)) if time_s is not None
        ]
        until_next_s = min(times, default=math.inf) - self._clock.now_s()
        return max(0.0, min(until_next_s, patience_s, 0.5))  # 0.5 s: how often dead processes are looked for

    def _handle(self, came: Delivery | Left) -> None:
        if isinstance(came, Left):
            self._decide(Lost(came.peer, came.why))
        elif came.header.control:
            message = heard(self._endpoint, came)
            if message.get("is") == "error":
                self._decide(Lost(came.peer, str(message["message"])))
        else:
            self._inbox.put(came, came.header.time_s if self._pace else 0.0)

    def _take_due(self) -> None:
        now_s = self._clock.now_s()
        while self._stop is None and (delivery := self._inbox.take(now_s)) is not None:
            self._now_s = delivery.header.time_s if self._pace else now_s
            self._answer(delivery)
        due = [time_s for time_s in self._wakes if time_s <= now_s]
        for time_s in due:
            self._wakes.remove(time_s)
            self._now_s = max(self._now_s, time_s) if self._pace else now_s
            self._decide(Woke())

    def _decide(self, event: Event) -> None:
        if self._stop is not None:
            return
        self._state, commands = self._driver.step(self._state, event, self._now_s)
        for command in commands:
            match command:
                case Start():
                    self._start(command)
                case WakeAt(time_s=time_s):
                    self._wakes.append(time_s)
                case Stop():
                    self._stop = command
                case other:
                    raise WorkError(f"this coordinator cannot {type(other).__name__} yet")

    def _start(self, start: Start) -> None:
        route = self._program.routes[start.route]
        self._flights[start.item] = _Flight(start, set(route.outputs))
        arrays = self._inputs(start.item)
        for name in route.inputs:
            edge = self._program.edge[name]
            array = _fitting(arrays, edge)
            hops = self._pace.hops.get(name, ()) if self._pace else ()
            due_s = self._media.carry(hops, array.nbytes, self._now_s)
            header = Header(
                edge=self._program.edge_index[name], item=start.item, route=start.route, session=start.session,
                epoch=self._program.epoch, dtype=edge.spec.dtype, shape=array.shape, payload_bytes=array.nbytes,
                time_s=due_s,
            )  # fmt: skip
            self._endpoint.send(header, array)

    def _answer(self, delivery: Delivery) -> None:
        edge = self._program.edges[delivery.header.edge]
        flight = self._flights.get(delivery.header.item)
        if flight is None or edge.name not in flight.awaited:
            raise WorkError(f"an answer nobody waits for: item {delivery.header.item} on '{edge.name}'")
        flight.awaited.discard(edge.name)
        flight.due_s = max(flight.due_s, self._now_s)
        if delivery.array is None:
            flight.empty = True
        else:
            flight.outputs[edge.delivers] = delivery.array.copy()
            self._endpoint.release(delivery)
        if not flight.awaited:
            self._finish(delivery.header.item, flight)

    def _finish(self, item: int, flight: _Flight) -> None:
        del self._flights[item]
        answer = Answer(item, flight.start.arrived_s, flight.due_s, flight.empty)
        tolerance_s = LATE_S + LATE_SHARE_OF_LATENCY * (answer.answered_s - answer.arrived_s)
        self._late += self._clock.now_s() > answer.answered_s + tolerance_s
        self._answers.append(answer)
        self._sink(item, flight.outputs)
        self._decide(Finished(item, flight.empty))


def _fitting(arrays: Mapping[str, Array], edge: Edge) -> Array:
    if edge.tensor not in arrays:
        raise InputError(f"no input '{edge.tensor}' was given", had=", ".join(arrays) or "none")
    array = arrays[edge.tensor]
    if str(array.dtype) != edge.spec.dtype:
        raise InputError(f"input '{edge.tensor}' has the wrong type", needed=edge.spec.dtype, had=str(array.dtype))
    return np.ascontiguousarray(array)
