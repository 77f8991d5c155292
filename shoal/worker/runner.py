"""One unit at work: take messages in, pick the ready step, do it, pass results on.

With a Pace the unit emulates a board: it keeps a time of its own, `_free_s`, at which the board would be free
again. A message counts only once that time has passed its due time, a segment ends at its start plus the board's
seconds, and the worker sleeps until then. Real time only has to keep up.

A message that is due at a moment is really there a little later, because threads wake late. A unit that has a
choice of what to do next therefore waits `HOLD_S` of real time before it chooses, so that it chooses among all
that counts, as the board would; in the unit's own time that wait does not exist. A message that comes even later
than that, when something else was chosen, is noted as missed: from there on the times are no longer the board's.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.engines import Session
from shoal.errors import WireError
from shoal.program import (
    Edge,
    Header,
    Job,
    Media,
    Pace,
    Program,
    ReadySet,
    Segment,
    ValueKey,
    outputs_of,
)
from shoal.program.message import NOTHING, Flag
from shoal.record import Fact, Span
from shoal.wire import Delivery, Endpoint, Left
from shoal.worker.clock import LONGEST_S, Clock
from shoal.worker.inbox import Inbox
from shoal.worker.throttle import Throttle
from shoal.worker.values import StateStore, Values, owner_of

MAX_SPANS = 100_000
HOLD_S, HOLD_SHARE = 0.002, 0.125  # at most this share of the unit's shortest segment
REMEMBERED = 64  # latest choices that a late message is compared with


class Runner:
    """The steps of one unit, from start to stop."""

    def __init__(
        self,
        program: Program,
        unit: str,
        sessions: Mapping[str, Session],
        endpoint: Endpoint,
        clock: Clock,
        pace: Pace | None = None,
        throttle: Throttle | None = None,
        record: bool = True,
    ) -> None:
        self._program, self._unit, self._sessions = program, unit, sessions
        self._endpoint, self._clock, self._pace, self._throttle = endpoint, clock, pace, throttle
        self._ready = ReadySet(program, unit)
        self._values = Values(program, endpoint)
        self._states = StateStore(program)
        self._inbox = Inbox()
        self._media = Media()
        self._direct = _direct_edges(program, unit)
        self._expected = {
            (index, step.name)
            for index, route in enumerate(program.routes)
            for task in route.tasks
            for step in task.steps
            if step.kind == "recv" and task.unit == unit
        }
        self._hold_s = _hold_s(program, unit, pace)
        self._free_s = 0.0 if pace else math.inf  # unpaced: everything that came counts
        self._roused_s = -math.inf  # paced: when it last had nothing to do until a message came
        self._choices: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)  # paced: when which item was chosen
        self.spans: list[Span] = []
        self.spans_dropped = 0
        self.facts: list[Fact] = []
        self.missed: set[int] = set()  # items of which a message came too late to be chosen in its turn
        self.busy_s = 0.0
        self._ran = dict.fromkeys(sessions, 0)  # how often each segment ran
        self._record = record

    def vitals(self) -> dict[str, Any]:
        """How it is: seconds it computed, how often each segment ran, what is left to do, what its links take."""
        return {
            "busy_s": self.busy_s, "ran": self._ran, "pending": self.pending, "rates": self._endpoint.rates(),
        }  # fmt: skip

    @property
    def pending(self) -> int:
        """Items with steps left and messages not due yet: 0 when all that came is done."""
        return len(self._ready.in_flight) + len(self._inbox)

    def clear(self) -> None:
        """Give back all memory of the transport that is still held."""
        self._values.clear()
        for delivery in self._inbox.drain():
            self._release(delivery)

    def work(self) -> Delivery | Left | None:
        """Do what can be done now, then wait; returns what only the worker's owner can handle.

        That is a control message or the end of a connection; None after a wait that brought nothing new.
        """
        while True:
            special = self._take_in(0.0)
            if special is not None:
                return special
            job = self._ready.pick()
            if job is None:
                return self._wait()
            hold_s = self._hold(job)
            if hold_s <= 0:
                self._do(job)
            elif (special := self._take_in(hold_s)) is not None:
                return special

    def _hold(self, job: Job) -> float:
        """Seconds of real time to wait before `job` may be chosen."""
        if job.instant or not self._hold_s:
            return 0.0
        return self._free_s + self._hold_s - self._clock.now_s()

    def _wait(self) -> Delivery | Left | None:
        due_s = self._inbox.next_due_s
        if due_s is None:
            special = self._take_in(None)
            if self._throttle is not None:
                self._throttle.roused()
            return special
        special = self._take_in(max(0.0, min(LONGEST_S, due_s + self._hold_s - self._clock.now_s())))
        earliest_s = self._inbox.next_due_s
        if earliest_s is not None and earliest_s + self._hold_s <= self._clock.now_s():
            self._free_s = self._roused_s = max(self._free_s, earliest_s)
        return special

    def _take_in(self, timeout_s: float | None) -> Delivery | Left | None:
        while True:
            came = self._endpoint.receive(timeout_s)
            if came is None:
                break
            if isinstance(came, Left) or came.header.control:
                return came
            if self._pace and self._missed(came.header):
                self.missed.add(came.header.item)
            self._inbox.put(came, came.header.time_s if self._pace else 0.0)
            timeout_s = 0.0
        while (delivery := self._inbox.take(self._free_s)) is not None:
            self._arrive(delivery)
        return None

    def _arrive(self, delivery: Delivery) -> None:
        header = delivery.header
        edge = self._program.edges[header.edge]
        of_another_entry = edge.takes != "newest" and (header.route, edge.name) not in self._expected
        if edge.target != self._unit or of_another_entry:
            raise WireError(
                f"sent item {header.item} on edge '{edge.name}', which does not end here", where=delivery.peer
            )
        key = self._ready.arrive(header.route, header.item, header.session, edge, empty=header.empty)
        if key is not None and delivery.array is not None:
            self._values.keep(key, delivery.array, delivery)

    def _missed(self, header: Header) -> bool:
        """Whether a choice that is made already might have been another one with this message."""
        takes = self._program.edges[header.edge].takes
        first = header.item + (takes == "previous")  # whom it lets run
        return header.time_s < self._roused_s or any(
            header.time_s <= time_s and (takes == "newest" or first <= item) for time_s, item in self._choices
        )

    def _release(self, delivery: Delivery) -> None:
        if delivery.array is not None:
            self._endpoint.release(delivery)

    def _do(self, job: Job) -> None:
        if job.step.kind == "run":
            given = self._run(job, self._program.segment[job.step.name])
        else:
            self._send(job)
            given = {}
        self._values.free(self._ready.done(job, given))
        if not self._ready.holds(job.item):
            self._states.end(job.item)

    def _run(self, job: Job, segment: Segment) -> dict[str, bool]:
        names = outputs_of(self._program, segment)
        if job.empty:
            return dict.fromkeys(names, True)
        start_s = self._free_s if self._pace else self._clock.now_s()
        self._choices.append((start_s, job.item))
        outputs = self._compute(job, segment)
        end_s = self._end(segment, start_s)
        self.busy_s += end_s - start_s
        self._ran[segment.name] += 1
        self._span(Span("run", self._unit, segment.name, job.item, start_s, end_s))
        for edge, item in job.newest:
            self._note(Fact(job.item, edge, "newest", float(item)))
        stop = segment.gate is not None and not bool(np.all(outputs[segment.gate]))
        if segment.gate is not None:
            self._note(Fact(job.item, segment.name, "gate", float(not stop)))
        given = {name: stop and name != segment.gate for name in names}
        for name, empty in given.items():
            if not empty:
                self._values.keep(ValueKey(job.item, name), outputs[name])
        return given

    def _compute(self, job: Job, segment: Segment) -> Mapping[str, NDArray[Any]]:
        inputs = {name: self._values.get(key) for name, key in job.reads}
        into = self._buffers(job, segment)
        states = [self._program.state[name] for name in segment.states]
        for state in states:
            owner = owner_of(state, job.item, job.session)
            if state.update == "place":
                rows = self._states.rows(state, owner, job.session, len(inputs[state.rows]))
                inputs[state.reads] = into[state.writes] = rows
            else:
                inputs[state.reads] = self._states.get(state.name, owner)
        outputs = self._sessions[segment.name].run(inputs, into)
        for state in states:
            if state.update != "place":
                self._states.update(state.name, owner_of(state, job.item, job.session), outputs[state.writes])
        return outputs

    def _buffers(self, job: Job, segment: Segment) -> dict[str, NDArray[Any]]:
        """The transport's own memory for outputs that go straight to one reader and have a fixed shape."""
        if segment.gate is not None:  # nothing may be sent at all
            return {}
        found = {}
        for name in segment.outputs:
            index = self._direct.get((job.route, name))
            if index is not None:
                spec = self._program.edges[index].spec
                array = self._endpoint.buffer(index, spec.dtype, spec.bound(self._program.sizes))
                if array is not None:
                    found[name] = array
        return found

    def _end(self, segment: Segment, start_s: float) -> float:
        if self._throttle is not None:
            self._throttle.rest()
        if self._pace is None:
            return self._clock.now_s()
        self._free_s = start_s + self._pace.segments_s[segment.name]
        self._clock.sleep_until(self._free_s)
        return self._free_s

    def _send(self, job: Job) -> None:
        edge = self._program.edge[job.step.name]
        array = None if job.empty else self._values.get(job.reads[0][1])
        if edge.inside:
            key = self._ready.arrive(job.route, job.item, job.session, edge, empty=job.empty)
            if key is not None and array is not None:
                self._values.keep(key, array)
            return
        size = 0 if array is None else array.nbytes
        start_s = self._free_s if self._pace else self._clock.now_s()
        due_s = start_s
        if self._pace is not None:
            due_s = self._media.carry(self._pace.hops.get(edge.name, ()), size, start_s)
        header = Header(
            edge=self._program.edge_index[edge.name],
            item=job.item,
            route=job.route,
            session=job.session,
            epoch=self._program.epoch,
            flags=Flag.EMPTY if array is None else NOTHING,
            dtype=edge.spec.dtype,
            shape=() if array is None else array.shape,
            payload_bytes=size,
            time_s=due_s,
        )
        self._endpoint.send(header, array)
        if self._throttle is not None:
            self._throttle.rest()
        end_s = due_s if self._pace else self._clock.now_s()
        self._span(Span("transfer", self._unit, edge.name, job.item, start_s, end_s, size))

    def _note(self, fact: Fact) -> None:
        if self._record:
            self.facts.append(fact)

    def _span(self, span: Span) -> None:
        if not self._record:
            return
        if len(self.spans) < MAX_SPANS:
            self.spans.append(span)
        else:
            self.spans_dropped += 1


def _direct_edges(program: Program, unit: str) -> dict[tuple[int, str], int]:
    """Values of one shape whose only reader is one send: (route, value) → edge index."""
    found: dict[tuple[int, str], int] = {}
    for index, route in enumerate(program.routes):
        readers: dict[str, list[int]] = {}
        for task in route.tasks:
            for step in task.steps if task.unit == unit else ():
                if step.kind == "send":
                    edge = program.edge[step.name]
                    readers.setdefault(edge.tensor, []).append(program.edge_index[edge.name])
                elif step.kind == "run":
                    for name in program.segment[step.name].inputs:
                        readers.setdefault(name, []).extend((-1, -1))
        found |= {(index, name): edges[0] for name, edges in readers.items() if len(edges) == 1}
    return {key: index for key, index in found.items() if _fixed(program.edges[index])}


def _fixed(edge: Edge) -> bool:
    return not edge.inside and all(isinstance(size, int) for size in edge.spec.shape)


def _hold_s(program: Program, unit: str, pace: Pace | None) -> float:
    """How long an emulated unit waits before it chooses; one with a single way in always has the oldest item."""
    ways_in = sum(edge.target == unit and not edge.inside for edge in program.edges)
    if pace is None or ways_in < 2:
        return 0.0
    seconds = [pace.segments_s[segment.name] for segment in program.segments if segment.unit == unit]
    return min(HOLD_S, HOLD_SHARE * min(seconds, default=0.0))
