"""`shoal carbon compare`: what it prints agrees with its JSON, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

FLEETS = Path(__file__).parents[2] / "examples" / "fleets"
OLD, NEW = FLEETS / "second_hand.toml", FLEETS / "new_boards.toml"


def test_a_sweep(shoal: Any) -> None:
    facts = shoal("carbon", "compare", OLD, NEW, "--alpha", "0:1:0.1", "--json").json
    assert [row["alpha"] for row in facts["rows"]] == pytest.approx([index / 10 for index in range(11)])
    told = shoal("carbon", "compare", OLD, NEW, "--alpha", "0:1:0.1", columns=120).out
    for row in facts["rows"]:
        assert row["fixed_work_band"][0] <= row["fixed_work"] <= row["fixed_work_band"][1]
        line = next(each for each in told.splitlines() if each.split()[:1] == [f"{row['alpha']:g}"])
        assert f"{row['fixed_work']:.3f}" in line
        assert f"{row['fixed_time']:.3f}" in line
        assert row["verdict"] in line
    assert "the smaller total at fixed work: only for the first" in told


def test_a_fleet_with_itself_and_no_ranges(shoal: Any, tmp_path: Path) -> None:
    certain = tmp_path / "certain.toml"
    certain.write_text('[devices.pi]\nboard = "raspberry-pi-4b-4gb"\ncarbon = "20 kg"\n'
                       'lifecycle = { lifetime = "5 years", grid = "400 g/kWh" }\n')  # fmt: skip
    told = shoal("carbon", "compare", certain, certain, "--alpha", "0.2,0.8").out
    assert told.count("1.000") == 4
    assert "no figure has a range: no band" in told


@pytest.mark.parametrize(
    "text", ["0:2:0.1", "0:inf:0.1", "nan", "0:1:0", "0:1:nan", "1:0:0.1", "a", "", "0:1:1e-300"]
)
def test_shares_that_are_none(text: str, shoal: Any) -> None:
    assert "are no shares (needed from 0 to 1)" in shoal("carbon", "compare", OLD, NEW, "--alpha", text).complaint


def test_a_fleet_that_tells_nothing(shoal: Any) -> None:
    silent = shoal("carbon", "compare", FLEETS / "three_boards.toml", NEW).complaint
    assert "devices.pi4: nothing is told of its life" in silent


def test_work_is_assumed_or_of_a_plan(shoal: Any, model: Path, tmp_path: Path) -> None:
    told = shoal("carbon", "compare", OLD, NEW, "--alpha", "0.5", columns=120).out
    assert "ASSUMING THAT ALL UNITS REACH THEIR STATED PEAKS in float32" in told
    facts = shoal("carbon", "compare", OLD, NEW, "--alpha", "0.5", "--model", model, "--json").json
    assert (facts["work"]["unit"], facts["work"]["provenance"]) == ("item", "predicted")
    for fleet, key in ((OLD, "per_s"), (NEW, "reference_per_s")):
        planned = shoal("plan", model, fleet, "-o", tmp_path / key, "--json").json
        rate = planned["front"][planned["chosen"]]["throughput_items_per_s"]
        assert facts["work"][key] == pytest.approx(rate * 0.5)  # utilisation of all
    assert "items/s" in shoal("carbon", "compare", OLD, NEW, "--alpha", "0.5", "--model", model, columns=120).out
    assert "cannot read" in shoal("carbon", "compare", OLD, NEW, "--model", tmp_path / "none.onnx").complaint
