"""Workers killed and frozen under a running pipeline: every item answered exactly once, and rightly."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from shoal.graph import load
from shoal.plan import Plan
from shoal.program import Arrived, Closing, Workload, switches
from shoal.program.drivers.failover import Failover
from shoal.run import Pulse, Requests, Samples, Settings, Upkeep, among, execute_epochs, opened_epochs
from tests.run import plans
from tests.run.test_opsets import inputs, model

ITEMS = 300
FIRST = 1000  # an item that is none of the test's


@pytest.fixture
def given(tmp_path: Path) -> tuple[list[Plan], Samples]:
    """A small model in two stages, and whole on either device."""
    path = model(17, "initializers", tmp_path / "model.onnx")
    graph = load(path)
    ops = len(graph.ops)
    owners = (plans.contiguous(graph, 2), [0] * ops, [1] * ops)
    return [plans.plan_of(graph, each) for each in owners], Samples(
        inputs(), tuple(plans.reference(path, each) for each in inputs())
    )


def workers(unit: str = "") -> list[psutil.Process]:
    """Our worker processes, the oldest first; of those whose bundle is for `unit`."""
    folder = unit.replace("/", "-")
    found = []
    for each in psutil.Process().children():
        try:
            parts = each.cmdline()
        except psutil.Error:  # it ended just now
            continue
        if "shoal.worker" in parts and (not unit or any(Path(part).name == folder for part in parts)):
            found.append(each)
    return found


def at_item(number: int, act: Callable[[], None]) -> Callable[[int], None]:
    """Act, once, when so many items are done."""
    acted: list[int] = []

    def progress(done: int) -> None:
        if done >= number and not acted:
            acted.append(done)
            act()

    return progress


@pytest.mark.parametrize("over", ["shm", "tcp"])
def test_a_killed_worker_costs_no_item(over: str, given: tuple[list[Plan], Samples]) -> None:
    made, samples = given

    def kill() -> None:
        os.kill(workers("d1/cpu")[0].pid, signal.SIGKILL)

    found = execute_epochs(
        made, Failover(rest_s=0.2), Workload(ITEMS, window=8), Settings(over=over), samples,
        progress=at_item(100, kill),
    )  # fmt: skip
    assert found.outcome.failure == ""
    assert Counter(answer.item for answer in found.outcome.observed.answers) == Counter(range(ITEMS))
    assert found.answers is not None
    for item, outputs in found.answers.items():
        plans.assert_equal(outputs, samples.expected[item % len(samples.expected)])
    assert found.run.outputs_match
    assert switches(found.outcome.observed.facts)


class Kept:
    """A service over given plans: requests from this thread, driven on another."""

    def __init__(self, made: list[Plan], samples: Samples, over: str, **options: Any) -> None:
        self.answers: dict[int, Any] = {}
        self.refused: dict[int, str] = {}
        self.requests, self.samples = Requests(), samples
        known = {0: (frozenset({"d0", "d1"}), 1.0), 1: (frozenset({"d0"}), 2.0), 2: (frozenset({"d1"}), 2.0)}
        self._upkeep = Upkeep(
            self.requests, among(known), self.refused.__setitem__, Pulse(0.2, options.pop("patience_s", 1.0)), 1000
        )
        self._driver = Failover(**options)
        self._made, self._over = made, over
        self._there = threading.Event()
        self.failure = "not ended"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Kept:
        self._thread.start()
        assert self._there.wait(60)
        self.ask(FIRST)
        self.wait(1)  # from here on the run has begun
        del self.answers[FIRST]
        return self

    def __exit__(self, *_: object) -> None:
        self.requests.put(Closing())
        self._thread.join(60)
        assert not self._thread.is_alive()

    def ask(self, item: int) -> None:
        self.requests.put(Arrived(item))

    def wait(self, items: int, seconds: float = 30.0) -> None:
        until = time.monotonic() + seconds
        while len(self.answers) + len(self.refused) < items:
            assert time.monotonic() < until, f"{len(self.answers)} answers of {items}"
            time.sleep(0.005)

    def _serve(self) -> None:
        with opened_epochs(self._made, Settings(over=self._over)) as coordinator:
            self._there.set()
            outcome = coordinator.run(
                self._driver, Workload(1 << 40, "requests"), self.samples.of, self._keep, upkeep=self._upkeep
            )
            self.failure = outcome.failure

    def _keep(self, item: int, outputs: Any) -> None:
        assert item not in self.answers
        self.answers[item] = outputs


@pytest.fixture(params=["shm", "tcp"])
def kept(request: pytest.FixtureRequest, given: tuple[list[Plan], Samples]) -> Iterator[Kept]:
    with Kept(*given, request.param, rest_s=0.2) as service:
        yield service
    assert service.failure == ""
    for item, outputs in service.answers.items():
        plans.assert_equal(outputs, service.samples.expected[item % len(service.samples.expected)])


def test_requests_are_answered_as_they_come(kept: Kept) -> None:
    for item in range(50):
        kept.ask(item)
        kept.wait(item + 1)
    assert not kept.refused


def test_a_frozen_worker_is_noticed_and_replaced(kept: Kept) -> None:
    """It says nothing and its connection stays; what it held begins again elsewhere."""
    until = time.monotonic() + 30
    while len(workers()) < 4 and time.monotonic() < until:  # the standbys
        time.sleep(0.05)
    frozen = workers("d1/cpu")[0]
    frozen.suspend()
    began_s = time.monotonic()
    for item in range(20):
        kept.ask(item)
    kept.wait(20)
    assert time.monotonic() - began_s < 20
    assert not kept.refused


def test_all_killed_and_started_anew(kept: Kept) -> None:
    for round_ in range(3):
        for each in workers():
            each.kill()
        for item in range(round_ * 10, round_ * 10 + 10):
            kept.ask(item)
        kept.wait(round_ * 10 + 10)
    assert len(kept.answers) == 30
