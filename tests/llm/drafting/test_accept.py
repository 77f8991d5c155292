"""What is accepted is the target's own text: exactly, by going through everything that can be drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.llm.drafting import ROOT, Accepted, Budget, Tree, accept_greedy, distributions, drawn
from shoal.llm.service import Sampling
from shoal.study import _dovetail_exact as exact


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("budget", exact.BUDGETS)
def test_drawn_trees_leave_the_distribution_as_it_is(budget: Budget, seed: int) -> None:
    p, q = exact.made_up(seed), exact.made_up(seed + 100)
    assert exact.off(exact.texts(exact.drafted(q, budget), p, 2), p, 2) < 1e-6


@pytest.mark.parametrize(
    "tree",
    [Tree.chain([2, 1]), Tree.of([0, 2, 1], [ROOT, ROOT, 0]), Tree.of([0, 1, 2], [ROOT] * 3), Tree.chain([])],
)
def test_chosen_trees_leave_the_distribution_as_it_is(tree: Tree) -> None:
    p = exact.made_up(5)
    assert exact.off(exact.texts(lambda _: tree, p, 3), p, 3) < 1e-12


def test_a_q_that_did_not_draw_bends_the_distribution() -> None:
    """Which is why temperature and cut of the drafter's draws must be those of its q."""
    p, wrong = exact.made_up(1), np.full((1, 3), 1 / 3, np.float32)
    found = exact.texts(lambda draw: Tree.of([draw(np.array([0.8, 0.1, 0.1]))], [ROOT], wrong), p, 1)
    assert exact.off(found, p, 1) > 0.02


def test_twenty_thousand_draws() -> None:
    source = np.random.default_rng(0)
    p, logits = source.dirichlet(np.ones(8), 3), np.log(source.dirichlet(np.ones(8)))
    good = exact.p_value(
        p, lambda draw: drawn(logits, lambda *_: logits[None], Budget(1, 2, 2), 1.0, draw), 20_000, 1
    )
    assert good > 1e-3
    not_drawn = Tree.of([0], [ROOT], p[:1].astype(np.float32))
    assert exact.p_value(p, lambda _: not_drawn, 4000, 1) < 1e-3


def test_greedy_follows_the_target_and_takes_the_lowest_of_equals() -> None:
    tree = Tree.of([2, 1, 0], [ROOT, ROOT, 1])
    logits = np.array([[0, 5, 5], [9, 0, 0], [7, 7, 0], [0, 0, 1.0]])
    assert accept_greedy(tree, logits) == Accepted((1, 2), 2)
    assert accept_greedy(Tree.chain([]), logits[:1]) == Accepted((), 1)
    assert accept_greedy(Tree.chain([2]), logits[:2]) == Accepted((), 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-20, 20), min_size=3, max_size=6), st.floats(0.1, 5), st.integers(0, 6))
def test_distributions_are_those_of_the_logits(scores: list[float], temperature: float, top_k: int) -> None:
    found = distributions(Sampling(temperature, top_k=top_k), np.array(scores))
    assert found.sum() == pytest.approx(1)
    best = sorted(scores, reverse=True)[: top_k or None]
    for (score, share), (other, another) in itertools.combinations(zip(scores, found, strict=True), 2):
        if min(share, another) > 1e-12:
            assert np.log(share / another) == pytest.approx((score - other) / temperature, abs=1e-6)
    assert all(share == 0 for score, share in zip(scores, found, strict=True) if score < best[-1])


def test_draws_are_cut_as_the_service_cuts_them() -> None:
    """Its candidates fall, and equal ones rise by token."""
    scores = np.round(np.random.default_rng(0).standard_normal(12), 1)
    order = np.argsort(-scores, kind="stable")
    for sampling in (
        Sampling(0.7, top_p=0.8),
        Sampling(1.3, top_k=4),
        Sampling(2.0, 0.5, 6),
        Sampling(1.0, top_p=0.01),
    ):
        drawn_there = {sampling.chosen(scores[order].astype(np.float32), order, place) for place in range(600)}
        assert drawn_there == set(np.flatnonzero(distributions(sampling, scores)).tolist())
