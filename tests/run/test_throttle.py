"""Slow devices made of local workers: refused at the door, or really executed and slowed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.errors import InputError, PaceError
from shoal.graph import load
from shoal.plan import Plan
from shoal.run import Settings, execute
from shoal.run.quota import groups
from shoal.run.throttle import LOAD, Throttling, throttling, way_of
from tests.run import plans
from tests.run.test_opsets import model


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan of two devices."""
    graph = load(model(17, "initializers", tmp_path / "model.onnx"))
    return plans.plan_of(graph, plans.contiguous(graph, 2))


def slowed(plan: Plan, *speeds: float) -> Plan:
    devices = (replace(device, speed=speed) for device, speed in zip(plan.fleet.devices, speeds, strict=True))
    return replace(plan, fleet=replace(plan.fleet, devices=tuple(devices)))


def busy(plan: Plan, seconds: float) -> Plan:
    return replace(plan, prediction=replace(plan.prediction, busy_s={"d0": seconds, "d1": seconds}))


def test_machines_at_full_speed_are_left_alone(plan: Plan) -> None:
    assert throttling(plan, "auto") == Throttling()
    assert Throttling().paced("d0/cpu") == 1.0


def test_more_than_this_machine_is_refused_with_the_numbers(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert throttling(slowed(plan, LOAD / 2, LOAD / 2), "pace").speeds
    with pytest.raises(PaceError) as caught:
        throttling(slowed(plan, 0.99, LOAD), "pace")
    assert f"{LOAD:g}" in (caught.value.needed or "")
    assert f"{0.99 + LOAD:g}" in (caught.value.had or "")


def test_ways(plan: Plan) -> None:
    slow = slowed(plan, 0.25, 1.0) if len(os.sched_getaffinity(0)) > 2 else slowed(plan, 0.25, 0.5)
    paced = throttling(slow, "pace")
    assert (paced.quota, paced.paced("d0/cpu"), paced.note[:20]) == (False, 0.25, "throttled by pacing:")
    assert "process" in throttling(slow, "quota", processes=False).note
    assert not throttling(busy(slow, 0.001), "auto").quota
    permitted = groups() is not None
    for chosen in (throttling(slow, "quota"), throttling(busy(slow, 1.0), "auto")):
        assert chosen.quota is permitted
        assert chosen.paced("d0/cpu") == (1.0 if permitted else 0.25)
        assert ("quota" in chosen.note) or not permitted


def test_a_way_that_is_none() -> None:
    assert way_of("pace") == "pace"
    with pytest.raises(InputError, match="pce") as caught:
        way_of("pce")
    assert "pace" in (caught.value.hint or "")


@pytest.mark.serial
@pytest.mark.parametrize(("way", "over"), [("pace", "memory"), ("pace", "shm"), ("quota", "shm")])
def test_throttled_workers_answer_rightly_and_slowly(plan: Plan, way: str, over: str) -> None:
    slow = slowed(plan, 0.1, 0.2)
    run = execute(slow, Settings(items=20, over=over, throttle=way_of(way))).run
    assert run.outputs_match
    assert run.provenance["period_s"] == "emulated"
    assert run.provenance["cpu_s"] == "measured"
    assert any(note.startswith("throttled by") and "d0/cpu 0.1" in note for note in run.notes)
    if over == "shm" and way == "pace":
        assert run.behind_s is not None
        for name, speed in (("d0", 0.1), ("d1", 0.2)):
            cpu_s = run.devices[name].cpu_s
            assert cpu_s is not None
            assert run.items * run.period_s >= 0.8 * cpu_s / speed  # the pipe's ends are left out of the period


def test_emulated_boards_have_their_speed_in_their_pace(plan: Plan) -> None:
    from shoal.run.execute import throttling_of

    assert throttling_of(slowed(plan, 0.9, 0.9), Settings(emulate=True)) == Throttling()
