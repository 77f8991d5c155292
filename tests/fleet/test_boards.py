from __future__ import annotations

import math
import re
import tomllib

import pytest

from shoal import units
from shoal.errors import FleetError
from shoal.fleet import board, board_figures, board_names, board_sources, board_title
from shoal.fleet.files import FOLDER

KINDS = (
    *("computed: ", "derived: ", "estimate: ", "published measurement: "),  # or the name of a document:
    *("product brief", "data sheet", "specification", "manual", "ARK", "product page", "white paper"),
    *("brochure", "power consumption", "architecture", "fact sheet"),
    *("launch price", "list price", "developer kit's", "module's price", "price at launch", "as the CPU's"),
)


def test_the_catalog_holds_the_boards_people_ask_for() -> None:
    assert len(board_names()) >= 24
    assert {
        *("raspberry-pi-zero-2w", "raspberry-pi-3b-plus", "raspberry-pi-4b-4gb", "raspberry-pi-4b-8gb"),
        *("raspberry-pi-5-8gb", "jetson-nano", "jetson-tx2", "jetson-xavier-nx", "jetson-agx-xavier"),
        *("jetson-orin-nano-8gb", "jetson-orin-nx-16gb", "jetson-agx-orin-64gb", "coral-dev-board"),
        *("rock-5b-16gb", "odroid-xu4", "n100-mini-pc", "laptop-i7-1165g7", "desktop-ryzen-7700x"),
        *("rtx-3090", "rtx-4090", "l4", "a100-80gb", "h100-80gb-sxm", "mi210"),
    } <= set(board_names())


@pytest.mark.parametrize("name", [*board_names(), "this-machine"])
def test_every_figure_has_a_source_and_every_source_a_figure(name: str) -> None:
    figures = board_figures(name)
    assert {figure.key for figure in figures} == set(board_sources(name))
    assert all(figure.source for figure in figures)
    assert board_title(name)


@pytest.mark.parametrize("name", board_names())
def test_every_source_says_what_kind_it_is(name: str) -> None:
    assert [text for text in board_sources(name).values() if not any(kind in text for kind in KINDS)] == []


@pytest.mark.parametrize("name", board_names())
def test_a_board_file_holds_no_key_of_one_device(name: str) -> None:
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    assert not table.keys() & {"board", "count", "cores", "address", "memory_limit", "stock"}
    assert re.fullmatch(r"[a-z0-9-]+", name)


@pytest.mark.parametrize("name", [*board_names(), "this-machine"])
def test_every_board_is_a_plausible_device(name: str) -> None:
    device = board(name)
    assert device.name == device.board == name
    assert 0 < device.memory_limit_bytes < device.memory_bytes < 2**38
    for unit in device.units:
        peaks = unit.peak_flop_per_s
        assert 1e9 < max(peaks.values()) < 1e16
        assert unit.busy_w > 0
        assert unit.engines
        if {"float32", "float16", "int8"} <= peaks.keys() and not name.startswith("jetson"):
            assert peaks["float32"] <= peaks["float16"] <= peaks["int8"]
        for point in unit.operating_points:
            assert 0 < point.speed < 1
            assert point.busy_w < unit.busy_w


def product(expression: str) -> float:
    """The value of "4 cores × 1.5 GHz × 8 flop/cycle + …"."""
    terms = (re.findall(r"(\d+(?:\.\d+)?) (G?)", term) for term in expression.split(" + "))
    return sum(math.prod(float(n) * (1e9 if giga else 1) for n, giga in term) for term in terms)


COMPUTED = [
    (name, figure)
    for name in board_names()
    for figure in board_figures(name)
    if figure.source.startswith("computed: ")
]


@pytest.mark.parametrize(("name", "figure"), COMPUTED, ids=lambda each: getattr(each, "key", each))
def test_a_computed_figure_is_the_value_of_its_computation(name: str, figure: object) -> None:
    (key, value, source) = (getattr(figure, field) for field in ("key", "value", "source"))
    unit = "byte/second" if key.endswith("bandwidth") else "flop/second"
    expression = source.removeprefix("computed: ").partition("(")[0]
    assert units.parse(value, unit) == pytest.approx(product(expression), rel=2e-3)


def test_enough_figures_are_computed_for_that_test_to_mean_something() -> None:
    assert len(COMPUTED) > 60


def test_an_unknown_board_names_the_nearest() -> None:
    for ask in (board, board_sources, board_figures, board_title):
        with pytest.raises(FleetError, match="no board is called 'jetson-nanno'") as caught:
            ask("jetson-nanno")
        assert caught.value.hint == "did you mean 'jetson-nano'?"


def test_a_board_name_cannot_leave_the_catalog() -> None:
    with pytest.raises(FleetError, match="no board is called"):
        board("../boards/l4")
