"""Links to hops."""

from __future__ import annotations

import dataclasses

import pytest

from shoal.cost import pace
from shoal.errors import FleetError, PlanError
from shoal.fleet import Fleet
from shoal.program import Hop, Program

SECONDS = {"first": 1.0, "second": 2.0}


def test_each_direction_of_a_wire_is_a_medium_of_its_own(fleet: Fleet, program: Program) -> None:
    assert pace(program, fleet, SECONDS).hops == {"mid": (Hop("wire:a>b", 1000.0, 0.5),)}


def test_a_shared_link_is_one_medium(fleet: Fleet, program: Program) -> None:
    found = pace(program, fleet, SECONDS, client="c").hops
    assert found["in"] == found["out"] == (Hop("air", 100.0, 0.25),)


def test_a_client_on_the_first_device_crosses_nothing_to_it(fleet: Fleet, program: Program) -> None:
    found = pace(program, fleet, SECONDS, client="a").hops
    assert set(found) == {"mid", "out"}
    assert found["out"] == (Hop("wire:b>a", 1000.0, 0.5),)


def test_only_the_programs_segments_are_kept(fleet: Fleet, program: Program) -> None:
    assert pace(program, fleet, SECONDS | {"other": 9.0}).segments_s == SECONDS


def test_a_segment_without_a_time_is_refused(fleet: Fleet, program: Program) -> None:
    with pytest.raises(PlanError, match="'second'"):
        pace(program, fleet, {"first": 1.0})


def test_devices_nobody_joins_are_refused(fleet: Fleet, program: Program) -> None:
    with pytest.raises(FleetError, match="no link joins"):
        pace(program, dataclasses.replace(fleet, links=()), SECONDS)
