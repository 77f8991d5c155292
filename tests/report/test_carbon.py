"""The chart of carbon: its figures by hand, its bands, and where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shoal.record import CarbonRates, Run
from shoal.report import html
from shoal.report.carbon import carbon, emitted, told

EMBODIED = {"pi-0": 2e-7, "nano": 3e-7, "laptop": 1e-8, "idle one": 5e-7}
GRID = dict.fromkeys(EMBODIED, 1.1e-7)
RATES = CarbonRates(EMBODIED, GRID, 5e-6, {"nano": (1e-7, 6e-7)}, {"nano": (1e-8, 2e-7)})


@pytest.fixture
def telling(run: Run) -> Run:
    assert run.prediction is not None
    return replace(run, prediction=replace(run.prediction, carbon=RATES))


def test_bars_by_hand(telling: Run) -> None:
    found = emitted(telling)
    assert found is not None
    making, electricity = carbon(telling, found)["data"]
    assert (making["name"], electricity["name"]) == ("making", "electricity")
    for place, (name, device) in enumerate(telling.devices.items()):  # who is not used is charged for nothing
        made_kg, ran_kg = EMBODIED[name] * telling.period_s, 1.1e-7 * device.energy_j / telling.items
        assert making["x"][place] == pytest.approx(made_kg * 1e9)  # µg
        assert electricity["x"][place] / making["x"][place] == pytest.approx(ran_kg / made_kg)
        assert making["y"][place] == f"{name}: {made_kg / (made_kg + ran_kg):.0%} making"
    assert found.whole_kg == pytest.approx(sum((*found.making_kg.values(), *found.running_kg.values())))


def test_only_what_is_uncertain_has_whiskers(telling: Run) -> None:
    found = emitted(telling)
    assert found is not None
    for bars, (low, high, stated) in zip(
        carbon(telling, found)["data"], ((1e-7, 6e-7, 3e-7), (1e-8, 2e-7, 1.1e-7)), strict=True
    ):
        place = list(telling.devices).index("nano")
        for key, wanted in (("array", high / stated - 1), ("arrayminus", 1 - low / stated)):
            lengths = bars["error_x"][key]
            assert lengths[place] / bars["x"][place] == pytest.approx(wanted)
            assert [each for index, each in enumerate(lengths) if index != place] == [0.0, 0.0]


def test_the_section_is_there_where_the_fleet_tells(telling: Run, run: Run) -> None:
    assert "<h2>Carbon</h2>" in html.page([telling])
    assert "<h2>Carbon</h2>" not in html.page([run])
    found = emitted(telling)
    assert found is not None
    assert told(telling, found).startswith(f"{found.whole_kg * 1e9:.3g} µg/item, {found.making_share:.0%} of it")


@pytest.mark.parametrize(
    "change",
    [
        lambda run: replace(run, prediction=None),
        lambda run: replace(run, latencies_s=run.latencies_s[:-1]),
        lambda run: replace(run, devices={}),
        lambda run: replace(run, period_s=0.0),
    ],
)
def test_no_chart_of_what_is_not_known(telling: Run, change: Callable[[Run], Run]) -> None:
    assert emitted(change(telling)) is None


def test_names_are_inert(telling: Run) -> None:
    named: Any = {"<b>x": next(iter(telling.devices.values()))}
    assert telling.prediction is not None
    rates = CarbonRates({"<b>x": 1e-7}, {"<b>x": 1e-7}, 1e-6)
    odd = replace(
        telling, devices=named, prediction=replace(telling.prediction, carbon=rates, energy_j={"<b>x": 1.0})
    )
    found = emitted(odd)
    assert found is not None
    assert carbon(odd, found)["data"][0]["y"][0].startswith("&lt;b&gt;x: ")
