"""The items of one run: sent into the Program when the driver says so, gathered when they come out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, WorkError
from shoal.program import (
    CLIENT,
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
from shoal.worker import Clock, facts_of, heard, spans_of
from shoal.worker.inbox import Inbox

Array = NDArray[Any]
Inputs = Callable[[int], Mapping[str, Array]]  # item → arrays by the name of the graph's input
Sink = Callable[[int, Mapping[str, Array]], None]  # item, its outputs; none if a gate stopped it
Watch = Callable[[], tuple[str, str] | None]  # a worker that ended, and why
Why = Callable[[Delivery | Left | None], tuple[str, str] | None]  # the same, given what came last

LOOK_S = 0.5  # how often dead workers are looked for
LATE_S, LATE_SHARE_OF_LATENCY = 0.002, 0.02  # an emulated answer this much after its due time is late


@dataclass
class _Flight:
    start: Start
    awaited: set[str]
    empty: bool = False
    outputs: dict[str, Array] = field(default_factory=dict)
    due_s: float = 0.0


class Flights:
    """The items of one run, from the driver's first word to its last.

    When boards are emulated, the run's time is the due time of what is being handled, and it begins at zero:
    the times that the driver sees, and that its items start at, are then free of this machine's delays.
    """

    def __init__(
        self, program: Program, endpoint: Endpoint, pace: Pace | None, clock: Clock, inputs: Inputs, sink: Sink
    ) -> None:
        self._program, self._endpoint, self._pace, self._clock = program, endpoint, pace, clock
        self._inputs, self._sink = inputs, sink
        self._inbox, self._media = Inbox(), Media()
        self._flights: dict[int, _Flight] = {}
        self._answers: list[Answer] = []
        self._late: set[int] = set()
        self._missed: set[int] = set()  # answered before a moment at which the driver had decided without them
        self._wakes: set[float] = set()
        self._now_s = 0.0 if pace else clock.now_s()
        self._decided_s = -math.inf  # when the driver was asked last
        self._stop: Stop | None = None

    def drive(self, driver: Driver, workload: Workload, patience_s: float, why: Why) -> str:
        """Run to the driver's Stop; returns why it ended early, or ""."""
        self._driver, self._state = driver, driver.begin(self._program, workload)
        self._decide(Begun())
        quiet_since_s = self._clock.now_s()
        while self._stop is None:
            came = self._endpoint.receive(self._until_next_s())
            if came is not None:
                quiet_since_s = self._clock.now_s()
            lost = why(came) or self._put(came)
            self._take_due()
            if lost is not None:
                self._decide(Lost(*lost))
            waiting = self._flights and self._inbox.next_due_s is None
            if waiting and self._clock.now_s() - quiet_since_s > patience_s:
                return f"nothing was heard for {patience_s:g} s{self._in_flight()}"
        return self._stop.failure + self._in_flight() if self._stop.failure else ""

    def observed(self, reports: Mapping[str, Mapping[str, Any]]) -> Observed:
        """What is known so far, with the units' reports if they came."""
        spans = (span for report in reports.values() for span in spans_of(report))
        facts = (fact for report in reports.values() for fact in facts_of(report))
        missed = self._missed.union(*(report["missed"] for report in reports.values()))
        fields = ("busy_s", "sent_bytes", "received_bytes", "cpu_s", "resident_bytes", "peak_bytes")
        return Observed(
            answers=tuple(self._answers),
            units={unit: UnitReport(**{key: report[key] for key in fields}) for unit, report in reports.items()},
            spans=tuple(sorted(spans, key=lambda span: (span.start_s, span.unit))),
            spans_dropped=sum(report["spans_dropped"] for report in reports.values()),
            facts=tuple(sorted(facts, key=lambda fact: (fact.item, fact.subject, fact.kind))),
            late_share=len(self._late | missed) / max(1, len(self._answers)) if self._pace else None,
            missed=tuple(sorted(missed)),
        )

    def _in_flight(self) -> str:
        return f"; items in flight: {', '.join(map(str, sorted(self._flights)))}" if self._flights else ""

    def _next_s(self) -> tuple[float, float]:
        """When the next message is due, and when the driver wants to be woken."""
        due_s = self._inbox.next_due_s
        return math.inf if due_s is None else due_s, min(self._wakes, default=math.inf)

    def _until_next_s(self) -> float:
        return max(0.0, min(min(self._next_s()) - self._clock.now_s(), LOOK_S))

    def _put(self, came: Delivery | Left | None) -> tuple[str, str] | None:
        """Keep an answer until it is due; returns the worker that says it failed, and why."""
        if isinstance(came, Delivery) and came.header.control:
            message = heard(self._endpoint, came)
            return (came.peer, str(message["message"])) if message.get("is") == "error" else None
        if isinstance(came, Delivery):
            if self._pace and came.header.time_s < self._decided_s:
                self._missed.add(came.header.item)
            self._inbox.put(came, came.header.time_s if self._pace else 0.0)
        return None

    def _take_due(self) -> None:
        """Handle what is due by now in the order of its time; at one moment answers go before wakes."""
        now_s = self._clock.now_s()
        while self._stop is None and min(self._next_s()) <= now_s:
            due_s, wake_s = self._next_s()
            if due_s <= wake_s and (delivery := self._inbox.take(due_s)) is not None:
                self._now_s = due_s if self._pace else now_s
                self._answer(delivery)
            else:
                self._wakes.remove(wake_s)
                self._now_s = wake_s if self._pace else now_s
                self._decide(Woke())

    def _decide(self, event: Event) -> None:
        if self._stop is not None:
            return
        self._decided_s = self._now_s
        self._state, commands = self._driver.step(self._state, event, self._now_s)
        for command in commands:
            match command:
                case Start():
                    self._start(command)
                case WakeAt(time_s=time_s):
                    self._wakes.add(time_s)
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
            array = _fitting(arrays, edge, {**self._program.sizes, **start.bindings})
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
        if self._clock.now_s() > answer.answered_s + tolerance_s:
            self._late.add(item)
        self._answers.append(answer)
        self._sink(item, flight.outputs)
        self._decide(Finished(item, flight.empty))


def check_inputs(program: Program, arrays: Mapping[str, Array]) -> None:
    """Refuse inputs that `program` cannot start an item with, before anything is sent.

    Raises:
        InputError: an array is missing, or has the wrong type or shape.
    """
    for edge in program.edges:
        if edge.source == CLIENT:
            _fitting(arrays, edge, program.sizes)


def _fitting(arrays: Mapping[str, Array], edge: Edge, sizes: Mapping[str, int]) -> Array:
    """The array for `edge`, whose shape must be the edge's at `sizes`; a size that has a name may be smaller."""
    if edge.tensor not in arrays:
        raise InputError(f"no input '{edge.tensor}' was given", had=", ".join(arrays) or "none")
    array, bound = arrays[edge.tensor], edge.spec.bound(sizes)
    if str(array.dtype) != edge.spec.dtype:
        raise InputError(f"input '{edge.tensor}' has the wrong type", needed=edge.spec.dtype, had=str(array.dtype))
    fits = len(array.shape) == len(bound) and all(
        actual == size if isinstance(size, int) else actual <= limit
        for actual, size, limit in zip(array.shape, edge.spec.shape, bound, strict=True)
    )
    if not fits:
        raise InputError(
            f"input '{edge.tensor}' has the wrong shape", needed=str(list(bound)), had=str(list(array.shape))
        )
    return np.asarray(array, order="C")  # unlike ascontiguousarray it leaves a scalar a scalar
