"""A plan kept up: requests queue here, and are answered by whoever is there.

One thread drives the workers, as the failover driver says; another looks at deadlines and at the devices' speeds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, LimitError, ShoalError, WorkError
from shoal.live.contract import Arrays, Busy, Unavailable
from shoal.live.counts import Counts
from shoal.live.drift import Drift
from shoal.live.ground import Ground
from shoal.live.journal import Journal
from shoal.live.planning import Plans
from shoal.live.signature import signature_of
from shoal.live.steering import Steering
from shoal.live.values import Happening, ServiceState, Signature
from shoal.live.view import View
from shoal.plan import Plan
from shoal.program import CLIENT, Arrived, Closing, Drifted, Gone, Here, Withdrawn, Workload
from shoal.program.drivers.failover import Failover
from shoal.run import Coordinator, Pulse, Requests, Upkeep
from shoal.run.inputs import check_inputs

FOREVER = Workload(1, "requests")
TICK_S = 0.05  # how exactly deadlines are kept of items that have begun
DRIFT_S = 5.0  # how often speeds are judged
SILENT_S, SILENT_SEGMENTS = 2.0, 4.0  # a worker that says nothing for so long, or so many of its longest segments
RETRY_S = 1.0  # when a client is told to come again while nothing is known of the rate
MOST_RETRY_S = 30.0
LEAVE_S = 3.0  # how long the end may take of a service that is given up


@dataclass(frozen=True, eq=False)
class _Request:
    inputs: Arrays
    future: Future[Arrays]
    taken_s: float  # on the monotonic clock, as the deadline
    deadline_s: float | None


class KeptService:
    """A Backend; `kept` makes it."""

    def __init__(self, plan: Plan, ground: Ground, driver: Failover, queue_limit: int) -> None:
        self._plan, self._ground, self._queue_limit = plan, ground, queue_limit
        self._journal, self._counts, self._drift = Journal(), Counts(), Drift()
        self._plans = Plans(plan, ground, self._drift, self._journal)
        self._steering = Steering(driver, self._journal, self._label, self._counts.send_again)
        self._plans.of_use = lambda: self._steering.state.known if self._steering.state else ()
        self._program = self._plans.made[0].program
        self._signature = signature_of(self._program)
        self._numbers, self._held = count(), dict[int, _Request]()
        self._lock = threading.Lock()  # of what is held, and of `_why`
        self._requests = Requests()
        self._view = View(plan, ground, self._plans, self._steering, self._counts, queue_limit)
        self._why = ""  # nothing is taken any more
        self._draining = False
        self._ended = threading.Event()
        self._there: Future[None] = Future()
        self._threads = [
            threading.Thread(target=self._drive, name="shoal-service", daemon=True),
            threading.Thread(target=self._tend, name="shoal-deadlines", daemon=True),
        ]

    def start(self) -> None:
        """Start the workers; returns once they are ready.

        Raises:
            WorkError: one of them does not start.
        """
        for thread in self._threads:
            thread.start()
        self._there.result()
        self._journal.tell("began", self._plan.model.name, f"{self._plan.label} is ready")
        self._ground.watch(self._requests.put)
        there, used = self._ground.present(), self._program.devices
        for device in sorted(there - used):
            self._requests.put(Here(device))
        for device in sorted(used - there):
            self._requests.put(Gone(device, "it left while the service began"))

    @property
    def signature(self) -> Signature:
        """What a request carries and gets."""
        return self._signature

    def submit(self, inputs: Arrays, deadline_s: float | None = None) -> Future[Arrays]:
        """Take one item; see Backend."""
        check_inputs(self._program, inputs)
        if self._why:
            self._counts.refuse()
            raise Unavailable(self._why)
        if not self._counts.take(self._queue_limit + self._program.window):
            raise Busy(self._room_in_s(), self._counts.held)
        now_s = time.monotonic()
        request = _Request(inputs, Future(), now_s, None if deadline_s is None else now_s + deadline_s)
        with self._lock:
            item = next(self._numbers)
            self._held[item] = request
        request.future.add_done_callback(lambda future: self._withdraw(item, future))
        self._requests.put(Arrived(item, patience_s=float("inf") if deadline_s is None else deadline_s))
        return request.future

    def state(self) -> ServiceState:
        """Everything, now."""
        return self._view.state(self._why, draining=self._draining)

    def happenings(self, after: int = -1) -> tuple[Happening, ...]:
        """What happened since the one numbered `after`."""
        return self._journal.since(after)

    def listen(self, told: Callable[[Happening], None]) -> Callable[[], None]:
        """Have `told` called with what happens from now on; returns what ends that."""
        return self._journal.listen(told)

    def drain(self, timeout_s: float) -> bool:
        """Take no more, end what was taken; whether all of it ended in time."""
        if not self._draining:
            self._draining = True
            self._why = self._why or "the service is ending"
            self._journal.tell("drained", self._plan.model.name, "no more is taken")
        return self._counts.wait_idle(timeout_s)

    def close(self, within_s: float | None = None) -> None:
        """End the workers; what is still held fails. Does not wait longer than `within_s` for one that is stuck."""
        self._why = self._why or "the service has ended"
        for item in list(self._held):
            self._fail(item, Unavailable("the service has ended"))
        self._requests.put(Closing())
        for thread in self._threads:
            thread.join(within_s)

    # --- the thread that drives

    def _drive(self) -> None:
        failure = "ended by a defect; its traceback is on stderr"
        try:
            coordinator = Coordinator.opening(0, {0: self._plans.standby(0)}, patience_s=float("inf"))
            self._there.set_result(None)
            try:
                outcome = coordinator.run(
                    self._steering, FOREVER, self._inputs, self._answer, upkeep=self._upkeep()
                )
                failure = outcome.failure
            finally:
                coordinator.close()
        except ShoalError as fault:
            failure = fault.message
            if not self._there.done():
                self._there.set_exception(fault)
        finally:
            self._finish(failure)

    def _upkeep(self) -> Upkeep:
        pulse = Pulse(patience_s=self._silent_s(), told=self._learn)
        return Upkeep(self._requests, self._plans.seek, self._refuse, pulse, remember=0)

    def _silent_s(self) -> float:
        """How long a worker may say nothing: it answers between segments only."""
        longest_s = max(self._plans.made[0].segments_s.values(), default=0.0)
        whole_s = sum(self._plans.made[0].segments_s.values())  # of a plan for fewer devices
        return max(SILENT_S, SILENT_SEGMENTS * max(longest_s, whole_s))

    def _inputs(self, item: int) -> Mapping[str, NDArray[Any]]:
        request = self._held.get(item)
        if request is not None:
            return request.inputs
        return self._zeros  # it was given up since the driver decided to begin it

    @property
    def _zeros(self) -> Mapping[str, NDArray[Any]]:
        edges = [edge for edge in self._program.edges if edge.source == CLIENT]
        return {edge.tensor: np.zeros(edge.spec.bound(self._program.sizes), edge.spec.dtype) for edge in edges}

    def _answer(self, item: int, outputs: Mapping[str, NDArray[Any]]) -> None:
        request = self._pop(item)
        if request is None:
            return
        if request.future.set_running_or_notify_cancel():
            self._counts.end(request.taken_s, answered=True)
            request.future.set_result(outputs)
        else:
            self._counts.end(request.taken_s, answered=False)

    def _refuse(self, item: int, why: str) -> None:
        late = self._late(self._held.get(item))
        self._fail(item, LimitError("the deadline passed before the item was done") if late else Unavailable(why))

    def _learn(self, epoch: int, unit: str, vitals: Mapping[str, Any]) -> None:
        self._drift.learn(epoch, unit, vitals, self._plans.made[epoch].segments_s)
        if vitals["rates"]:
            self._drift.learn_rates(unit, vitals["rates"], self._ground.fleet())
        self._view.learn(epoch, unit, float(vitals["busy_s"]))

    def _finish(self, failure: str) -> None:
        if failure:
            self._why = failure
            self._journal.tell("lost", self._plan.model.name, failure)
        for item in list(self._held):
            self._fail(item, Unavailable(failure or "the service has ended"))
        if not self._there.done():  # whoever starts the service waits for it
            self._there.set_exception(WorkError(failure))
        self._ended.set()

    # --- the thread that looks after deadlines and speeds

    def _tend(self) -> None:
        judged_s = time.monotonic()
        while not self._ended.wait(TICK_S):
            for item, request in list(self._held.items()):
                if self._late(request):
                    self._fail(item, LimitError("the deadline passed before the item was done"))
            if time.monotonic() - judged_s > DRIFT_S:
                judged_s = time.monotonic()
                if self._drift.news():
                    self._requests.put(Drifted(self._plans.periods_s()))

    def _late(self, request: _Request | None) -> bool:
        return request is not None and request.deadline_s is not None and time.monotonic() >= request.deadline_s

    # --- from any thread

    def _pop(self, item: int) -> _Request | None:
        with self._lock:
            return self._held.pop(item, None)

    def _fail(self, item: int, why: Exception) -> None:
        request = self._pop(item)
        if request is not None:
            self._counts.end(request.taken_s, answered=False)
            self._requests.put(Withdrawn(item))
            if request.future.set_running_or_notify_cancel():
                request.future.set_exception(why)

    def _withdraw(self, item: int, future: Future[Arrays]) -> None:
        """A request was given up by whoever asked."""
        if future.cancelled() and (request := self._pop(item)) is not None:
            self._counts.end(request.taken_s, answered=False)
            self._requests.put(Withdrawn(item))

    def _room_in_s(self) -> float:
        rate = self._counts.throughput_items_per_s
        return min(MOST_RETRY_S, self._program.window / rate) if rate else RETRY_S

    def _label(self, epoch: int) -> str:
        made = self._plans.made.get(epoch)
        return made.plan.label if made else f"epoch {epoch}"


@contextmanager
def kept(
    plan: Plan, ground: Ground, driver: Failover | None = None, queue_limit: int = 64
) -> Iterator[KeptService]:
    """Start the workers of `plan` on `ground` and keep it up until the block ends.

    Raises:
        InputError: the network carries tensors from item to item: whose items follow one another is not known here.
        PlanError: the model changed, or no longer fits the plan.
        WorkError: a worker could not start.
    """
    if plan.model.carried:
        raise InputError("a network that remembers cannot be served: requests do not say whose turn they are",
                         where=plan.model.name)  # fmt: skip
    service = KeptService(plan, ground, driver or Failover(period_s=plan.prediction.period_s), queue_limit)
    try:
        service.start()
        yield service
    except BaseException:
        service.close(LEAVE_S)
        raise
    service.close()
