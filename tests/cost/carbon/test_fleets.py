"""Kilograms of devices and fleets against figures by hand, and the band of what is not certain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.cost.carbon import (
    FACTORS,
    Draws,
    Work,
    amortised_kg,
    carbon_rates,
    compare_fleets,
    embodied_kg,
    embodied_parts_kg,
    operational_kg,
)
from shoal.cost.carbon.fleets import footprint
from shoal.errors import FleetError, InputError, UnitError
from shoal.fleet import Fleet, Lifecycle, loads
from tests.cost.toys import device

YEAR_S = 31_557_600.0
LIFE = Lifecycle(YEAR_S, 1e-7, utilisation=0.5, pue=1.2)
MADE = replace(device("a"), carbon_kg=30.0, lifecycle=LIFE)  # 2 W idle, 4 W more when busy, 1 Gflop/s
PARTS = replace(device("b"), lifecycle=replace(LIFE, die_mm2=100.0, storage_bytes=10**10))

DEVICE = """
[devices.own]
memory = "1 GiB"
idle = "2 W"
carbon = "20 kg"
[devices.own.units.cpu]
cores = 4
bandwidth = "4 GB/s"
busy = "3 W"
peak = { float32 = "10 Gflop/s" }
[devices.own.lifecycle]
lifetime = "5 years"
grid = "400 g/kWh"
"""


def test_what_making_and_running_emit() -> None:
    assert embodied_kg(MADE) == 30
    parts = embodied_parts_kg(PARTS)
    assert parts["die"] == pytest.approx(1.5)
    assert parts["memory"] == pytest.approx((1 << 30) * 0.065e-9)
    assert parts["storage"] == pytest.approx(0.107)
    assert parts["packages"] == pytest.approx(0.45)
    assert operational_kg(1e9, LIFE) == pytest.approx(120)
    assert amortised_kg(MADE, YEAR_S / 4) == pytest.approx(15)  # half of the half year in which it works


def test_every_factor_lies_in_its_range_and_has_a_source() -> None:
    assert all(each.low < each.value < each.high and each.source for each in FACTORS.values())


def test_a_fleet_over_itself_is_one_in_every_sample() -> None:
    ranged = replace(MADE, lifecycle=replace(LIFE, ranges={"carbon": (10.0, 50.0), "grid": (1e-8, 1e-6)}))
    fleet = Fleet((ranged, PARTS))
    for row in compare_fleets(fleet, fleet, (0.0, 0.3, 1.0)).rows:
        assert row.fixed_work == row.fixed_time == 1
        assert row.fixed_work_band == row.fixed_time_band == (1, 1)
        assert row.verdict == "not"


def test_a_plan_s_items_by_hand() -> None:
    """Of two devices one works: twice the items of the reference for 5 W against 3 W; the other only idles."""
    busy, spare = replace(MADE, lifecycle=replace(LIFE, utilisation=0.25)), replace(MADE, name="spare")
    works = Work(20.0, {"a": 5.0}), Work(10.0, {"a": 3.0})
    found = compare_fleets(Fleet((busy, spare)), Fleet((MADE,)), (0.0, 0.5), works=works)
    assert (found.work_per_s, found.reference_work_per_s) == (20 * 0.25, 10 * 0.5)
    power = (2 + 0.25 * (5 - 2) + 2) / (2 + 0.5 * (3 - 2))
    assert found.rows[0].fixed_time == pytest.approx(power)
    assert found.rows[0].fixed_work == pytest.approx(power)  # as many items on average
    assert found.rows[1].fixed_time == pytest.approx(0.5 * 2 + 0.5 * power)


def test_a_plan_over_itself_is_one_whatever_is_uncertain() -> None:
    ranged = replace(MADE, lifecycle=replace(LIFE, ranges={"utilisation": (0.1, 0.9), "grid": (1e-8, 1e-6)}))
    fleet, work = Fleet((ranged, replace(PARTS, name="b"))), Work(7.0, {"a": 4.0, "b": 3.0})
    for row in compare_fleets(fleet, fleet, (0.0, 0.3, 1.0), works=(work, work)).rows:
        assert row.fixed_work_band == row.fixed_time_band == (1, 1)


def test_a_pipeline_works_while_all_of_it_does() -> None:
    """In every sample, not only by the stated figures."""
    slow = replace(MADE, name="slow", lifecycle=replace(LIFE, ranges={"utilisation": (0.1, 0.3)}, utilisation=0.2))
    whole = footprint(Fleet((MADE, slow)), Draws(200), work=Work(10.0, {"a": 3.0, "slow": 3.0})).work_per_s
    assert whole[0] == pytest.approx(2.0)
    assert whole[1:].min() >= 1.0
    assert whole[1:].max() <= 3.0
    assert (
        footprint(Fleet((MADE, slow)), Draws(200), work=Work(10.0, {"a": 3.0})).work_per_s.tolist() == [5.0] * 201
    )


def test_two_fleets_by_hand() -> None:
    quick = replace(MADE, carbon_kg=60.0, units=(replace(MADE.units[0], peak_flop_per_s={"float32": 3e9}),))
    found = compare_fleets(Fleet((quick,)), Fleet((MADE,)), (0.25,))
    row = found.rows[0]
    assert row.fixed_time == pytest.approx(0.25 * 2 + 0.75)
    assert row.fixed_work == pytest.approx(0.25 * 2 + 0.75 / 3)
    assert (row.verdict, row.fixed_work_band) == ("weak", None)
    running = (2 + 0.5 * 4) * 1e-7 * 1.2
    assert found.own_alpha == pytest.approx(30 / (30 + running * YEAR_S))
    assert found.pays_back["time"].kind == "never"
    assert found.pays_back["work"].seconds == pytest.approx(30 / (running * 2 / 3))


def test_samples_lie_in_their_range_and_come_again() -> None:
    ranged = replace(MADE, lifecycle=replace(LIFE, ranges={"carbon": (10.0, 50.0)}))
    made_kg = Draws(5000, 3).embodied_kg(ranged)
    assert made_kg[0] == 30
    assert 10 <= made_kg.min() < 10.1
    assert 49.9 < made_kg.max() <= 50
    assert made_kg[1:].mean() == pytest.approx(30, rel=0.02)
    np.testing.assert_array_equal(made_kg, Draws(5000, 3).embodied_kg(ranged))
    assert not np.array_equal(made_kg, Draws(5000, 4).embodied_kg(ranged))


def test_one_grid_is_as_uncertain_for_all_its_devices() -> None:
    ranged = replace(LIFE, ranges={"grid": (1e-8, 1e-6)})
    fleet = Fleet(
        (replace(MADE, lifecycle=ranged), replace(PARTS, board="other", lifecycle=replace(ranged, die_mm2=9.0)))
    )
    running = footprint(fleet, Draws(100)).operational_kg_per_s
    np.testing.assert_allclose(running / Draws(100).of(fleet.devices[0], "grid", 1e-7), running[0] / 1e-7)


def test_what_a_fleet_must_tell() -> None:
    silent = Fleet((device("a"),))
    with pytest.raises(FleetError, match=r"devices\.a: nothing is told of its life"):
        compare_fleets(silent, Fleet((MADE,)), (0.5,))
    with pytest.raises(FleetError, match=r"devices\.a: its embodied carbon is not stated"):
        compare_fleets(Fleet((replace(device("a"), lifecycle=LIFE),)), Fleet((MADE,)), (0.5,))
    with pytest.raises(FleetError, match=r"devices\.a: no peak in float16"):
        compare_fleets(Fleet((MADE,)), Fleet((MADE,)), (0.5,), form="float16")
    with pytest.raises(FleetError, match="emits nothing"):
        compare_fleets(Fleet((MADE,)), Fleet((replace(MADE, carbon_kg=0.0),)), (0.5,))
    with pytest.raises(InputError, match="no share"):
        compare_fleets(Fleet((MADE,)), Fleet((MADE,)), (1.5,))
    assert carbon_rates(silent) is None


def test_a_life_in_a_fleet_file() -> None:
    life = loads(DEVICE + 'ranges = { carbon = ["10 kg", "30 kg"] }').devices[0].lifecycle
    assert life is not None
    assert life.grid_kg_per_j == pytest.approx(0.4 / 3.6e6, rel=1e-15)
    assert life == Lifecycle(5 * YEAR_S, life.grid_kg_per_j, ranges={"carbon": (10.0, 30.0)})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('die_area = "0 mm²"', "lifecycle.die_area: out of range"),
        ("utilisation = 0.0", "lifecycle.utilisation"),
        ("pue = 0.9", "lifecycle.pue"),
        ('ranges = { carbon = ["30 kg", "10 kg"] }', "a range is its lowest and its highest figure"),
        ('ranges = { carbon = ["1 kg", "2 kg"] }', "lies outside its range"),
        ('ranges = { idle = ["1 W", "2 W"] }', "unknown key"),
    ],
)
def test_lives_that_are_none(line: str, told: str) -> None:
    with pytest.raises((FleetError, UnitError), match=told.replace(".", r"\.")):
        loads(DEVICE + line)


def test_no_lifetime() -> None:
    with pytest.raises(UnitError, match=r"lifecycle\.lifetime: out of range \(needed more than zero second"):
        loads(DEVICE.replace("5 years", "0 years"))
    with pytest.raises(FleetError, match="no such life"):
        replace(LIFE, lifetime_s=0.0)
    with pytest.raises(FleetError, match="no such die"):
        replace(LIFE, die_mm2=0.0)
