"""Carbon as an objective: by hand, on a network over real boards, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shoal import catalog
from shoal.errors import InputError, PlanError
from shoal.fleet import Fleet, load
from shoal.graph import Graph
from shoal.plan.objectives.carbon import Carbon
from shoal.record import CarbonRates, Prediction
from tests.plan.test_search import found
from tests.plan.toys import light_graph, three

SECOND_HAND = Path(__file__).parents[2] / "examples" / "fleets" / "second_hand.toml"
RATES = CarbonRates({"a": 3e-8, "b": 1e-8}, {"a": 1e-7, "b": 2e-7}, 6e-7)
PREDICTION = Prediction(0.5, 1.0, 1.0, {"b": 2.0}, {"b": 0}, {"b": 0}, {"b": 0.4}, RATES)


@pytest.fixture(scope="module")
def network() -> Graph:
    return light_graph("squeezenet")


@pytest.fixture(scope="module")
def boards() -> Fleet:
    return load(SECOND_HAND)


def test_a_value_by_hand() -> None:
    assert Carbon(1.0).predicted(PREDICTION) == pytest.approx(0.5 * 1e-8 / 4e-8)
    assert Carbon(0.0).predicted(PREDICTION) == pytest.approx(2.0 * 2e-7 / 6e-7)
    kilograms = 0.5 * 1e-8 + 2.0 * 2e-7
    assert Carbon().predicted(PREDICTION) == pytest.approx(kilograms)
    own = Carbon(4e-8 / (4e-8 + 6e-7))  # the fleet's share by kilograms: the same, over what it emits in a second
    assert own.predicted(PREDICTION) == pytest.approx(kilograms / (4e-8 + 6e-7))


def test_the_share_decides_which_boards_work(network: Graph, boards: Fleet) -> None:
    running, making = (found(network, boards, goals=(f"carbon:alpha={alpha}",)).plan for alpha in (0.1, 0.9))
    assert {unit.partition("/")[0] for unit in running.units} == {"orin"}  # new, and takes little
    assert {unit.partition("/")[0] for unit in making.units} == {"laptop"}  # was made for somebody else
    assert making.reasons == ("the best of what laptop can do without the others; each device that is used counts",)
    for alpha, best, other in ((0.1, running, making), (0.9, making, running)):
        assert Carbon(alpha).predicted(best.prediction) < Carbon(alpha).predicted(other.prediction)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_no_single_device_is_better_than_what_is_chosen(alpha: float, network: Graph, boards: Fleet) -> None:
    goal = f"carbon:alpha={alpha}"
    chosen = Carbon(alpha).predicted(found(network, boards, goals=(goal,)).plan.prediction)
    for device in boards.devices:
        others = tuple(each.name for each in boards.devices if each is not device)
        alone = found(network, boards, goals=(goal,), exclude=others).plan
        assert chosen <= Carbon(alpha).predicted(alone.prediction) * 1.021  # fewer units within two per cent


def test_a_goal_that_planners_know_is_searched_as_before(network: Graph, boards: Fleet) -> None:
    assert found(network, boards).exact
    assert not found(network, boards, goals=("carbon",)).exact


def test_what_is_refused(network: Graph, boards: Fleet) -> None:
    with pytest.raises(InputError, match="no share of the embodied carbon"):
        catalog.make("plan/objectives", "carbon:alpha=1.5")
    with pytest.raises(InputError, match="no option 'alfa'"):
        found(network, boards, goals=("carbon:alfa=1",))
    with pytest.raises(PlanError, match="does not say what its making and its electricity emit"):
        found(network, three(), goals=("carbon",))
    free = replace(PREDICTION, carbon=replace(RATES, full_kg_per_s=0.0))
    with pytest.raises(InputError, match="emits nothing"):
        Carbon(0.5).predicted(free)
    assert Carbon().predicted(free) == Carbon().predicted(PREDICTION)  # kilograms are over nothing
