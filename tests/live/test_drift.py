"""What devices and links really take, judged by what their workers tell."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from shoal.fleet import Device, Fleet, Link, Unit
from shoal.live.drift import FORGET_S, Drift

DEVICES = ("a", "b", "c")


@dataclass
class Now:
    s: float = 0.0

    def __call__(self) -> float:
        return self.s


def fleet() -> Fleet:
    unit = Unit("cpu", 1, {"float32": 1e9}, 1e9, 1.0)
    devices = tuple(Device(name, "board", (unit,), 1 << 30, 1 << 30, 1.0) for name in DEVICES)
    return Fleet(devices, (Link("a-b", ("a", "b"), 1e8, 1e-3), Link("air", DEVICES, 1e7, 1e-3, shared=True)))


def ran(drift: Drift, device: str, times: int, seconds: float) -> None:
    """The worker ran a segment of a predicted second so often."""
    drift.learn(0, f"{device}/cpu", {"busy_s": times * seconds, "ran": {"s0": times}}, {"s0": 1.0})


def rates(drift: Drift, *bytes_per_s: float, peer: str = "b/cpu") -> None:
    for rate in bytes_per_s:
        drift.learn_rates("a/cpu", {peer: rate}, fleet())


def test_a_device_that_becomes_slower_is_told_once() -> None:
    drift = Drift()
    ran(drift, "a", 5, 1.05)
    assert not drift.news()
    ran(drift, "a", 50, 2.0)
    assert drift.news()
    assert drift.factors["a"] == pytest.approx(2.0, rel=0.1)
    assert not drift.news()


def test_a_link_that_becomes_slower_is_slower_in_the_fleet() -> None:
    drift = Drift()
    rates(drift, 1e8, 0.9e8, 1.1e8, 1e8)
    assert not drift.news()
    rates(drift, *[1e7] * 12)
    assert drift.news()
    links = drift.on(fleet()).links
    assert links[0].bandwidth_bytes_per_s == pytest.approx(1e7, rel=0.2)
    assert links[1] == fleet().links[1]


def test_a_few_rates_or_those_of_shared_links_prove_nothing() -> None:
    drift = Drift()
    rates(drift, 1e7, 1e7)
    rates(drift, *[1e3] * 9, peer="c/cpu")
    rates(drift, *[1e3] * 9, peer="client")
    assert not drift.news()
    assert drift.on(fleet()) == fleet()


def test_what_tells_nothing_is_tried_again_ever_more_seldom() -> None:
    now = Now()
    drift = Drift(clock=now)
    for wait_s in (FORGET_S, 2 * FORGET_S):
        rates(drift, *[1e7] * 9)
        assert drift.news()
        assert drift.on(fleet()) != fleet()
        now.s += wait_s - 1
        assert not drift.news()
        now.s += 1
        assert drift.news()
        assert drift.on(fleet()) == fleet()
        assert not drift.news()
    rates(drift, *[1e8] * 9)
    drift.news()
    rates(drift, *[1e7] * 30)
    assert drift.news()


def test_what_is_as_fast_as_ever_is_soon_tried_again() -> None:
    now = Now()
    drift = Drift(clock=now)
    rates(drift, *[1e7] * 9)
    assert drift.news()
    now.s += FORGET_S
    assert drift.news()
    rates(drift, *[1e8] * 9)
    rates(drift, *[2e7] * 30)  # slow, then as described, then slow
    assert drift.news()
    rates(drift, *[1e8] * 60)
    assert drift.news()
    rates(drift, *[1e7] * 30)
    assert drift.news()
    now.s += FORGET_S
    assert drift.news()
