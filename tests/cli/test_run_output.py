"""What `shoal run` prints and writes: keys, tables, labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest


@pytest.mark.parametrize("over", ["memory", "shm", "tcp"])
def test_json_keys_over_each_transport(over: str, shoal: Any, plan: Path) -> None:
    done = shoal("run", plan, "--items", 6, "--over", over, "--json")
    assert done.code == 0, done.err
    found = done.json
    assert found["items"] == 6
    assert found["outputs_match"] is True
    assert found["max_abs_difference"] >= 0
    assert set(found["devices"]) == set(found["predicted"]["devices"]) == {"pi", "zero"}
    assert found["devices"]["pi"]["sent_bytes"] == found["predicted"]["devices"]["pi"]["sent_bytes"] > 0
    assert {found["provenance"][key] for key in ("period_s", "busy_s", "sent_bytes")} == {"measured"}
    assert found["provenance"]["energy_j"] == "modelled"
    assert Path("run.json").exists()


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_says_it_was_not_measured_on_the_boards(columns: int, shoal: Any, plan: Path) -> None:
    done = shoal(
        "run", plan, "--items", 4, "--over", "memory", "--no-compare", "-o", "kept/it.json", columns=columns
    )
    assert done.code == 0
    assert done.err == ""  # no progress bar where nobody looks
    assert "measured on this machine, not on" in " ".join(done.out.split())
    assert "not compared" in done.out
    assert Path("kept/it.json").exists()
    assert max(map(len, done.out.splitlines())) <= columns


def test_inputs_from_a_file(shoal: Any, plan: Path) -> None:
    np.save("photos.npy", np.ones((2, 1, 3, 32, 32), np.float32))
    done = shoal("run", plan, "--items", 4, "--over", "memory", "--input", "photos.npy", "--json")
    assert done.json["outputs_match"] is True


def test_a_plan_of_the_front_runs_too(shoal: Any, plan: Path) -> None:
    assert shoal("run", plan / "front" / "00.json", "--items", 2, "--over", "memory", "--json").code == 0


def test_a_trace(shoal: Any, plan: Path) -> None:
    assert shoal("run", plan, "--items", 2, "--over", "memory", "--trace", "trace.json").code == 0
    assert "traceEvents" in Path("trace.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no-plan",), "no-plan: cannot read"),
        (("{plan}", "--over", "shn"), "no transport is called 'shn'\n  hint: did you mean 'shm'?"),
        (("{plan}", "--items", "0"), "Invalid value for '--items'"),
        (("{plan}", "--input", "no.npy"), "no.npy: cannot read"),
        (("{plan}", "--input", "wide.npy"), "input 'image' does not fit the model"),
        (("{plan}", "-o", "wide.npy/run.json"), "wide.npy/run.json: cannot write"),
        (("{plan}", "--trace", "."), "cannot write: it is a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes_are_told_before_anything_starts(
    arguments: tuple[str, ...], told: str, shoal: Any, plan: Path
) -> None:
    np.save("wide.npy", np.ones((1, 3, 32, 33), np.float32))
    assert told in shoal("run", *(each.format(plan=plan) for each in arguments)).complaint
    assert not Path("run.json").exists()


def test_a_model_that_changed_since_is_refused(shoal: Any, model: Path, fleet: Path) -> None:
    Path("own.onnx").write_bytes(model.read_bytes())
    assert shoal("plan", "own.onnx", fleet, "--no-profile").code == 0
    changed = onnx.load("own.onnx")
    changed.graph.node[1].op_type = "Sigmoid"
    onnx.save(changed, "own.onnx")
    complaint = shoal("run", "plan").complaint
    assert "changed since it was planned" in complaint
    assert "hint: plan again" in complaint
