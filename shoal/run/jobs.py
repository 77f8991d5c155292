"""A stream of jobs in real time: one thread a processor that really works, the same dispatchers as in simulated time.

A processor's work is numpy's, which lets other threads run meanwhile. On fewer cores than processors, tasks that
compute (`Products`) wait for each other; tasks that sleep (`slept`) do not.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shoal.errors import WorkError
from shoal.program.floor import Floor, refuse_waiting
from shoal.program.jobs import Assign, Dispatcher, JobEvent, JobsRun, JobStream, TaskSpan
from shoal.program.tasks import Processors
from shoal.worker import Clock

Work = Callable[[float], None]  # be at work for about so many seconds
JOIN_S = 2.0


def slept(seconds: float) -> None:
    """Work that takes no processor: a stand-in for one that is elsewhere."""
    time.sleep(max(0.0, seconds))


@dataclass(frozen=True)
class Products:
    """Matrix products, as many as take that long on this machine when nobody else works."""

    size: int  # rows and columns
    product_s: float  # seconds of one

    @classmethod
    def timed(cls, size: int = 96, rounds: int = 200) -> Products:
        """Products of this size, timed here."""
        made = cls(size, 0.0)
        made.multiply(rounds)
        begin_s = time.perf_counter()
        made.multiply(rounds)
        return cls(size, (time.perf_counter() - begin_s) / rounds)

    def __call__(self, seconds: float) -> None:
        """Multiply for about `seconds`, at least once."""
        self.multiply(max(1, round(seconds / self.product_s)))

    def multiply(self, count: int) -> float:
        """Multiply `count` times; the result depends on every product."""
        matrix = np.full((self.size, self.size), 1.0 / self.size, np.float32)
        found = matrix
        for _ in range(count):
            found = matrix @ found
        return float(found.sum())


def run_jobs(
    stream: JobStream,
    processors: Processors,
    dispatcher: Dispatcher,
    work: Work = slept,
    *,
    patience_s: float = 60.0,
) -> JobsRun:
    """Run `stream` on one thread for each of `processors`, in real time.

    Args:
        stream: its times of arrival and task times are real seconds.
        processors: transfers between them take the time their links would.
        dispatcher: decides, in this thread.
        work: what a task does for as long as it should take.
        patience_s: how long nothing may happen while work is under way.

    Raises:
        PlanError: a job's times are not those of the processors.
        WorkError: the dispatcher hands out what cannot run or leaves work undone, or a processor fails.
    """
    run = _Run(stream, processors, dispatcher, work, patience_s)
    try:
        return run.run()
    finally:
        run.close()


@dataclass(frozen=True)
class _Order:
    assign: Assign
    there_s: float  # its data
    seconds: float


class _Run:
    def __init__(
        self, stream: JobStream, processors: Processors, dispatcher: Dispatcher, work: Work, patience_s: float
    ) -> None:
        self._stream, self._dispatcher, self._work, self._patience_s = stream, dispatcher, work, patience_s
        self._floor = Floor(stream, processors)
        self._clock = Clock()
        self._ended: queue.Queue[TaskSpan | str] = queue.Queue()
        self._orders: list[queue.Queue[_Order | None]] = [queue.Queue() for _ in processors.names]
        self._under_way = 0
        self._state = dispatcher.begin(processors)
        self._threads = [
            threading.Thread(target=self._serve, args=(p,), name=name, daemon=True)
            for p, name in enumerate(processors.names)
        ]

    def run(self) -> JobsRun:
        for thread in self._threads:
            thread.start()
        coming = [job for job, time_s in enumerate(self._stream.times_s) if time_s <= self._stream.until_s][::-1]
        while (coming or self._under_way) and self._clock.now_s() <= self._stream.until_s:
            arrives_s = self._stream.times_s[coming[-1]] if coming else self._stream.until_s
            span = self._next_end(arrives_s, awaiting=bool(coming))
            if span is not None:
                self._under_way -= 1
                self._decide(self._floor.end(span))
            elif coming and self._clock.now_s() >= arrives_s:
                self._decide(self._floor.arrive(coming.pop()))
        if self._clock.now_s() <= self._stream.until_s:
            refuse_waiting(self._floor)
        return self._floor.done("measured")

    def close(self) -> None:
        """Let the threads end."""
        for orders in self._orders:
            orders.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(JOIN_S)

    def _next_end(self, until_s: float, *, awaiting: bool) -> TaskSpan | None:
        """The next task that ends before `until_s`, or None.

        Raises:
            WorkError: a processor failed, or nothing happened for too long.
        """
        left_s = max(0.0, until_s - self._clock.now_s())
        try:
            found = self._ended.get(timeout=min(left_s, self._patience_s))
        except queue.Empty:
            if left_s > self._patience_s and not awaiting:
                raise WorkError(f"no task ended for {self._patience_s:g} s") from None
            return None
        if isinstance(found, str):
            raise WorkError(found)
        return found

    def _decide(self, event: JobEvent) -> None:
        now_s = self._clock.now_s()
        self._state, assigned = self._dispatcher.step(self._state, event, now_s)
        for each in assigned:
            there_s = self._floor.assign(each, now_s)
            seconds = self._stream.seconds(each.job, each.task, each.processor)
            self._orders[each.processor].put(_Order(each, there_s, seconds))
            self._under_way += 1

    def _serve(self, processor: int) -> None:
        """One processor: what it was given, in that order."""
        why = "its thread ended by a defect; the traceback is on stderr"
        try:
            while (order := self._orders[processor].get()) is not None:
                self._clock.sleep_until(order.there_s)
                start_s = self._clock.now_s()
                self._work(order.seconds)
                assign = order.assign
                self._ended.put(TaskSpan(assign.job, assign.task, processor, start_s, self._clock.now_s()))
            why = ""
        finally:  # whatever ends the thread, whoever waits for it must know
            if why:
                self._ended.put(f"{threading.current_thread().name}: {why}")
