"""A plan of experts as a file: the same when read again, refused where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import codec
from shoal.errors import InputError, PlanError
from shoal.plan import ModelRef
from shoal.plan.experts import Curve, ExpertPlacement, ExpertPlan, Forecast, flows, placed, problem
from tests.plan.experts.cases import SHAPE, drawn, nodes


def plan() -> ExpertPlan:
    asked = problem(flows(drawn(3, layers=2), 2), nodes(1, 2, 7), SHAPE)
    found, judging = placed("lpt", asked).placement, flows(drawn(4, layers=2), 2)
    forecast = Forecast.of(asked.evaluated(found, judging), judging.loads, found)
    return ExpertPlan(
        ModelRef("small", "/small", "0"), asked.fleet, asked.shape, found, forecast, "lpt", "home", 60, 2, "0"
    )


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = plan()
    codec.save(made, tmp_path / "experts.json")
    assert codec.load(ExpertPlan, tmp_path / "experts.json") == made


def test_a_forecast_counts_each_token_of_an_expert_once() -> None:
    made = plan()
    assert [sum(row) for row in made.forecast.copies] == [120, 120]  # 60 tokens, two experts each
    for layer, row in enumerate(made.placement.hosts):
        loads = drawn(4, layers=2).loads()[layer]
        assert made.forecast.copies[layer] == tuple(float(loads[np.array(row) == at].sum()) for at in (0, 1))
    assert made.forecast.sent_bytes[0][0] == made.forecast.sent_bytes[1][1] == 0
    assert made.forecast.step_s == made.forecast.compute_s + made.forecast.exchange_s


def test_what_balancers_ask_follows_from_hosts_and_wires() -> None:
    made = plan()
    assert sum(made.held) == 8
    assert made.room == tuple(7 - held for held in made.held)
    tokens = 60 * 2 / 4
    assert made.copies_per_s == tuple(
        pytest.approx(tokens / float(host.curve(tokens))) for host in made.fleet.hosts
    )
    slowest = min(wire.bytes_per_s for wire in made.fleet.wires)
    assert made.transfer_s == pytest.approx(made.shape.weight_bytes / slowest)


@pytest.mark.parametrize(("change", "told"), [
    ({"placement": ExpertPlacement(((0, 1, 2, 0),) * 2)}, "a host that is not there"),
    ({"placement": ExpertPlacement(((0, 1), (0,)))}, "a host for each expert"),
    ({"placement": ExpertPlacement(())}, "a host for each expert"),
    ({"placement": ExpertPlacement(((0, 0, 0, 0),) * 2)}, "more experts than it has memory for"),
    ({"per_token": 0}, "sizes that cannot be"),
    ({"forecast": Forecast(((1.0, 2.0),), ((0.0, 0.0),) * 2, 1.0, 1.0)}, "a forecast of another fleet"),
])  # fmt: skip
def test_what_cannot_be_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(PlanError, match=told):
        replace(plan(), **change)


def test_ways_that_cannot_be_are_refused(tmp_path: Path) -> None:
    made = plan()
    for fleet, told in (
        (replace(made.fleet, ways=made.fleet.ways[:1]), "a way from each host"),
        (replace(made.fleet, wires=made.fleet.wires[:1]), "a wire that is not there"),
        (
            replace(made.fleet, wires=tuple(replace(each, bytes_per_s=0.0) for each in made.fleet.wires)),
            "nothing could cross",
        ),
    ):
        with pytest.raises(PlanError, match=told):
            replace(made, fleet=fleet)
    codec.save(made, tmp_path / "experts.json")
    file = tmp_path / "experts.json"
    file.write_text(file.read_text().replace('"per_token": 2', '"per_token": -2'))
    with pytest.raises(InputError, match="not a ExpertPlan: sizes that cannot be"):
        codec.load(ExpertPlan, file)


def test_a_slower_device_has_the_same_curve_higher_up() -> None:
    assert Curve((1, 2), (3.0, 4.0)).slower(0.5) == Curve((1, 2), (6.0, 8.0))
