"""What every technique promises that places experts: all of them placed, room kept, its objective that of the evaluator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.plan.experts import FAMILY, Combine, ExpertProblem, Placed, flows, placed, problem
from tests.plan.experts.cases import SHAPE, case, drawn, nodes, unlike

pytest.importorskip("highspy")
pytest.importorskip("scipy")
NAMES = catalog.names(FAMILY)
SIMPLE = ("contiguous", "random", "lpt", "communication")
COMBINES: tuple[Combine, ...] = ("home", "stay")


def check(asked: ExpertProblem, found: Placed) -> None:
    layers, experts = asked.flow.loads.shape[1:]
    assert found.placement.array.shape == (layers, experts)
    assert found.placement.array.min() >= 0
    assert (found.placement.held(len(asked.slots)) <= asked.slots).all()
    judged = asked.evaluated(found.placement)
    assert found.objective_s <= judged.step_s * (1 + 1e-9) + 1e-15, (
        "the busiest in the mean is no more than the mean busiest"
    )
    assert found.gap is None or found.gap >= 0


@pytest.mark.parametrize("combine", COMBINES)
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1 << 20))
def test_experts_are_placed_where_there_is_room(name: str, combine: Combine, seed: int) -> None:
    slots = int(np.random.default_rng(seed).integers(4, 9))  # eight experts, two hosts: no room to spare, or plenty
    asked = case(seed, combine, slots=slots)
    found = placed(name, asked)
    check(asked, found)
    assert placed(name, asked) == found


@pytest.mark.parametrize("combine", COMBINES)
@pytest.mark.parametrize("name", NAMES)
def test_steps_of_real_size_on_three_unlike_hosts(name: str, combine: Combine) -> None:
    asked = problem(flows(drawn(3, tokens=90), 3, step_tokens=30), unlike(3, 3, 5), SHAPE, combine)
    check(asked, placed(name, asked))


@pytest.mark.parametrize("combine", COMBINES)
@pytest.mark.parametrize("name", ["local", "ilp", "joint"])
def test_what_searches_is_no_worse_than_what_does_not(name: str, combine: Combine) -> None:
    for seed in range(2):
        asked = problem(flows(drawn(seed, experts=6), 4), nodes(2, 2, 6), SHAPE, combine)
        found = placed(f"{name}:time_limit_s=1" if name != "local" else name, asked)
        others = [placed(each, asked).objective_s for each in SIMPLE]
        assert found.objective_s <= min(others) * (1 + 1e-9)
