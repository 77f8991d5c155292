"""Who does what when, as a picture; and mappings of loops as such."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from shoal import codec
from shoal.errors import InputError
from shoal.machines.cgra import Mapping, conventional, greedy, kernel, mapped, plaid
from shoal.study import Bar, Gantt
from shoal.study._charts import gantt
from shoal.study._keep import Exhibit
from shoal.study._plaid_drawn import interval, use

BARS = (Bar("a", 0, 2, "<b>load", "first"), Bar("b", 2, 1, "add", "second"), Bar("a", 3, 0.5, "add", "first"))
CHART = Gantt("Work", "cycle", ("a", "idle", "b"), BARS)


@pytest.fixture(scope="module")
def mapping() -> Mapping:
    graph = kernel("fc").graph(2)
    return mapped(graph, plaid(), greedy(graph))


def test_bars_lie_in_their_rows_and_groups_in_the_legend() -> None:
    figure = gantt(CHART)
    first, second = figure["data"]
    assert (first["y"], first["base"], first["x"]) == ([0, 0], [0, 3], [2, 0.5])
    assert (second["y"], second["base"], second["x"]) == ([2], [2], [1])
    assert [first["name"], second["name"]] == ["first", "second"]
    assert first["marker"]["color"] != second["marker"]["color"]
    assert figure["layout"]["yaxis"]["ticktext"] == ["a", "idle", "b"]
    assert figure["layout"]["xaxis"]["range"] == [0, 3.5]
    assert figure["layout"]["showlegend"] is True


def test_what_stands_in_bars_is_text() -> None:
    figure = gantt(CHART)
    assert figure["data"][0]["text"][0] == "&lt;b&gt;load"
    assert figure["data"][0]["hovertext"][0] == "<b>&lt;b&gt;load</b><br>a<br>2 from 0<br>first"


def test_whole_cycles_are_all_told_while_they_are_few() -> None:
    assert "dtick" not in gantt(CHART)["layout"]["xaxis"]
    assert gantt(Gantt("", "", ("a",), (Bar("a", 1, 3),)))["layout"]["xaxis"]["dtick"] == 1
    assert "dtick" not in gantt(Gantt("", "", ("a",), (Bar("a", 1, 300),)))["layout"]["xaxis"]


def test_no_bars_are_empty_rows() -> None:
    figure = gantt(Gantt("", "", ("a", "b"), ()))
    assert figure["data"] == []
    assert len(figure["layout"]["yaxis"]["tickvals"]) == 2


@pytest.mark.parametrize(
    ("bar", "told"), [(Bar("c", 0, 1), "row 'c' that is not there"), (Bar("a", 0, 0), "without length")]
)
def test_bars_that_cannot_be(bar: Bar, told: str) -> None:
    with pytest.raises(InputError, match=f"chart 'Work'.*{told}"):
        Gantt("Work", "", ("a",), (bar,))


def test_a_picture_comes_back_from_a_file(tmp_path: Path) -> None:
    codec.save(Exhibit(gantt=CHART), tmp_path / "a.json")
    assert codec.load(Exhibit, tmp_path / "a.json") == Exhibit(gantt=CHART)


def test_every_node_has_its_cycle_in_an_interval(mapping: Mapping) -> None:
    chart = interval("fc", mapping)
    assert len({(bar.row, bar.start) for bar in chart.bars}) == len(chart.bars) == len(mapping.graph.nodes)
    assert all(0 <= bar.start < mapping.ii for bar in chart.bars)
    (stored,) = {bar.group for bar in chart.bars if bar.label == f"{len(mapping.times) - 1} store y"}
    assert stored == f"{mapping.times[-1] // mapping.ii} before"


def test_use_is_what_an_interval_shows(mapping: Mapping) -> None:
    other = mapped(mapping.graph, conventional())
    for each in (mapping, other):
        chart = use("fc", ["fc"], [each])
        seen = Counter(bar.row for bar in interval("fc", each).bars)
        assert {series.name: series.y[0] for series in chart.series} == {
            unit.name: 100 * seen[unit.name] / each.ii for unit in each.fabric.units
        }
