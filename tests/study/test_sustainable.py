"""The kernels of the study on carbon: what is added to cells and events, by hand."""

from __future__ import annotations

import pytest

from shoal.machines.cgra import conventional
from shoal.study._sustainable_kernels import Terms, circuits, configured_j, kernels


def test_a_buffer_and_the_way_to_it_are_added_to_both_sides() -> None:
    made = circuits(("relu_add",), conventional(), 0)
    (bare,), (held,) = (kernels(made, Terms(size, 1000)) for size in (0, 8192))
    buffer_mm2, access_j = 65536 * 0.6e-6, 2.5e-12  # of ten picojoules for 64 bits, 16
    assert held.area - bare.area == pytest.approx(buffer_mm2)
    assert held.fabric_area - bare.fabric_area == pytest.approx(buffer_mm2)
    assert held.energy - bare.energy == pytest.approx(3 * access_j)  # two loads and a store
    assert held.fabric_energy - bare.fabric_energy == pytest.approx(3 * access_j)


def test_being_told_a_kernel_is_shared_by_its_iterations() -> None:
    made = circuits(("relu_add",), conventional(), 0)
    (often,), (seldom,) = (kernels(made, Terms(8192, iterations)) for iterations in (1, 10**9))
    assert often.fabric_energy - seldom.fabric_energy == pytest.approx(
        configured_j(made[0].array, made[0].shared.ii)
    )
    assert often.energy == seldom.energy


def test_what_leaks_while_it_runs() -> None:
    made = circuits(("relu_add",), conventional(), 0)
    (slow,), (quick,) = (kernels(made, Terms(0, 10**12, clock_hz)) for clock_hz in (1e6, 1e9))
    silicon = made[0].alone
    assert slow.energy - quick.energy == pytest.approx(silicon.static_w * silicon.ii * (1e-6 - 1e-9))
