"""One unit at work: take messages in, pick the ready step, do it, pass results on.

With a Pace the unit emulates a board: it keeps a time of its own, `_free_s`, at which the board would be free
again. A message counts only once that time has passed its due time, a segment ends at its start plus the board's
seconds, and the worker sleeps until then. Real time only has to keep up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.engines import Session
from shoal.errors import WireError
from shoal.program import (
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
from shoal.worker.clock import Clock
from shoal.worker.inbox import Inbox
from shoal.worker.values import StateStore, Values, owner_of

MAX_SPANS = 100_000


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
    ) -> None:
        self._program, self._unit, self._sessions = program, unit, sessions
        self._endpoint, self._clock, self._pace = endpoint, clock, pace
        self._ready = ReadySet(program, unit)
        self._values = Values(program, endpoint)
        self._states = StateStore(program)
        self._inbox = Inbox()
        self._media = Media()
        self._direct = _direct_edges(program, unit)
        self._free_s = 0.0 if pace else math.inf  # unpaced: everything that came counts
        self.spans: list[Span] = []
        self.spans_dropped = 0
        self.facts: list[Fact] = []
        self.busy_s = 0.0

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
            self._do(job)

    def _wait(self) -> Delivery | Left | None:
        due_s = self._inbox.next_due_s
        if due_s is None:
            return self._take_in(None)
        special = self._take_in(max(0.0, due_s - self._clock.now_s()))
        earliest_s = self._inbox.next_due_s
        if earliest_s is not None and earliest_s <= self._clock.now_s():
            self._free_s = max(self._free_s, earliest_s)
        return special

    def _take_in(self, timeout_s: float | None) -> Delivery | Left | None:
        while True:
            came = self._endpoint.receive(timeout_s)
            if came is None:
                break
            if isinstance(came, Left) or came.header.control:
                return came
            self._inbox.put(came, came.header.time_s if self._pace else 0.0)
            timeout_s = 0.0
        while (delivery := self._inbox.take(self._free_s)) is not None:
            self._arrive(delivery)
        return None

    def _arrive(self, delivery: Delivery) -> None:
        header = delivery.header
        edge = self._program.edges[header.edge]
        if edge.target != self._unit:
            raise WireError(f"sent on edge '{edge.name}', which does not end here", where=delivery.peer)
        register = self._ready.arrive(header.route, header.item, header.session, edge, empty=header.empty)
        if delivery.array is not None:
            self._values.keep(register or ValueKey(header.item, edge.delivers), delivery.array, delivery)

    def _do(self, job: Job) -> None:
        if job.step.kind == "run":
            given = self._run(job, self._program.segment[job.step.name])
        else:
            self._send(job)
            given = {}
        self._values.free(self._ready.done(job, given))

    def _run(self, job: Job, segment: Segment) -> dict[str, bool]:
        names = outputs_of(self._program, segment)
        if job.empty:
            return dict.fromkeys(names, True)
        start_s = self._free_s if self._pace else self._clock.now_s()
        outputs = self._compute(job, segment)
        end_s = self._end(segment, start_s)
        self.busy_s += end_s - start_s
        self._span(Span("run", self._unit, segment.name, job.item, start_s, end_s))
        stop = segment.gate is not None and not bool(np.all(outputs[segment.gate]))
        if segment.gate is not None:
            self.facts.append(Fact(job.item, segment.name, "gate", float(not stop)))
        given = {name: stop and name != segment.gate for name in names}
        for name, empty in given.items():
            if not empty:
                self._values.keep(ValueKey(job.item, name), outputs[name])
        return given

    def _compute(self, job: Job, segment: Segment) -> Mapping[str, NDArray[Any]]:
        inputs = {name: self._values.get(key) for name, key in job.reads}
        owners = {name: owner_of(self._program.state[name], job.item, job.session) for name in segment.states}
        for name, owner in owners.items():
            inputs[self._program.state[name].reads] = self._states.get(name, owner)
        outputs = self._sessions[segment.name].run(inputs, self._buffers(job, segment))
        for name, owner in owners.items():
            self._states.update(name, owner, outputs[self._program.state[name].writes])
            if self._program.state[name].scope == "item":
                self._states.drop(name, owner)
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
        if self._pace is None:
            return self._clock.now_s()
        self._free_s = start_s + self._pace.segments_s[segment.name]
        self._clock.sleep_until(self._free_s)
        return self._free_s

    def _send(self, job: Job) -> None:
        edge = self._program.edge[job.step.name]
        array = None if job.empty else self._values.get(job.reads[0][1])
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
        end_s = due_s if self._pace else self._clock.now_s()
        self._span(Span("transfer", self._unit, edge.name, job.item, start_s, end_s, size))

    def _span(self, span: Span) -> None:
        if len(self.spans) < MAX_SPANS:
            self.spans.append(span)
        else:
            self.spans_dropped += 1


def _direct_edges(program: Program, unit: str) -> dict[tuple[int, str], int]:
    """Values whose only reader is one send: (route, value) → edge index."""
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
    return found
