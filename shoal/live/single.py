"""A plan on this machine as a service, without failover: what waits is run in batches of one window.

A worker that dies ends the service; what it had taken fails with the reason.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from shoal.errors import InputError, LimitError, ShoalError
from shoal.live.contract import Arrays, Busy, Unavailable
from shoal.live.signature import signature_of
from shoal.live.values import DeviceState, Happening, Kind, ServiceState, Signature, UnitState
from shoal.plan import Plan
from shoal.run import Service, Settings, opened
from shoal.run.inputs import check_inputs

LOOK_S = 0.1  # how often an idle service looks whether it shall end
RECENT_S = 10.0
LATENCIES = 1000  # the latest of which p50 and p99 are taken
HAPPENINGS = 1000


@dataclass(frozen=True, eq=False)
class _Item:
    inputs: Arrays
    future: Future[Arrays]
    taken_s: float
    deadline_s: float | None  # on the monotonic clock


@dataclass
class _Counts:
    answered: int = 0
    refused: int = 0
    failed: int = 0
    held: int = 0  # taken, and neither answered nor given up
    in_flight: int = 0
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    ends_s: deque[float] = field(default_factory=deque)  # of the last RECENT_S


class Single:
    """A Backend; `served` makes it. One thread drives the workers."""

    def __init__(self, plan: Plan, call: Service, queue_limit: int) -> None:
        self._plan, self._call = plan, call
        self._program = call.program
        self._signature = signature_of(call.program)
        self._waiting: queue.Queue[_Item] = queue.Queue(queue_limit)
        self._lock = threading.Condition()  # a reentrant one
        self._counts = _Counts()
        self._began_s = time.time()
        self._draining, self._ending, self._lost = False, False, ""
        self._happenings: deque[Happening] = deque(maxlen=HAPPENINGS)
        self._number = 0
        self._listeners: list[Callable[[Happening], None]] = []
        self._thread = threading.Thread(target=self._work, name="shoal-service", daemon=True)
        self._tell("began", plan.model.name, f"{plan.label} is ready")
        self._thread.start()

    @property
    def signature(self) -> Signature:
        """What a request carries and gets."""
        return self._signature

    def submit(self, inputs: Arrays, deadline_s: float | None = None) -> Future[Arrays]:
        """Take one item; see Backend."""
        check_inputs(self._program, inputs)
        now_s = time.monotonic()
        item = _Item(inputs, Future(), now_s, None if deadline_s is None else now_s + deadline_s)
        with self._lock:
            if self._lost or self._draining:
                self._counts.refused += 1
                raise Unavailable(self._lost or "the service is ending")
            try:
                self._waiting.put_nowait(item)
            except queue.Full:
                self._counts.refused += 1
                raise Busy(self._room_in_s(), self._waiting.qsize()) from None
            self._counts.held += 1
        item.future.add_done_callback(lambda _: self._let_go())
        return item.future

    def state(self) -> ServiceState:
        """Everything, now."""
        now_s = time.time()
        with self._lock:
            counts = self._counts
            rate = len(_recent(counts.ends_s)) / min(RECENT_S, max(1.0, now_s - self._began_s))
            spent_j = self._plan.prediction.energy_j
            return ServiceState(
                name=self._plan.model.name, time_s=now_s, began_s=self._began_s, epoch=self._program.epoch,
                ready=not (self._lost or self._draining), draining=self._draining, window=self._program.window,
                queue_limit=self._waiting.maxsize, queued=self._waiting.qsize(), in_flight=counts.in_flight,
                answered=counts.answered, refused=counts.refused, failed=counts.failed,
                throughput_items_per_s=rate, latency_s=_quantiles(counts.latencies_s),
                energy_j_per_item=sum(spent_j.values()) if spent_j else None,
                devices=self._devices(counts.answered),
                pipeline=self._program.units,
            )  # fmt: skip

    def happenings(self, after: int = -1) -> tuple[Happening, ...]:
        """What happened since the one numbered `after`."""
        with self._lock:
            return tuple(each for each in self._happenings if each.number > after)

    def listen(self, told: Callable[[Happening], None]) -> Callable[[], None]:
        """Have `told` called with what happens from now on; returns what ends that."""
        with self._lock:
            self._listeners.append(told)

        def end() -> None:
            with self._lock:
                if told in self._listeners:
                    self._listeners.remove(told)

        return end

    def drain(self, timeout_s: float) -> bool:
        """Take no more, end what was taken; whether all of it ended in time."""
        with self._lock:
            first, self._draining = not self._draining, True
        if first:
            self._tell("drained", self._plan.model.name, "no more is taken")
        with self._lock:
            return self._lock.wait_for(lambda: not self._counts.held, timeout_s)

    def close(self) -> None:
        """End the thread; what still waits fails."""
        with self._lock:
            self._ending = self._draining = True
        self._thread.join()
        self._fail_waiting("the service has ended")

    def _work(self) -> None:
        while not self._ending and not self._lost:
            batch = self._batch()
            if batch:
                self._answer(batch)

    def _batch(self) -> list[_Item]:
        """What waits, at most a window of it, less what was given up or came too late; waits a little for the first."""
        found: list[_Item] = []
        try:
            found.append(self._waiting.get(timeout=LOOK_S))
        except queue.Empty:
            return []
        with self._lock:
            while len(found) < self._program.window and not self._waiting.empty():
                found.append(self._waiting.get_nowait())
            self._counts.in_flight = len(found)
        kept = [item for item in found if item.future.set_running_or_notify_cancel() and not self._late(item)]
        with self._lock:
            self._counts.in_flight = len(kept)
        return kept

    def _late(self, item: _Item) -> bool:
        """Whether its deadline has passed; it is told."""
        late = item.deadline_s is not None and time.monotonic() > item.deadline_s
        if late:
            with self._lock:
                self._counts.failed += 1
            item.future.set_exception(LimitError("the deadline passed before the item was done"))
        return late

    def _answer(self, batch: list[_Item]) -> None:
        try:
            answers = self._call.many([item.inputs for item in batch])
        except ShoalError as fault:
            self._lose(fault, batch)
            return
        in_time = [pair for pair in zip(batch, answers, strict=True) if not self._late(pair[0])]
        end_s = time.monotonic()
        with self._lock:
            counts = self._counts
            counts.in_flight = 0
            counts.answered += len(in_time)
            counts.latencies_s.extend(end_s - item.taken_s for item, _ in in_time)
            counts.ends_s.extend(end_s for _ in in_time)
            _recent(counts.ends_s)
        for item, outputs in in_time:
            item.future.set_result(outputs)

    def _lose(self, fault: ShoalError, batch: list[_Item]) -> None:
        """The workers are of no more use."""
        with self._lock:
            self._lost = fault.message
        self._tell("lost", self._plan.model.name, fault.message)
        for item in batch:
            item.future.set_exception(Unavailable(fault.message))
        with self._lock:
            self._counts.in_flight = 0
            self._counts.failed += len(batch)
        self._fail_waiting(fault.message)

    def _fail_waiting(self, why: str) -> None:
        while not self._waiting.empty():
            item = self._waiting.get_nowait()
            if item.future.set_running_or_notify_cancel():
                with self._lock:
                    self._counts.failed += 1
                item.future.set_exception(Unavailable(why))

    def _let_go(self) -> None:
        with self._lock:
            self._counts.held -= 1
            self._lock.notify_all()

    def _room_in_s(self) -> float:
        """When there is probably room again: what is in flight takes a window's time."""
        ends = _recent(self._counts.ends_s)
        rate = len(ends) / RECENT_S
        return min(30.0, self._program.window / rate) if rate else 1.0

    def _devices(self, answered: int) -> tuple[DeviceState, ...]:
        return tuple(
            DeviceState(
                name=device.name, board=device.board, present=not self._lost, since_s=self._began_s, why=self._lost,
                memory_limit_bytes=device.memory_limit_bytes,
                energy_j=answered * self._plan.prediction.energy_j.get(device.name, 0.0),
                units=tuple(self._unit(unit) for unit in self._program.units if unit.partition("/")[0] == device.name),
            )
            for device in self._plan.fleet.devices
        )  # fmt: skip

    def _unit(self, unit: str) -> UnitState:
        segments = [segment for segment in self._program.segments if segment.unit == unit]
        return UnitState(unit, len(segments), sum(segment.weights_bytes for segment in segments), None)

    def _tell(self, kind: Kind, subject: str, text: str) -> None:
        with self._lock:
            happening = Happening(self._number, time.time(), kind, subject, text)
            self._number += 1
            self._happenings.append(happening)
            listeners = tuple(self._listeners)
        for told in listeners:
            told(happening)


@contextmanager
def served(plan: Plan, settings: Settings, queue_limit: int) -> Iterator[Single]:
    """Start the workers of `plan` on this machine and serve it until the block ends.

    Raises:
        InputError: the network carries tensors from item to item: whose items follow one another is not known here.
        PlanError: the model changed, or no longer fits the plan.
        WorkError: a worker could not start.
    """
    if plan.model.carried:
        raise InputError("a network that remembers cannot be served: requests do not say whose turn they are",
                         where=plan.model.name)  # fmt: skip
    with opened(plan, settings) as call:
        service = Single(plan, call, queue_limit)
        try:
            yield service
        finally:
            service.close()


def _quantiles(latencies_s: deque[float]) -> dict[str, float]:
    if not latencies_s:
        return {}
    p50, p99 = np.quantile(np.fromiter(latencies_s, float), (0.5, 0.99))
    return {"p50": float(p50), "p99": float(p99)}


def _recent(ends_s: deque[float]) -> deque[float]:
    """The ends of the latest RECENT_S; older ones are dropped."""
    while ends_s and ends_s[0] < time.monotonic() - RECENT_S:
        ends_s.popleft()
    return ends_s
