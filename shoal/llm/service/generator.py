"""Sequences over the workers of a plan: steps sent as the batch says, tokens chosen and handed out as answers come.

One thread owns the connection to the workers. When a device is lost, the decoder is placed anew on those that are left and
every sequence goes on from its tokens; with nobody left the streams end, what they gave stays.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, ShoalError, WorkerDied, WorkError
from shoal.llm.service import batch as batching
from shoal.llm.service.batch import Batch, Sequence, Step
from shoal.llm.service.placed import Placed
from shoal.llm.service.stream import Ended, Listener, Request, Stream
from shoal.program import Header, Program
from shoal.run import Settings
from shoal.run.crew import LOOK_S, Crew
from shoal.run.execute import crewed
from shoal.wire import Delivery
from shoal.worker import Clock, answer_of, heard

Arrays = Mapping[str, NDArray[Any]]
Places = Callable[[frozenset[str]], Placed]  # devices that are lost → a placement without them
REST_S = 5.0  # a device that was lost is left out for so long
TRIES = 4  # placements in a row that end before a single step is answered


@dataclass
class Counts:
    """What was done so far."""

    steps: int = 0
    tokens: int = 0  # given out
    fed: int = 0  # of prompts, those again that went in after a loss included
    losses: int = 0
    placements: list[str] = field(default_factory=list)  # plans, in the order they served


class Generator:
    """Text from the workers of a plan; `generating` makes one. Requests may come from many threads."""

    def __init__(self, places: Places, context: int, over: str = "shm") -> None:
        self._places, self._context, self._over = places, context, over
        self._asked: queue.SimpleQueue[Stream | int | None] = queue.SimpleQueue()
        self._streams: dict[int, Stream] = {}
        self._names = itertools.count()
        self._lost: dict[str, float] = {}  # device → when it was lost
        self._closing, self._door = False, threading.Lock()  # the door: no text is taken once all were ended
        self.counts = Counts()
        self.ready, self.fault = threading.Event(), ""
        self._thread = threading.Thread(target=self._live, name="generator", daemon=True)
        self._thread.start()

    def ask(self, request: Request, listener: Listener | None = None) -> Stream:
        """Begin a text; see `Stream` for `listener`.

        Raises:
            InputError: nothing to go on from, or more than the context holds.
            WorkError: the generator is closed.
        """
        with self._door:
            self.check(request)
            stream = Stream(next(self._names), request, self._asked.put, listener)
            self._asked.put(stream)
        return stream

    def check(self, request: Request) -> None:
        """Refuse a request that cannot be begun; raises as `ask` does."""
        if not request.tokens:
            raise InputError("an empty prompt", needed="at least one token")
        if request.most < 1:
            raise InputError("no new token is wanted", needed="at least 1", had=str(request.most))
        if len(request.tokens) >= self._context:
            raise InputError("the prompt does not fit", needed=f"fewer than {self._context} tokens",
                             had=str(len(request.tokens)), hint="shorten it, or prepare the model with a longer context")  # fmt: skip
        self.check_up()

    def check_up(self) -> None:
        """Refuse to go on without workers.

        Raises:
            WorkError: the latest placement failed, and there will be no other.
        """
        if self._closing:
            raise WorkError(self.fault or "it is closing")

    def close(self) -> None:
        """End all texts and let the workers go."""
        self._closing = True
        self._asked.put(None)
        self._thread.join()

    def _live(self) -> None:
        ended = Ended("lost", "a defect of shoal; the log says more")
        try:
            self._serve()
            ended = Ended("cancelled", "the service ends")
        except ShoalError as fault:
            self.fault, ended = fault.message, Ended("lost", fault.message)
        finally:
            self._end_all(ended)

    def _serve(self) -> None:
        """Until it closes, on one placement after another.

        Raises:
            ShoalError: it cannot be placed, or workers end time and again before they answer a single step.
        """
        batch, tries = None, 0
        while not self._closing:
            began = self.counts.steps
            placed = self._places(frozenset(self._out()))
            fresh = batching.empty(placed.room.rows, placed.room.groups, placed.room.chunk)
            batch = batching.moved(batch, fresh) if batch else fresh
            try:
                with crewed(placed.plan, placed.program, placed.folder, Settings(over=self._over), None) as crew:
                    crew.begin(Clock().origin, 1.0, record=False)
                    self.counts.placements.append(placed.plan.label)
                    self.ready.set()
                    conduct = _Conduct(crew, self, batch)
                    try:
                        conduct.run()
                    finally:
                        batch = conduct.batch
                    crew.stop()
            except WorkerDied as fault:
                tries = tries + 1 if self.counts.steps == began else 0
                self._mourn(fault)
                if tries == TRIES:
                    raise

    def _out(self) -> Iterator[str]:
        now_s = time.monotonic()
        return (device for device, lost_s in self._lost.items() if now_s - lost_s < REST_S)

    def _mourn(self, fault: WorkerDied) -> None:
        self.counts.losses += 1
        self._lost[str(fault.where or "").partition("/")[0]] = time.monotonic()

    def _end_all(self, ended: Ended) -> None:
        """Every text ends with what it has, those too that were asked for and never begun."""
        with self._door:
            self._closing = True
            while not self._asked.empty():
                came = self._asked.get()
                if isinstance(came, Stream):
                    self._streams[came.name] = came
        for stream in self._streams.values():
            stream.put(ended)
        self._streams.clear()
        self.ready.set()


class _Conduct:
    """The time with one crew."""

    def __init__(self, crew: Crew, owner: Generator, batch: Batch) -> None:
        self.crew, self.owner, self.batch = crew, owner, batch
        self.inputs = [crew.program.edge[name] for name in crew.program.routes[0].inputs]
        self.items = itertools.count()
        self.flying: dict[int, tuple[Step, dict[str, NDArray[Any]]]] = {}

    def run(self) -> None:
        """Until the generator closes.

        Raises:
            WorkerDied: a worker is gone; `where` names it.
        """
        while self._heard():
            self.batch, steps = batching.next_steps(self.batch)
            for step in steps:
                self._send(step)
            if self.flying:
                self._take(LOOK_S)

    def _heard(self) -> bool:
        """Take in what was asked for, waiting for it where there is nothing else to do; False if it is time to end."""
        wait = not self.flying and not any(self.batch.sequences)
        while True:
            try:
                came = self.owner._asked.get(timeout=LOOK_S) if wait else self.owner._asked.get_nowait()
            except queue.Empty:
                if not wait:
                    return True
                self._take(0.0)
                continue
            if came is None:
                return False
            wait = False
            if isinstance(came, Stream):
                self.owner._streams[came.name] = came
                self.batch = batching.asked(self.batch, Sequence(came.name, came.request.tokens))
            else:
                self.batch = batching.withdrawn(self.batch, came)
                self._end(came, Ended("cancelled"))

    def _send(self, step: Step) -> None:
        arrays: Arrays = {
            "tokens": np.array(step.tokens, np.int64),
            "last": np.array(step.last, np.int32),
        }
        item, program = next(self.items), self.crew.program
        self.flying[item] = step, {}
        for edge in self.inputs:
            array = arrays[edge.tensor]
            self.crew.endpoint.send(_header(program, edge.name, item, step.first, array), array)

    def _take(self, timeout_s: float) -> None:
        """What comes from the workers next: part of an answer, or word of a loss.

        Raises:
            WorkerDied: a worker is gone, or said why it cannot go on.
        """
        came = self.crew.endpoint.receive(timeout_s)
        if isinstance(came, Delivery) and came.header.control:
            lost = self.crew.told(came.peer, answer_of(heard(self.crew.endpoint, came), came.peer))
        else:
            lost = self.crew.why(came)
        if lost is not None:
            raise WorkerDied(f"{lost[0]} is gone ({lost[1]})", where=lost[0])
        if isinstance(came, Delivery) and not came.header.control:
            self._collect(came)

    def _collect(self, came: Delivery) -> None:
        header = came.header
        step, outputs = self.flying[header.item]
        assert came.array is not None
        outputs[self.crew.program.edges[header.edge].delivers] = came.array.copy()
        self.crew.endpoint.release(came)
        if len(outputs) == len(self.crew.program.routes[0].outputs):
            del self.flying[header.item]
            self._answer(step, outputs)

    def _answer(self, step: Step, outputs: Arrays) -> None:
        self.owner.counts.steps += 1
        self.owner.counts.fed += sum(map(len, step.tokens)) if step.kind == "prefill" else 0
        places = {each.name: len(each.tokens) for each in self.batch.rows if each is not None}
        chosen: dict[int, int] = {}
        for row, name in enumerate(step.names):
            stream = self.owner._streams.get(name) if name is not None else None
            if stream is None or name is None:
                continue
            token = stream.request.sampling.chosen(outputs["scores"][row], outputs["candidates"][row], places[name])
            ended = self._given(stream, token, places[name] + 1)
            if ended is None:
                chosen[name] = token
            else:
                self._end(name, ended)
        self.batch = batching.answered(self.batch, step, chosen)

    def _given(self, stream: Stream, token: int, length: int) -> Ended | None:
        """Hand the token out; why the text ends with it, if it does."""
        if token in stream.request.ends:
            return Ended("stop")
        stream.put(token)
        self.owner.counts.tokens += 1
        full = stream.given >= stream.request.most or length >= self.owner._context
        return Ended("length") if full else None

    def _end(self, name: int, ended: Ended) -> None:
        stream = self.owner._streams.pop(name, None)
        if stream is not None:
            stream.put(ended)


def _header(program: Program, edge: str, item: int, row: int, array: NDArray[Any]) -> Header:
    """A message of a step: its session is the first row of the caches that it uses."""
    return Header(
        edge=program.edge_index[edge], item=item, route=0, session=row, epoch=program.epoch,
        dtype=program.edge[edge].spec.dtype, shape=array.shape, payload_bytes=array.nbytes,
    )  # fmt: skip


@contextmanager
def generating(places: Places, context: int, over: str = "shm") -> Iterator[Generator]:
    """A generator whose workers are ready; they are gone afterwards.

    Args:
        places: gives a placement without the devices that are lost.
        context: most tokens of a text, its prompt included.
        over: the transport between the workers.

    Raises:
        WorkError: the workers could not start.
    """
    made = Generator(places, context, over)
    try:
        made.ready.wait()
        made.check_up()
        yield made
    finally:
        made.close()
