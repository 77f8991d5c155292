"""Open-loop load on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Shoal


def test_a_rate_in_the_simulator(shoal: Shoal, plan: Path) -> None:
    done = shoal("simulate", plan, "--rate", "2/s", "--items", 20, "--json")
    assert done.code == 0
    assert done.json["items"] == 20
    assert done.json["offered_items_per_s"] == pytest.approx(2.0)
    assert done.json["obtained_items_per_s"] == pytest.approx(2.0)
    assert done.json["prediction_error"]["period"] == pytest.approx(0.0)  # of this workload, not the closed one


def test_a_file_and_what_it_shows(shoal: Shoal, plan: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.toml"
    file.write_text('items = 30\nrate = "1000000/s"\npoisson = true\n')
    done = shoal("simulate", plan, "--workload", file, columns=120)
    assert done.code == 0
    assert "arrivals exceed capacity" in " ".join(done.out.split())
    assert "offered" in done.out
    closed = shoal("simulate", plan, "--json")
    assert closed.json["offered_items_per_s"] is None
    assert closed.json["items"] == 32


def test_a_rate_over_real_workers(shoal: Shoal, plan: Path) -> None:
    done = shoal("run", plan, "--over", "memory", "--rate", "200/s", "--poisson", "--items", 12, "--json")
    assert done.code == 0
    assert done.json["outputs_match"]
    assert done.json["offered_items_per_s"] > 0


def test_a_plan_for_a_workload(shoal: Shoal, model: Path, fleet: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    file.write_text('{"items": 12, "rate": "5/s"}')
    assert shoal("plan", model, fleet, "--no-profile", "--workload", file, "-o", tmp_path / "p", "--json").code == 0
    done = shoal("simulate", tmp_path / "p", "--json")
    assert (done.json["items"], done.json["offered_items_per_s"]) == (12, pytest.approx(5.0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rate", "0/s"), "out of range"),
        (("--rate", "-1/s"), "out of range"),
        (("--rate", "5"), "without its unit"),
        (("--poisson",), "need a rate"),
        (("--workload", "missing.toml"), "cannot read"),
        (("--workload", "w.toml", "--rate", "1/s"), "its own rate"),
    ],
)
def test_what_is_no_workload(shoal: Shoal, plan: Path, options: tuple[str, ...], said: str) -> None:
    for verb in ("run", "simulate"):
        assert said in shoal(verb, plan, *options).complaint


def test_a_way_to_throttle_that_is_none(shoal: Shoal, plan: Path) -> None:
    assert "quota" in shoal("run", plan, "--throttle", "quoat").complaint
