"""`shoal pareto` as a user types it: what it writes and prints, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import LAYERS, Shoal


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    path = tmp_path / "pair.toml"
    device = '[devices.{}]\nboard = "this-machine"\ncores = [0]\n'
    link = '[default_link]\nbandwidth = "100 Mbit/s"\nlatency = "1 ms"\n'
    path.write_text(device.format("near") + device.format("far") + link)
    return path


QUICK = ("--no-profile", "--items", 4, "--repeats", 1, "--over", "shaped:inner=memory", "--engine", "onnxruntime")


def test_every_cut_is_run_written_and_shown(shoal: Shoal, model: Path, pair: Path, tmp_path: Path) -> None:
    done = shoal("pareto", model, pair, *QUICK, "--both-orders")
    assert done.code == 0, done.err
    legal = LAYERS - 1
    files = sorted(path.name for path in (tmp_path / "pareto" / "splits").iterdir())
    assert files == sorted(f"{n:03}{s}.json" for n in range(legal) for s in ("", "-swapped"))
    one = json.loads((tmp_path / "pareto" / "splits" / "001-swapped.json").read_text())
    assert (one["first"], one["second"], one["outputs_match"]) == ("far/cpu", "near/cpu", True)
    assert {"first_s", "second_s", "network_s", "latency_s", "bytes", "throughput_items_per_s"} <= one.keys()
    front = json.loads((tmp_path / "pareto" / "front.json").read_text())
    assert front["knee"] in {split["cut"] for split in front["front"]}
    assert len(list(csv.DictReader((tmp_path / "pareto" / "splits.csv").read_text().splitlines()))) == 2 * legal
    assert "Where to cut" in (tmp_path / "pareto" / "pareto.html").read_text()
    assert f"{2 * legal} cuts, {2 * legal} run" in done.out


def test_json_and_some_cuts_only(shoal: Shoal, model: Path, pair: Path, tmp_path: Path) -> None:
    (tmp_path / "pareto" / "splits").mkdir(parents=True)
    (tmp_path / "pareto" / "splits" / "099.json").write_text("{}")
    told = shoal("pareto", model, pair, *QUICK, "--cuts", "2,0", "--json").json
    assert [split["cut"] for split in told["splits"]] == [0, 2]
    assert [path.name for path in sorted((tmp_path / "pareto" / "splits").iterdir())] == ["000.json", "002.json"]


def test_boards_that_are_not_here_are_said_to_be_not(shoal: Shoal, model: Path, fleet: Path) -> None:
    told = shoal("pareto", model, fleet, *QUICK, "--cuts", "0", "--json").json
    assert "not on raspberry-pi-4b-4gb" in told["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--cuts", "3"), ("no cut has the number 3", "0 to 2")),
        (("--cuts", "-1"), ("no cut has the number -1", "0 to 2")),
        (("--cuts", "one"), ("'one' are no numbers",)),
        (("--devices", "near"), ("between two units", "--devices")),
        (("--devices", "near,sea"), ("no device 'sea'",)),
        (("--devices", "near,near"), ("between two units",)),
        (("--over", "bogus"), ("bogus", "shaped")),
        (("-o", "pair.toml"), ("pair.toml",)),
    ],
)
def test_what_it_refuses(
    arguments: tuple[str, str], words: tuple[str, ...], shoal: Shoal, model: Path, pair: Path
) -> None:
    told = shoal("pareto", model, pair, "--no-profile", *arguments).complaint
    assert all(word in told for word in words), told


def test_a_fleet_of_one_is_refused(shoal: Shoal, model: Path, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text('[devices.near]\nboard = "this-machine"\n')
    assert "add a device" in shoal("pareto", model, "one.toml", "--no-profile").complaint
