"""`shoal trace`: of a file with a device's queue, and of a model on a CPU, which has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shoal.measure.trace import save_chrome
from shoal.sim import simulate_launches


@pytest.fixture
def file(tmp_path: Path) -> Path:
    names = ["embed", *["norm", "mm", "add"] * 4]
    emitted = [2e-6 * (at + 1) for at in range(len(names))]
    save_chrome(simulate_launches(names, emitted, [5e-6] * len(names), 1e-6), tmp_path / "queue.json")
    return tmp_path / "queue.json"


def test_a_queue_is_told_by_its_launches_and_its_chains(shoal: Any, file: Path, tmp_path: Path) -> None:
    found = shoal("trace", file, "--json", "--csv", tmp_path / "all.csv").json
    assert found["queue"]
    assert found["metrics"]["kernels"] == 13
    assert found["metrics"]["mean_kernel_s"] == pytest.approx(5e-6)
    assert found["metrics"]["tklqt_s"] == pytest.approx(13e-6 + 3e-6 * 13 * 12 / 2)
    assert [(each["length"], each["fused"], each["kernels_left"]) for each in found["fusions"]] == [(2, 4, 9)]
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 1 + 3 * 13
    shown = shoal("trace", file).out
    assert "TKLQT" in shown
    assert "chains that always follow" in shown


def test_a_model_on_a_cpu_has_no_queue(shoal: Any) -> None:
    pytest.importorskip("transformers")
    found = shoal("trace", "llama", "--tokens", "4", "--steps", "2", "--json").json
    assert not found["queue"]
    metrics = found["metrics"]
    assert "tklqt_s" not in metrics
    assert 0 < metrics["kernel_s"] < metrics["inside_s"] <= metrics["latency_s"]
    assert metrics["kernels"] < metrics["operators"]
    assert max(each["ideal_speedup"] for each in found["fusions"]) > 1.2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no.json",), "cannot read"),
        (("lama",), "did you mean 'llama'?"),
        (("{file}", "--csv", "{file}/none/x.csv"), "x.csv"),
        (("llama", "--steps", "2", "--batch", "2"), "one sequence"),
        (("one.json",), "correlation ids were dropped"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], told: str, shoal: Any, file: Path) -> None:
    if "llama" in arguments:
        pytest.importorskip("transformers")
    events = json.loads(file.read_text())["traceEvents"]
    Path("one.json").write_text(json.dumps({"traceEvents": [each for each in events if each["name"] != "embed"]}))
    done = shoal("trace", *(each.format(file=file) for each in arguments))
    assert told in done.complaint or told in done.err
