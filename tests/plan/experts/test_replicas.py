"""Busy experts held more than once: shares that sum to one, memory kept, and what they cost counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.plan.experts import (
    Combine,
    Curve,
    Evaluation,
    ExpertPlacement,
    Wire,
    clustered,
    flows,
    placed,
    problem,
    replicated,
    shared,
)
from tests.plan.experts.cases import SHAPE, case, trace


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 20), slots=st.integers(4, 9))
def test_copies_keep_to_the_memory_and_never_cost_more(seed: int, slots: int) -> None:
    asked = case(seed, "home", slots=slots)
    placement = placed("contiguous", asked).placement
    shares, flow = replicated(asked, placement), asked.flow.mean()
    np.testing.assert_allclose(shares.sum(-1), 1)
    assert (shares[np.arange(2)[:, None], np.arange(4), placement.array] > 0).all()  # nobody gives an expert up
    assert ((shares > 0).sum((0, 1)) <= slots).all()
    before, after = (shared(asked, each, flow) for each in (np.eye(2)[placement.array], shares))
    assert tails_s(after) <= tails_s(before)


@pytest.mark.parametrize("combine", ["home", "stay"])
def test_without_memory_to_spare_nothing_is_copied_and_costs_are_those_of_the_placement(combine: Combine) -> None:
    asked = case(5, combine, slots=4)
    found = placed("lpt", asked).placement
    cost, wanted = shared(asked, replicated(asked, found), asked.flow), asked.evaluated(found)
    np.testing.assert_allclose(cost.host_s, wanted.host_s)
    np.testing.assert_allclose(cost.sent_bytes, wanted.sent_bytes)
    assert cost.step_s == pytest.approx(wanted.step_s)


def test_the_busiest_is_copied_first_and_its_tokens_are_halved() -> None:
    routes = trace(np.repeat([0, 1, 2, 3], [50, 30, 10, 10])[:, None, None], 4)
    fleet = clustered(Curve((1, 2), (1e-6, 2e-6)), 1, 2, slots_bytes=3 * SHAPE.weight_bytes, inside=Wire("port", 1e9),
                      between=Wire("port", 1e9))  # fmt: skip
    asked = problem(flows(routes, 2), fleet, SHAPE)
    shares = replicated(asked, ExpertPlacement(((0, 0, 1, 1),)))
    assert shares[0, 0].tolist() == [0.5, 0.5]
    assert shares[0, 1:].tolist() == [[1, 0], [0, 1], [0, 1]]  # host 1 has no memory left, host 0 is the busier one
    cost = shared(asked, shares, asked.flow)
    before = asked.evaluated(ExpertPlacement(((0, 0, 1, 1),)))
    assert before.compute_s == pytest.approx(80e-6)
    assert cost.compute_s == pytest.approx(55e-6)  # 25 and 30 tokens


def test_a_copy_costs_what_its_part_of_the_tokens_costs() -> None:
    """Two experts on two hosts, both held by both: half of each one's tokens everywhere, read once each."""
    routes = trace(np.repeat([0, 1], [40, 10])[:, None, None], 2)
    fleet = clustered(Curve((10, 20), (1e-6, 2e-6)), 1, 2, slots_bytes=2 * SHAPE.weight_bytes, inside=Wire("port", 1e9),
                      between=Wire("port", 1e9))  # fmt: skip
    asked = problem(flows(routes, 2), fleet, SHAPE)
    cost = shared(asked, np.full((1, 2, 2), 0.5), asked.flow)
    np.testing.assert_allclose(cost.host_s, [[[3e-6, 3e-6]]])  # 20 tokens; and 5, which take as long as 10


def tails_s(found: Evaluation) -> float:
    return float(found.host_s.max(-1).sum() + found.wire_s.max(-1).sum())
