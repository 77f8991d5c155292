from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.llm import models


def test_a_line_for_each_unit_and_engine(shoal: Any, model: Path, fleet: Path) -> None:
    done = shoal("profile", model, fleet, "--json")
    assert done.code == 0, done.err
    found = done.json
    assert set(found) == {"model", "table", "samples"}
    assert Path(found["table"]).exists()
    assert {sample["engine"] for sample in found["samples"]} >= {"onnxruntime"}
    assert all(sample["median_s"] >= 0 for sample in found["samples"])
    for columns in (80, 120):
        lines = shoal("profile", model, fleet, columns=columns).out.splitlines()  # reads what was just measured
        assert {line.split()[0] for line in lines if "/cpu" in line} == {"pi/cpu", "zero/cpu"}
        assert max(map(len, lines)) <= columns


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no.onnx", "{fleet}"), "no.onnx: cannot read"),
        (("{model}", "no.toml"), "no.toml: cannot read"),
        (("{model}", "{model}"), "four.onnx: not a text file"),
        (("{model}", "odd.toml"), "raspberry-pi-4b-4gb"),
        (("{model}",), "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes(arguments: tuple[str, ...], told: str, shoal: Any, model: Path, fleet: Path) -> None:
    Path("odd.toml").write_text('[devices.pi]\nboard = "raspbery-pi-4b-4gb"\n')
    assert told in shoal("profile", *(each.format(model=model, fleet=fleet) for each in arguments)).complaint


def test_ops_under_the_roofs_of_this_machine(shoal: Any, model: Path) -> None:
    Path("here.toml").write_text('[devices.here]\nboard = "this-machine"\ncores = [0]\n')
    done = shoal("profile", model, "here.toml", "--html", "ops.html")
    assert done.code == 0, done.err
    page = Path("ops.html").read_text()
    assert "onnxruntime, 1 thread of this machine" in page
    assert "memory" in page
    assert "MatMul" in page or "Conv" in page or "Gemm" in page


def test_roofs_of_a_fleet_that_is_elsewhere(shoal: Any, model: Path, fleet: Path) -> None:
    assert 'board = "this-machine"' in shoal("profile", model, fleet, "--html", "ops.html").complaint
    assert not Path("ops.html").exists()


def test_a_language_model_by_its_configuration(shoal: Any, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    file = tmp_path / "config.json"
    file.write_text(json.dumps(models.BAMBA))
    done = shoal("profile", file, "--context", "16,64", "--batch", "1", "--scan", "16", "--repeats", "1", "--json")
    assert done.code == 0, done.err
    assert done.json["energy"] in {"modelled", "measured"}
    assert [(row["context"], row["batch"], row["fault"]) for row in done.json["rows"]] == [(16, 1, ""), (64, 1, "")]
    for row in done.json["rows"]:
        assert min(row["prefill_s"], row["decode_s"], row["memory_bytes"], row["cache_bytes"]) > 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--context", "1000"), "longer than the positions"),
        (("--context", "many"), "lists no sizes"),
        (("--batch", "0"), "lists no sizes"),
        (("fleet.toml", "--batch", "1"), "on this machine alone"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else None,
)
def test_mistakes_with_a_language_model(arguments: tuple[str, ...], told: str, shoal: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(models.LLAMA))
    assert told in shoal("profile", file, *arguments).complaint
