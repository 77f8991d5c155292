from __future__ import annotations

from typing import Any

import pytest

from shoal import catalog
from shoal.fleet import board, board_names


@pytest.mark.parametrize("columns", [80, 120])
def test_each_board_has_one_line(columns: int, shoal: Any) -> None:
    boards, _, machines = shoal("boards", columns=columns).out.partition("\n\n")
    lines = [line.rstrip() for line in boards.splitlines()]
    rows = [line for line in lines if line.split()[0] in board_names()]
    assert [row.split()[0] for row in rows] == list(board_names())
    assert all(row[-1].isdigit() or row.endswith(" –") for row in rows)
    assert len(lines) - len(rows) == 2  # the heading and what it means
    assert max(map(len, lines)) <= columns
    assert [line.split()[0] for line in machines.splitlines()[1:-1]] == list(catalog.names("machines/accelerators"))


def test_json_of_all_boards(shoal: Any) -> None:
    found = shoal("boards", "--json").json
    assert list(found) == list(board_names())
    nano = found["jetson-nano"]
    assert nano["units"] == ["cpu", "gpu"]
    assert nano["memory_bytes"] == board("jetson-nano").memory_bytes
    assert nano["peak_flop_per_s"] == pytest.approx(235.9e9)


@pytest.mark.parametrize("columns", [80, 120])
def test_one_board_with_the_source_of_each_figure(columns: int, shoal: Any) -> None:
    done = shoal("boards", "raspberry-pi-4b-4gb", columns=columns)
    figures = shoal("boards", "raspberry-pi-4b-4gb", "--json").json["figures"]
    assert all(figure["source"] for figure in figures)
    for figure in figures:
        assert str(figure["value"]) in done.out
        assert all(word in done.out for word in figure["source"].split() if len(word) < 20)
    assert "[units.cpu.operating_points.powersave]" in done.out
    assert "…" not in done.out
    assert max(map(len, done.out.splitlines())) <= columns


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("rasperry-pi-4b", "raspberry-pi-4b-"), ("jetson-nan", "jetson-nano"), ("rtx-390", "rtx-3090")],
)
def test_the_nearest_board_is_named(typed: str, meant: str, shoal: Any) -> None:
    assert f"hint: did you mean '{meant}" in shoal("boards", typed).complaint


def test_a_name_like_no_board_lists_them(shoal: Any) -> None:
    assert all(name in shoal("boards", "zzz").complaint for name in board_names())


def test_a_machine_tells_each_figures_source(shoal: Any) -> None:
    told = shoal("boards", "systolic", columns=120)
    assert told.code == 0
    assert "12.8 GB/s" in told.out
    assert "32 bits of LPDDR4-3200" in told.out
    found = shoal("boards", "systolic", "--json").json
    assert found["figures"]["memory_bytes_per_s"] == {
        "value": 12.8e9, "source": "computed: 32 bits of LPDDR4-3200", "certainty": "datasheet", "written": "12.8 GB/s",
    }  # fmt: skip
    assert "systolic" in shoal("boards").out
