"""Sequences over an executor: steps sent as the batch says, tokens chosen and handed out as answers come.

One thread owns the executor. When a device is lost, the decoder is placed anew on those that are left and every sequence
goes on from its tokens; with nobody left the streams end, what they gave stays.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shoal.errors import InputError, ShoalError, WorkerDied, WorkError
from shoal.llm.service import batch as batching
from shoal.llm.service.batch import Batch, Sequence, Step
from shoal.llm.service.executor import Executor, Executors, Outputs
from shoal.llm.service.placed import Placed
from shoal.llm.service.stream import Ended, Listener, Request, Stream
from shoal.run.crew import LOOK_S

LOG = logging.getLogger(__name__)
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
    """Text from an executor; `generating` and `going_on` make one. Requests may come from many threads."""

    def __init__(self, executors: Executors, context: int) -> None:
        self._executors, self._context = executors, context
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
        """Until it closes, on one executor after another.

        Raises:
            ShoalError: there is none, or workers end time and again before they answer a single step.
        """
        batch, tries = None, 0
        while not self._closing:
            began = self.counts.steps
            try:
                with self._executors(frozenset(self._out())) as executor:
                    room = executor.room
                    fresh = batching.empty(room.rows, room.groups, room.chunk)
                    batch = batching.moved(batch, fresh) if batch else fresh
                    self.counts.placements.append(executor.label)
                    self.ready.set()
                    conduct = _Conduct(executor, self, batch)
                    try:
                        conduct.run()
                    finally:
                        batch = conduct.batch
            except WorkerDied as fault:
                tries = tries + 1 if self.counts.steps == began else 0
                self._mourn(fault)
                if tries == TRIES:
                    raise

    def _out(self) -> Iterator[str]:
        now_s = time.monotonic()
        return (device for device, lost_s in self._lost.items() if now_s - lost_s < REST_S)

    def _mourn(self, fault: WorkerDied) -> None:
        LOG.warning("%s", fault.message)
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
    """The time with one executor."""

    def __init__(self, executor: Executor, owner: Generator, batch: Batch) -> None:
        self.executor, self.owner, self.batch = executor, owner, batch

    def run(self) -> None:
        """Until the generator closes.

        Raises:
            WorkerDied: a worker is gone; `where` names it.
        """
        while self._heard():
            self.batch, steps = batching.next_steps(self.batch)
            for step in steps:
                self.executor.send(step)
            if self.batch.flying:
                self._take(LOOK_S)

    def _heard(self) -> bool:
        """Take in what was asked for, waiting for it where there is nothing else to do; False if it is time to end."""
        wait = not self.batch.flying and not any(self.batch.sequences)
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

    def _take(self, timeout_s: float) -> None:
        """Hand out what was computed meanwhile."""
        for step, outputs in self.executor.take(timeout_s):
            self._answer(step, outputs)

    def _answer(self, step: Step, outputs: Outputs) -> None:
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


@contextmanager
def generating(places: Places, context: int, over: str = "shm") -> Iterator[Generator]:
    """A generator over the workers of plans; they are ready, and gone afterwards.

    Args:
        places: gives a placement without the devices that are lost.
        context: most tokens of a text, its prompt included.
        over: the transport between the workers.

    Raises:
        WorkError: the workers could not start.
    """
    from shoal.llm.service.over_crew import over_crew

    with going_on(lambda lost: over_crew(places(lost), over), context) as made:
        yield made


@contextmanager
def going_on(executors: Executors, context: int) -> Iterator[Generator]:
    """A generator over any executors.

    Args:
        executors: gives one that is ready, without the devices that are lost.
        context: most tokens of a text, its prompt included.

    Raises:
        ShoalError: there is none.
    """
    made = Generator(executors, context)
    try:
        made.ready.wait()
        made.check_up()
        yield made
    finally:
        made.close()
