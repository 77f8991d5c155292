"""Roofs of machines and boards, and the lines that stand for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal import catalog
from shoal.cost import Roof
from shoal.errors import InputError
from shoal.machines.accelerators import FAMILY
from shoal.study import Chart, Series
from shoal.study._charts import drawn
from shoal.study._machines_models import WORKLOADS
from shoal.study._machines_roofs import MACHINES, roof_of, roofs
from shoal.study._machines_shown import intensity, on_boards, on_machines


def test_a_roof_bends_where_both_limits_meet() -> None:
    roof = Roof(100.0, 10.0)
    places = roof.bends(1.0, 40.0)
    assert (places, [*map(roof.at, places)]) == ((1.0, 10.0, 40.0), [10.0, 100.0, 100.0])
    assert roof.bends(20.0, 40.0) == (20.0, 40.0)
    assert roof.at(30.0) == 100.0


def test_the_roof_of_the_systolic_array_by_hand() -> None:
    roof = roof_of("systolic")
    assert roof == Roof(2 * 32 * 32 * 800e6, 12.8e9 * 4)  # values of eight bits, which the file has in 32
    assert roof_of("raspberry-pi-5-8gb") is not None
    assert set(MACHINES) <= set(catalog.names(FAMILY))


@pytest.mark.parametrize(
    "name", ["systolic", "photonic_attention", "tellme", "rtx-3060-12gb", "raspberry-pi-5-8gb"]
)
def test_what_is_reached_lies_below_its_roof(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    roof = roof_of(name)
    assert roof is not None
    for make in (WORKLOADS["attention"], WORKLOADS["ternary layer"]):
        graph = make(tmp_path_factory.mktemp("model"))
        work = intensity(graph)
        rows = on_machines(graph, (name,)) if name in MACHINES else on_boards(graph, (name,))
        for row in rows:
            assert row.refusal or work.flop / row.seconds <= roof.at(work.flop_per_byte)


def test_a_roof_is_a_line_in_the_colour_of_its_points() -> None:
    points = (Series("raspberry-pi-5-8gb", (2.0,), (1e9,)), Series("systolic", (4.0,), (1e10,)))
    chart = Chart("Roofs", "flop/byte", "flop/s", (*points, *roofs(points)), kind="points", log_x=True, log_y=True)
    data = drawn(chart)["data"]
    assert [each["mode"] for each in data] == ["markers", "markers", "lines", "lines"]
    assert [each["line"]["color"] for each in data[:2]] == [each["line"]["color"] for each in data[2:]]
    assert [each["legendgroup"] for each in data] == 2 * ["raspberry-pi-5-8gb", "systolic"]
    assert not any(each["showlegend"] for each in data[2:])
    assert roofs(()) == ()
    with pytest.raises(InputError, match="a roof of 'nobody'"):
        replace(chart, series=(*points, Series("it", (1.0,), (1.0,), roof_of="nobody")))
