import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.record import Run
from shoal.report import figures


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_quantile_is_numpys(values: list[float], share: float) -> None:
    assert figures.quantile(values, share) == pytest.approx(float(np.quantile(values, share)))


def test_quantile_of_nothing_is_not_known() -> None:
    assert figures.quantile([], 0.5) is None
    assert figures.quantile([math.nan, math.inf, 2.0], 0.5) == 2.0


def test_relative_error_is_against_what_was_obtained() -> None:
    assert figures.relative_error(110.0, 100.0) == pytest.approx(0.1)
    assert figures.relative_error(90.0, 100.0) == pytest.approx(-0.1)
    assert figures.relative_error(1.0, 0.0) is None
    assert figures.relative_error(None, 1.0) is None
    assert figures.relative_error(1.0, None) is None


def test_whole_compares_like_with_like(run: Run) -> None:
    found = {figure.key: figure for figure in figures.whole(run)}
    assert found["throughput_items_per_s"].obtained == pytest.approx(1 / 0.0416)
    assert found["throughput_items_per_s"].predicted == pytest.approx(1 / 0.0405)
    assert found["throughput_items_per_s"].provenance == "emulated"  # it is the period's
    assert found["period_s"].error == pytest.approx(0.0405 / 0.0416 - 1)
    assert found["latency_p50_s"].obtained == pytest.approx(float(np.median(run.latencies_s)))
    assert found["energy_per_item_j"].obtained == pytest.approx(0.211 + 0.483 + 0.655)
    assert found["energy_per_item_j"].predicted == pytest.approx(0.204 + 0.502 + 0.611)
    assert found["peak_bytes"].obtained == 240 * 2**20


def test_device_figures_are_per_item_and_per_unit(run: Run) -> None:
    found = {figure.key: figure for figure in figures.device(run, "nano")}
    assert found["utilisation"].obtained == pytest.approx(0.0499 / 0.0416 / 2)  # two units
    assert found["utilisation"].predicted == pytest.approx(0.0488 / 0.0405 / 2)
    assert found["energy_per_item_j"].obtained == pytest.approx(0.483)
    assert found["sent_per_item_bytes"].error == 0
    assert found["items"].obtained == run.items


def test_items_are_unknown_once_spans_were_dropped(run: Run) -> None:
    assert figures.pick(figures.device(replace(run, spans_dropped=1), "nano"), "items").obtained is None


def test_memory_falls_back_to_what_was_resident(run: Run) -> None:
    devices = {name: replace(had, peak_bytes=None) for name, had in run.devices.items()}
    known = replace(run, devices=devices, provenance={"resident_bytes": "measured"})
    figure = figures.pick(figures.whole(known), "peak_bytes")
    assert (figure.obtained, figure.provenance) == (188 * 2**20, "measured")


@pytest.mark.parametrize(
    ("match", "words"), [(True, "match (largest"), (False, "DIFFER (largest"), (None, "not compared")]
)
def test_verdict_names_the_difference(run: Run, match: bool | None, words: str) -> None:
    verdict = figures.verdict(replace(run, outputs_match=match))
    assert verdict.startswith(words)
    assert ("allowed 0.00012" in verdict) == (match is not None)


def test_odd_runs_have_figures(odd_run: Run) -> None:
    for figure in (
        *figures.whole(odd_run),
        *(f for name in odd_run.devices for f in figures.device(odd_run, name)),
    ):
        assert figure.error is None or math.isfinite(figure.error)


def test_a_single_item_is_compared_with_one_alone(run: Run) -> None:
    assert figures.pick(figures.whole(run), "latency_p50_s").predicted == 0.151
    assert figures.pick(figures.whole(replace(run, items=1)), "latency_p50_s").predicted == 0.138
