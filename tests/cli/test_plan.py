"""`shoal plan` as a user types it, in process: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shoal import codec
from shoal.cli.app import run
from shoal.graph import Carried
from shoal.plan import Plan
from tests.graph.models import info, light, model, node, write
from tests.graph.recurrent import NETS

FLEET = """
[devices.pi]
board = "raspberry-pi-4b-4gb"
count = 2
[devices.nano]
board = "jetson-nano"
memory_limit = "3 GiB"

[default_link]
bandwidth = "100 Mbit/s"
latency = "1 ms"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "fleet.toml").write_text(FLEET)
    (tmp_path / "model.onnx").symlink_to(light("squeezenet"))
    return tmp_path


def plan(*more: str, model: str = "model.onnx", fleet: str = "fleet.toml") -> int:
    return run(["plan", model, fleet, "--no-profile", *more])


def answer(capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    assert plan("--json", *more) == 0
    return json.loads(capsys.readouterr().out)


def complaint(capsys: pytest.CaptureFixture[str], code: int, *more: str, **given: str) -> str:
    """One message on stderr, nothing on stdout, no traceback; the same as JSON if asked for."""
    assert plan(*more, **given) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("error: ")
    assert err.count("error: ") == 1
    assert plan("--json", *more, **given) == code
    told = json.loads(capsys.readouterr().out)["error"]
    assert set(told) == {"kind", "message", "hint"}
    assert told["message"] in err
    return err


def test_a_plan_is_printed_and_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("--mapping", "mapping.json") == 0
    text = capsys.readouterr().out
    assert "Who runs what" in text
    assert "plan written to plan; `shoal run plan` runs it" in text
    chosen = codec.load(Plan, here / "plan" / "plan.json")
    kept = sorted((here / "plan" / "front").glob("*.json"))
    assert chosen in [codec.load(Plan, path) for path in kept]
    assert json.loads((here / "mapping.json").read_text()).keys() == set(chosen.units)


def test_the_keys_are_those_promised(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys)
    assert {"front", "chosen"} <= set(told)
    for row in told["front"]:
        assert set(row) == {
            "latency_s",
            "throughput_items_per_s",
            "energy_j",
            "memory_bytes",
            "strategy",
            "placement",
        }
        assert sum(len(ops) for ops in row["placement"].values()) == 65
        assert set(row["energy_j"]) == {unit.partition("/")[0] for unit in row["placement"]}
        assert row["latency_s"] > 0
    chosen = told["front"][told["chosen"]]
    assert chosen["throughput_items_per_s"] >= 0.98 * max(row["throughput_items_per_s"] for row in told["front"])


def test_extremes_are_shown_and_limits_flow_through(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free = answer(capsys)["front"]
    most = {key: [max(row[key].values()) for row in free] for key in ("energy_j", "memory_bytes")}
    for goal, key in (("energy", "energy_j"), ("memory", "memory_bytes")):
        told = answer(capsys, "--minimize", goal)
        best = max(told["front"][told["chosen"]][key].values())
        assert min(most[key]) <= best * 1.0001
        assert best <= min(most[key]) * 1.021
    tight = answer(capsys, "--limit", "memory=100MiB", "--limit", "latency=30 ms")["front"]
    assert all(max(row["memory_bytes"].values()) <= 100 * 2**20 and row["latency_s"] <= 0.03 for row in tight)
    assert max(most["memory_bytes"]) > 100 * 2**20  # the limit took something away


def test_an_earlier_front_does_not_linger(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = answer(capsys)["front"]
    few = answer(capsys, "--exclude", "nano", "--exclude", "pi-1")["front"]
    assert len(few) < len(many)
    assert len(list((here / "plan" / "front").iterdir())) == len(few)


def test_wishes_arrive(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(
        capsys, "--pin", "r0=pi-1", "--exclude", "nano/gpu", "--engine", "ncnn", "--window", "9", "--items", "5"
    )
    assert all("r0" in row["placement"]["pi-1/cpu"] for row in told["front"])
    assert not any("nano/gpu" in row["placement"] for row in told["front"])
    chosen = codec.load(Plan, here / "plan" / "plan.json")
    assert (chosen.workload.items, chosen.window) == (5, 9)
    assert {group.engine for group in chosen.replicas[0].groups} == {"ncnn"}
    shared = answer(capsys, "--shares", "3,1,0,0")
    assert [list(row["placement"]) for row in shared["front"]] == [["pi-0/cpu", "pi-1/cpu"]]


def test_a_mapping_written_is_a_mapping_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "--mapping", "mapping.json")
    again = answer(capsys, "--planner", "mapping_file:path=mapping.json")
    assert again["front"][0]["placement"] == told["front"][told["chosen"]]["placement"]
    content = json.loads((here / "mapping.json").read_text())
    (here / "wrong.json").write_text(json.dumps({**content, "mars": ["r0", "nonsense"]}))
    said = complaint(capsys, 2, "--planner", "mapping_file:path=wrong.json")
    assert all(part in said for part in ("mars", "mapped twice: r0", "not in the model: nonsense"))


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--limit", "memory=30MiB"], 1, "no plan fits the memory"),
        (["--limit", "latency=1us"], 1, "no plan is quick enough"),
        (["--limit", "energy=1uJ"], 1, "no plan is frugal enough"),
        (["--limit", "memory=200"], 2, "without its unit"),
        (["--limit", "memory=-1GiB"], 2, "out of range"),
        (["--limit", "memory=3s"], 2, "another kind of unit"),
        (["--limit", "memroy=1GiB"], 2, "did you mean 'memory'?"),
        (["--shape", "data_0"], 2, "--shape"),
        (["--shape", "data_0=1,x"], 2, "--shape"),
        (["--shape", "data_1=1,3,224,224"], 2, "data_0"),
        (["--pin", "r0"], 2, "--pin"),
        (["--pin", "r0=mars"], 2, "mars"),
        (["--pin", "r0=nano", "--pin", "r0=pi-0"], 2, "pinned twice"),
        (["--pin", "zzzz=nano"], 2, "zzzz"),
        (["--shares", "3;1"], 2, "--shares"),
        (["--shares", "3,nan,1,1"], 2, "--shares"),
        (["--shares", "3,1"], 2, "needed 4"),
        (["--exclude", "nan"], 2, "did you mean 'nano'?"),
        (["--minimize", "througput"], 2, "did you mean 'throughput'?"),
        (["--minimize", ","], 2, "no goal"),
        (["--planner", "chaindp"], 2, "did you mean 'chain_dp'?"),
        (["--planner", "chain_dp:order=some"], 2, "order"),
        (["--planner", "mapping_file:path=none.json"], 2, "none.json"),
        (["--engine", "tensorrt"], 2, "tensorrt"),
        (["--window", "-1"], 2, "window"),
        (["--items", "0"], 2, "--items"),
        (["--colour", "red"], 2, "--colour"),
    ],
)
def test_wishes_that_cannot_be(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, says: str
) -> None:
    assert says in complaint(capsys, code, *options)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (FLEET.replace("jetson-nano", "jetson-nanno"), "did you mean 'jetson-nano'?"),
        (FLEET.replace("100 Mbit/s", "100"), "without its unit"),
        (FLEET.replace("1 ms", "-1 ms"), "out of range"),
        (FLEET.replace("memory_limit", "memory_limits"), "unknown key"),
        (FLEET.replace("[default_link]", "[default_link"), "fleet.toml"),
        ("", "devices"),
        (FLEET.partition("[default_link]")[0], "no link joins"),
    ],
)
def test_fleets_that_cannot_be(here: Path, capsys: pytest.CaptureFixture[str], content: str, says: str) -> None:
    (here / "fleet.toml").write_text(content)
    assert says in complaint(capsys, 2)


def test_models_that_cannot_be(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = light("squeezenet").read_bytes()
    (here / "short.onnx").write_bytes(whole[: len(whole) // 2])
    (here / "noise.onnx").write_bytes(bytes(range(256)) * 40)
    (here / "empty.onnx").write_bytes(b"")
    write(model([node("Relu", "x", "y")], [info("x", ["batch", 3])], ["y"]), here, "open.onnx")
    strange = node("Frobnicate", "x", "y", domain="my.own")
    made = model([strange], [info("x", [1, 3])], ["y"])
    made.opset_import.add(domain="my.own", version=1)
    write(made, here, "strange.onnx")
    for name, says in (
        ("none.onnx", "none.onnx"),
        ("short.onnx", "short.onnx"),
        ("noise.onnx", "noise.onnx"),
        ("empty.onnx", "empty.onnx"),
        ("open.onnx", "batch"),
        ("strange.onnx", "Frobnicate"),
    ):
        assert says in complaint(capsys, 2, model=name)
    assert plan("--shape", "batch=2", model="open.onnx") == 0
    assert plan("--shape", "x=2,3", model="open.onnx") == 0


def test_a_state_is_planned_run_and_simulated(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(NETS["double"].proto, here, "double.onnx")
    carry = ["--carry", "h=h2", "--carry", "g=g2"]
    assert plan(*carry, "--pin", "xa=pi-0", "--pin", "y=nano", model="double.onnx") == 0
    capsys.readouterr()
    made = codec.load(Plan, here / "plan" / "plan.json")
    assert made.model.carried == (Carried("h", "h2"), Carried("g", "g2"))
    assert any("the state 'h' stays on" in reason for reason in made.reasons)
    assert run(["run", "plan", "--items", "9", "--over", "memory", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs_match"] is True
    assert run(["simulate", "plan", "--items", "9", "-o", "simulated.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == 9


@pytest.mark.parametrize("place", ["model.onnx", "model.onnx/plan"])
def test_a_place_that_cannot_be_written(here: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    assert place in complaint(capsys, 2, "-o", place)
