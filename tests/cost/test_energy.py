"""Joules by hand."""

from __future__ import annotations

import pytest

from shoal.cost import busy_energy_j, device_energy_j, transfer_energy_j
from shoal.fleet import Fleet
from shoal.program import Program


def test_idle_busy_and_bytes_add_up(fleet: Fleet) -> None:
    assert device_energy_j(fleet.device("a"), time_s=3.0, busy_j=5.0, transfer_j=0.5) == 3.0 * 2.0 + 5.0 + 0.5


def test_each_segment_draws_what_its_operating_point_does(fleet: Fleet, program: Program) -> None:
    assert busy_energy_j(program, fleet, {"first": 2.0, "second": 3.0}) == {"a": 2.0 * 1.0, "b": 3.0 * 4.0}


def test_sender_pays_port_and_link_and_receiver_its_port(fleet: Fleet, program: Program) -> None:
    joules = transfer_energy_j(program, fleet, {"mid": 100})
    assert joules == {"a": pytest.approx(100 * (1e-6 + 3e-6)), "b": pytest.approx(100 * 1e-6)}


def test_a_client_without_a_place_costs_nothing(fleet: Fleet, program: Program) -> None:
    assert transfer_energy_j(program, fleet, {"in": 100, "out": 100}) == {"a": 0.0, "b": 0.0}


def test_a_client_elsewhere_makes_both_ends_pay(fleet: Fleet, program: Program) -> None:
    joules = transfer_energy_j(program, fleet, {"in": 100, "out": 100}, client="c")
    assert joules == {"a": pytest.approx(1e-4), "b": pytest.approx(1e-4)}  # over the air; c runs no unit
