from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shoal import codec
from shoal.plan import Plan
from shoal.record import Run


def test_json_keys_and_labels(shoal: Any, plan: Path) -> None:
    found = shoal("simulate", plan, "--items", 12, "--json").json
    assert found["items"] == 12
    assert set(found) >= {
        "items", "throughput_items_per_s", "latency_s", "outputs_match", "max_abs_difference", "provenance",
        "devices", "predicted", "prediction_error", "goals",
    }  # fmt: skip
    assert set(found["latency_s"]) == {"p50", "p99"}
    assert set(found["devices"]) == {"pi", "zero"}
    assert set(found["devices"]["pi"]) == {
        "busy_s", "cpu_s", "energy_j", "resident_bytes", "weights_bytes", "sent_bytes", "received_bytes",
    }  # fmt: skip
    assert set(found["provenance"].values()) == {"simulated", "predicted"}
    assert found["outputs_match"] is None


def test_the_plan_predicts_what_the_simulator_obtains(shoal: Any, plan: Path) -> None:
    found = shoal("simulate", plan, "--items", 64, "--json").json
    assert found["prediction_error"]["period"] == pytest.approx(0, abs=1e-6)


def test_an_item_alone_takes_what_the_plan_says(simulated: Path, plan: Path) -> None:
    decided = codec.load(Plan, plan / "plan.json")
    assert codec.load(Run, simulated).alone_latency_s == pytest.approx(decided.prediction.alone_latency_s)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits(columns: int, shoal: Any, plan: Path) -> None:
    done = shoal("simulate", plan, columns=columns)
    assert done.code == 0
    assert "simulated" in done.out
    assert "run written to run.json" in done.out
    assert Path("run.json").exists()
    assert max(map(len, done.out.splitlines())) <= columns


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no-plan",), "no-plan: cannot read: No such file"),
        (("run.json",), "run.json: not a plan"),
        (("{plan}", "--items", "0"), "Invalid value for '--items'"),
        (("{plan}", "--items", "many"), "Invalid value for '--items'"),
        (("{plan}", "-o", "run.json/x"), "run.json/x: cannot write"),
        (("{plan}/front",), "cannot read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes(arguments: tuple[str, ...], told: str, shoal: Any, plan: Path) -> None:
    Path("run.json").write_text("{}")
    assert told in shoal("simulate", *(each.format(plan=plan) for each in arguments)).complaint


def test_a_model_on_one_machine_that_is_not_here(shoal: Any, model: Path) -> None:
    found = shoal("simulate", model, "--on", "systolic+rows=16", "--json").json
    done = [op for op in found["ops"] if not op["taken"]["refusal"]]
    assert 0 < len(done) < len(found["ops"])
    assert {op["kind"] for op in done} <= {"Conv", "Gemm", "MatMul", "Reshape", "Flatten"}
    assert found["seconds"] == pytest.approx(sum(op["taken"]["seconds"] for op in done))
    assert found["provenance"] == "simulated"
    told = shoal("simulate", model, "--on", "systolic+rows=16", columns=120)
    assert told.code == 0
    assert "Energy by component" in told.out
    assert "systolic: no unit (needed Conv, Gemm, MatMul): " in " ".join(told.out.split())


def test_machines_that_are_none_are_refused_at_the_door(shoal: Any, model: Path) -> None:
    assert "did you mean 'systolic'?" in shoal("simulate", model, "--on", "systolc").err
    assert "rows 0" in shoal("simulate", model, "--on", "systolic+rows=0").err
