"""Items that come by themselves: what a worker's pause costs those that wait, and arrivals beyond capacity."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.graph import load
from shoal.plan import Plan
from shoal.program import Workload
from shoal.record import Run
from shoal.run import Settings, execute
from tests.run import plans
from tests.run.test_opsets import model

PAUSE_S, RATE, ITEMS = 0.4, 50.0, 60


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan of two devices."""
    graph = load(model(17, "initializers", tmp_path / "model.onnx"))
    return plans.plan_of(graph, plans.contiguous(graph, 2))


def run(
    plan: Plan, workload: Workload, progress: Callable[[int], None] = lambda _: None, speed: float = 1.0
) -> Run:
    devices = tuple(replace(device, speed=speed) for device in plan.fleet.devices)
    slowed = replace(plan, fleet=replace(plan.fleet, devices=devices))
    settings = Settings(compare=False, workload=workload, throttle="pace")
    return execute(slowed, settings, progress=progress).run


def test_a_pause_is_paid_by_all_that_came_meanwhile(plan: Plan) -> None:
    """No coordinated omission: a generator that waited with the worker would see one slow item, not PAUSE × RATE."""
    waker: list[threading.Timer] = []

    def pause(done: int) -> None:
        if done == ITEMS // 4:
            pid = plans.workers()[0].pid
            os.kill(pid, signal.SIGSTOP)
            waker.append(threading.Timer(PAUSE_S, os.kill, (pid, signal.SIGCONT)))
            waker[0].start()

    found = run(plan, Workload(ITEMS, "rate", window=4, rate_items_per_s=RATE), pause)
    waker[0].join()
    latencies_s = sorted(found.latencies_s, reverse=True)
    came = int(PAUSE_S * RATE)
    assert latencies_s[0] >= PAUSE_S - 2 / RATE
    for place in range(came - 2):  # each came 1 / RATE after the one before, so it waited so much less
        assert latencies_s[place] >= PAUSE_S - (place + 2) / RATE
    assert found.offered_items_per_s == pytest.approx(RATE)


def test_what_comes_is_not_held_back_by_what_is_under_way(plan: Plan) -> None:
    times_s = tuple(0.02 * number for number in range(10))
    found = run(plan, Workload(10, "trace", window=1, times_s=times_s))
    assert len(found.latencies_s) == 10
    assert found.offered_items_per_s == pytest.approx(50.0)
    assert found.obtained_items_per_s is not None


def test_arrivals_beyond_capacity_are_said(plan: Plan) -> None:
    begun_s = time.monotonic()
    found = run(plan, Workload(100, "rate", window=4, rate_items_per_s=10_000.0), speed=0.2)
    assert time.monotonic() - begun_s < 60
    assert found.offered_items_per_s == pytest.approx(10_000.0)
    assert found.obtained_items_per_s is not None
    assert found.obtained_items_per_s < 5000
    assert any("arrivals exceed capacity" in note and "1e+04" in note for note in found.notes)
    assert sorted(found.latencies_s)[-1] > 5 * sorted(found.latencies_s)[2]  # the queue grew
