"""The account of a throttled worker, on clocks of our own and on real ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.worker import Throttle
from shoal.worker.throttle import LEAST_SLEEP_S

speeds = st.floats(min_value=0.01, max_value=0.99)
durations = st.floats(min_value=0.0, max_value=0.05)


@dataclass
class World:
    """A machine whose sleeps end late by turns."""

    late_s: tuple[float, ...] = (0.0,)
    now_s: float = 100.0
    cpu_s: float = 7.0
    slept: list[float] = field(default_factory=list)

    def throttle(self, speed: float) -> Throttle:
        return Throttle(speed, lambda: self.cpu_s, lambda: self.now_s, self.sleep)

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.now_s += seconds + self.late_s[len(self.slept) % len(self.late_s)]

    def work(self, seconds: float, waited_s: float = 0.0) -> None:
        """Compute, while others have the processor for some time."""
        self.cpu_s += seconds
        self.now_s += seconds + waited_s


@given(speeds, st.lists(durations, min_size=1, max_size=40))
def test_late_wakes_and_short_steps_do_not_add_up(speed: float, steps: list[float]) -> None:
    world = World(late_s=(0.0, 1e-4, 3e-4))
    throttle = world.throttle(speed)
    for seconds in steps:
        world.work(seconds)
        throttle.rest()
    wanted_s = 100.0 + sum(steps) / speed
    assert wanted_s - LEAST_SLEEP_S - 1e-9 <= world.now_s <= wanted_s + 3e-4 + 1e-9
    assert throttle.behind_s <= 3e-4 + 1e-9


def test_waiting_for_a_processor_only_makes_the_sleep_shorter() -> None:
    world = World()
    throttle = world.throttle(0.25)
    world.work(0.010, waited_s=0.020)
    throttle.rest()
    assert world.now_s == pytest.approx(100.040)
    assert world.slept == [pytest.approx(0.010)]


def test_what_was_missed_is_caught_up_unless_there_was_nothing_to_do() -> None:
    world = World()
    throttle = world.throttle(0.5)
    world.work(0.010, waited_s=0.050)  # due after 20 ms, done after 60
    throttle.rest()
    assert (world.slept, throttle.behind_s) == ([], pytest.approx(0.040))
    world.work(0.010)  # due after 40 ms
    throttle.rest()
    assert world.now_s == pytest.approx(100.070)
    world.now_s += 1.0
    throttle.roused()
    world.work(0.010)
    throttle.rest()
    assert world.now_s == pytest.approx(100.070 + 1.0 + 0.020)


def test_being_roused_while_the_slower_machine_is_at_work_changes_nothing() -> None:
    world = World()
    throttle = world.throttle(0.5)
    world.work(1e-4)
    throttle.rest()  # too short a debt to sleep for
    throttle.roused()
    world.work(0.010)
    throttle.rest()
    assert world.now_s == pytest.approx(100.0 + 2 * 0.0101)


def test_taking_in_what_roused_it_is_work_too() -> None:
    world = World()
    throttle = world.throttle(0.1)
    world.now_s += 1.0
    world.work(0.001)  # reading the message
    throttle.roused()
    throttle.rest()
    assert world.now_s == pytest.approx(101.010)


def test_a_real_thread_is_never_quicker_than_its_speed() -> None:
    throttle, start_s, begun_s = Throttle(0.25), time.monotonic(), time.thread_time()
    for _ in range(40):
        until_s = time.thread_time() + 0.001
        while time.thread_time() < until_s:
            pass
        throttle.rest()
    assert time.monotonic() - start_s >= (time.thread_time() - begun_s) / 0.25 - 0.002
