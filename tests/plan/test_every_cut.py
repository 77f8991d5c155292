"""Every cut as a plan, held against the list of legal cuts and the simulator."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.cost.models.roofline import Roofline
from shoal.errors import FleetError, PlanError
from shoal.graph import cuts, load
from shoal.plan import ModelRef
from shoal.plan.every_cut import CutPlan, every_cut, pair_of, spread
from tests.graph.models import info, model, node, write
from tests.plan.toys import device, fleet, light_graph

PAIR = fleet(device("a", 10), device("b", 25))


def planned(**options: object) -> tuple[CutPlan, ...]:
    graph = light_graph("squeezenet")
    reference = ModelRef("squeezenet", graph.source, graph.sha256)
    costs = Roofline().over(graph, PAIR, ())
    return every_cut(graph, reference, PAIR, costs, ("a/cpu", "b/cpu"), **options)  # type: ignore[arg-type]


def test_there_is_a_plan_for_each_legal_cut_and_it_divides_there() -> None:
    graph = light_graph("squeezenet")
    found = planned()
    assert [each.cut for each in found] == list(cuts(graph))
    names = [op.name for op in graph.ops]
    for each in found:
        first, second = each.plan.replicas[0].groups
        assert (first.unit, second.unit) == ("a/cpu", "b/cpu")
        assert [*first.ops, *second.ops] == names
        assert first.ops[-1] == each.after
        assert each.fits


def test_the_twin_says_what_the_simulator_says() -> None:
    for each in planned():
        assert each.plan.prediction.period_s == pytest.approx(each.twin.period_s, rel=1e-6)
        assert each.plan.prediction.alone_latency_s == pytest.approx(each.twin.latency_s, rel=1e-6)


def test_only_some_of_them_with_a_window_of_ones_own() -> None:
    found = planned(numbers=(5, 2, 5), window=7)
    assert [each.number for each in found] == [2, 5]
    assert {each.plan.window for each in found} == {7}


def test_more_cuts_where_several_tensors_may_cross() -> None:
    assert len(planned(multi=True)) > len(planned())


@pytest.mark.parametrize("number", [-1, 22])
def test_a_number_out_of_range(number: int) -> None:
    with pytest.raises(PlanError, match="no cut has the number") as caught:
        planned(numbers=(number,))
    assert caught.value.needed == "0 to 21"


def test_a_network_without_a_legal_cut(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "y")]
    graph = load(write(model(nodes, [info("x", [1, 4])], ["y"]), tmp_path))
    with pytest.raises(PlanError, match="no legal cut"):
        every_cut(graph, ModelRef("one", "", ""), PAIR, Roofline().over(graph, PAIR, ()), ("a/cpu", "b/cpu"))


def test_two_devices_it_must_be() -> None:
    graph = light_graph("squeezenet")
    assert pair_of(graph, PAIR) == ("a/cpu", "b/cpu")
    assert pair_of(graph, PAIR, ("b", "a/cpu")) == ("b/cpu", "a/cpu")
    three = fleet(device("a"), device("b"), device("c"))
    for names in ((), ("a",), ("a", "a"), ("a", "b", "c"), ("a", "a/cpu")):
        with pytest.raises(PlanError, match="between two units"):
            pair_of(graph, three, names)
    with pytest.raises(FleetError, match="'d'"):
        pair_of(graph, three, ("a", "d"))


@given(st.integers(1, 200), st.integers(1, 40))
def test_a_spread_keeps_the_ends(count: int, most: int) -> None:
    found = spread(count, most)
    assert len(found) <= min(count, most)
    assert found[0] == 0
    assert most == 1 or found[-1] == count - 1
    assert list(found) == sorted(set(found))
