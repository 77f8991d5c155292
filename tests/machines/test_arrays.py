"""A systolic array: a program that can be counted by hand, memory that decides, switches, refusals."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.machines.arrays import Systolic, Tile, level_order

ARRAY = Systolic(rows=4, columns=4, clock_hz=1e6, bytes_per_s=1e9, switch_s=1e-3, side_lanes=2)
TILE = Tile(inputs=4, outputs=2, level=0, clock=1.0, volts=1.0, stored_bytes=8.0, effort=1.0)


def test_a_tile_counted_by_hand() -> None:
    found = ARRAY.passed([[TILE]], places=100)
    assert found.seconds == pytest.approx((100 + 4 + 4) / 1e6)  # inputs, filling and draining
    assert (found.switches, found.memory_bound) == (0, 0)
    products = 100 * 4 * 2
    wanted = {
        "multiply": products * 0.2e-12,
        "add": products * 0.1e-12,
        "registers": 0.0,
        "buffers": 100 * (4 * 2.5e-12 + 2 * 8 * 1.25e-12),
        "memory": 8 * 162.5e-12,
        "leakage": 0.15 * 16 * 0.3e-12 * 1e6 * found.seconds,
    }
    assert found.energy_j == pytest.approx(wanted)
    assert found.joules == pytest.approx(sum(wanted.values()))


def test_a_clock_twice_as_fast_halves_what_is_computed() -> None:
    slow, fast = (ARRAY.passed([[replace(TILE, clock=clock)]], 100).seconds for clock in (1.0, 2.0))
    assert slow == pytest.approx(2 * fast)


def test_a_clock_does_not_help_where_memory_decides() -> None:
    array = replace(ARRAY, bytes_per_s=1e3)
    slow, fast = (array.passed([[replace(TILE, clock=clock)]], 1) for clock in (1.0, 2.0))
    assert slow.memory_bound == fast.memory_bound == 1
    assert fast.seconds == pytest.approx(slow.seconds, rel=1e-3)
    half = array.passed([[replace(TILE, stored_bytes=4.0)]], 1)
    assert half.seconds == pytest.approx(slow.seconds / 2, rel=1e-2)


def test_tiles_are_grouped_by_level_so_that_the_clock_changes_seldom() -> None:
    quick = replace(TILE, level=1, clock=2.0)
    mixed = ARRAY.passed([[TILE, quick] * 8, [quick, TILE] * 8], 100)
    assert mixed.switches == 2
    computing = 16 * (100 + 50) * 1e-6 + 2 * (8 + 4) * 1e-6
    assert mixed.seconds == pytest.approx(computing + 2 * 1e-3)


def test_voltage_and_weights_decide_the_energy_of_products() -> None:
    plain, low, easy = (
        ARRAY.passed([[each]], 100).energy_j
        for each in (TILE, replace(TILE, volts=0.5), replace(TILE, effort=0.35))
    )
    assert low["multiply"] == pytest.approx(plain["multiply"] / 4)
    assert low["add"] == pytest.approx(plain["add"] / 4)
    assert easy["multiply"] == pytest.approx(plain["multiply"] * 0.35)
    assert easy["add"] == plain["add"]


def test_weights_in_full_take_a_unit_of_their_own() -> None:
    beside = ARRAY.passed([[replace(TILE, beside=50)]], 100)
    assert beside.seconds == pytest.approx(50 * 100 / (2 * 1e6))
    assert beside.energy_j["multiply"] == pytest.approx((8 + 50) * 100 * 0.2e-12)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=6))
def test_each_layer_runs_its_levels_once(layers: list[list[int]]) -> None:
    order = level_order(layers)
    assert [set(each) for each in order] == [set(each) for each in layers]
    assert [len(each) for each in order] == [len(set(each)) for each in layers]
    for before, after in pairwise(order):
        if before[-1] in after:
            assert after[0] == before[-1]


@pytest.mark.parametrize(
    ("layers", "places", "said"),
    [
        ([], 1, "nothing to run"),
        ([[TILE], []], 1, "nothing to run"),
        ([[TILE]], 0, "nothing to run"),
        ([[replace(TILE, inputs=5)]], 1, "larger than the array"),
    ],
)
def test_what_is_refused(layers: list[list[Tile]], places: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ARRAY.passed(layers, places)
