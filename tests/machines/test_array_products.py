"""Products with coded weights on arrays: cycles and joules counted by hand, and what must be quicker than what."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import FleetError, InputError
from shoal.fleet import MacArray
from shoal.formats import make
from shoal.machines import energy, mac_cost
from shoal.machines.arrays import Pace, array_of, pace_of, passed, takes
from shoal.machines.multipliers import Margins, mac_table

MACS = MacArray(32, 32, 400e6)
FAST = 1e15  # bytes a second: memory never decides


def seconds(name: str, macs: MacArray = MACS, pace: Pace | None = None, bytes_per_s: float = FAST) -> float:
    return passed(array_of(macs, make(name), bytes_per_s), name, (256, 128), 1, 1000, pace).seconds


def test_eight_bits_by_hand() -> None:
    """Of 256 × 128 weights on 32 × 32: 32 tiles, each as many cycles as inputs, and once the array fills and drains."""
    assert seconds("int8") == pytest.approx((32 * 1000 + 64) / 400e6)


def test_fewer_bits_leave_room_for_more_multipliers() -> None:
    own = mac_cost(make("int4g32"), activations=make("int8g32")).area
    columns = int(32 * mac_cost(make("int8")).area / own)
    assert array_of(MACS, make("int4g32"), FAST).columns == columns > 32
    tiles = 4 * -(-256 // columns)
    assert seconds("int4g32") == pytest.approx((tiles * 1000 + 32 + columns) / 400e6)
    areas = [
        array_of(MACS, make(name), FAST).columns for name in ("int8g64", "int6g64", "int4g64", "tern2g64", "bing64")
    ]
    assert areas == sorted(areas)
    assert areas[0] < areas[2] < areas[3]


def test_energy_of_products_is_the_formats() -> None:
    form = make("int4g32")
    array = array_of(MACS, form, FAST)
    took = passed(array, "int4g32", (256, 128), 1, 1000)
    each = mac_cost(form, activations=make("int8g32")).energy_j(45)
    assert took.energy_j["multiply"] + took.energy_j["add"] == pytest.approx(256 * 128 * 1000 * each)
    stored = form.stored_bits((256, 128)) / 8
    assert took.energy_j["memory"] == pytest.approx(stored * energy("dram", "read", 64).energy_j / 8)


def test_a_slow_memory_decides() -> None:
    """One input: the weights are loaded for it alone, and fewer bits are loaded sooner."""
    took = {
        name: passed(array_of(MACS, make(name), 1e6), name, (256, 128), 1, 1).seconds
        for name in ("int8", "int4", "tern2")
    }
    assert took["int8"] == pytest.approx(256 * 128 / 1e6, rel=0.05)
    assert took["int8"] / took["int4"] == pytest.approx(2, rel=0.05)
    assert took["tern2"] < took["int4"]


def test_groups_of_a_convolution_follow_one_another() -> None:
    array = array_of(MACS, make("int8"), FAST)
    assert passed(array, "int8", (1, 9), 64, 100).seconds == pytest.approx((64 * 100 + 64) / 400e6)


def test_the_clock_is_that_of_the_slowest_weight(multiplier: str) -> None:
    table, margins = mac_table(multiplier), Margins()
    quick = np.array([0, 1, -2, 4, -64], np.int16)
    pace = pace_of(multiplier, quick)
    slowest = max(float(table.delay[table.place(quick)][each]) for each in range(5))
    assert pace.clock == pytest.approx(margins.period(table.slowest) / margins.period(slowest))
    assert pace.clock > 1 > pace.effort
    assert pace_of(multiplier, np.arange(-127, 128, dtype=np.int16)) == Pace(1.0, pytest.approx(1.0))
    fixed = MacArray(32, 32, 400e6, multiplier=multiplier)
    assert seconds("pow2", fixed, pace) == pytest.approx(seconds("pow2", fixed) / pace.clock)
    assert array_of(fixed, make("int4"), FAST).columns == 32  # silicon stays as it is


def test_what_an_array_takes(multiplier: str) -> None:
    fixed = MacArray(8, 8, 1e8, multiplier=multiplier)
    assert [takes(MACS, make(name)) for name in ("int4", "tern2", "bin", "mxint8", "e4m3", "pow2")] == [
        True, True, True, True, False, False,
    ]  # fmt: skip
    assert [takes(fixed, make(name)) for name in ("int4", "pow2", "codebook:values=-200/0/1", "e4m3", "hlq2g64")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    with pytest.raises(InputError, match="no multiplier is called 'bootk'"):
        takes(MacArray(8, 8, 1e8, multiplier="bootk"), make("int4"))
    with pytest.raises(InputError, match="mul of 8 bits at 28 nm"):
        array_of(MacArray(8, 8, 1e8, node_nm=28), make("int4"), FAST)
    with pytest.raises(FleetError, match=r"no array of multipliers .*had 0 × 8"):
        MacArray(0, 8, 1e8)
