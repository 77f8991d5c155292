from dataclasses import replace

import pytest

from shoal import codec
from shoal.record import Run
from shoal.report import summary

KEYS = {
    "items",
    "throughput_items_per_s",
    "latency_s",
    "outputs_match",
    "max_abs_difference",
    "provenance",
    "devices",
}
DEVICE_KEYS = {
    "busy_s",
    "cpu_s",
    "energy_j",
    "resident_bytes",
    "weights_bytes",
    "sent_bytes",
    "received_bytes",
}


def test_keys_are_those_promised(run: Run) -> None:
    found = summary(run)
    assert found.keys() == KEYS | {
        "predicted",
        "prediction_error",
        "goals",
        "offered_items_per_s",
        "obtained_items_per_s",
    }
    assert found["predicted"].keys() == KEYS
    assert found["prediction_error"].keys() == {"period", "latency"}
    for part in (found, found["predicted"]):
        assert part["latency_s"].keys() == {"p50", "p99"}
        assert part["devices"].keys() == run.devices.keys()
        assert all(figures.keys() == DEVICE_KEYS for figures in part["devices"].values())


def test_predicted_totals_are_for_as_many_items(run: Run) -> None:
    found = summary(run)
    obtained, predicted = found["devices"]["pi-0"], found["predicted"]["devices"]["pi-0"]
    assert predicted["sent_bytes"] == obtained["sent_bytes"]
    assert predicted["energy_j"] == pytest.approx(0.204 * run.items)
    assert found["prediction_error"]["period"] == pytest.approx(0.0405 / 0.0416 - 1)


def test_derived_figures_have_a_provenance_too(run: Run) -> None:
    found = summary(run)["provenance"]
    assert found["throughput_items_per_s"] == found["latency_s"] == "emulated"
    assert found["energy_j"] == "modelled"


def test_without_prediction_the_keys_stay(run: Run) -> None:
    found = summary(replace(run, prediction=None))
    assert found["predicted"] is None
    assert found["prediction_error"] == {"period": None, "latency": None}


def test_odd_runs_become_json(odd_run: Run) -> None:
    assert b"NaN" not in codec.encode(summary(odd_run))
