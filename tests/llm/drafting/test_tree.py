"""Trees: who sees whom, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import WireError
from shoal.llm.drafting import ROOT, Budget, Tree

BRANCHING = Tree.of([5, 6, 7, 8], [ROOT, 0, ROOT, 1])


def test_a_token_sees_itself_and_what_it_stands_on() -> None:
    wanted = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [1, 1, 0, 1]]
    np.testing.assert_array_equal(BRANCHING.seen, np.array(wanted, bool))
    assert BRANCHING.depths.tolist() == [1, 2, 1, 3]
    assert BRANCHING.children == {ROOT: [0, 2], 0: [1], 1: [3]}
    BRANCHING.check(9, 4)


def test_a_chain_is_a_tree() -> None:
    chain = Tree.chain([3, 3, 3])
    assert chain.depths.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(chain.seen, np.tri(3, dtype=bool))
    Tree.chain([]).check(1, 0)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (Tree.of([1, 2], [ROOT]), "each with a parent"),
        (Tree.of([1, 2, 3], [ROOT, 0, 1]), "at most 2"),
        (Tree.of([4], [ROOT]), "tokens below 4"),
        (Tree.of([-1], [ROOT]), "tokens below 4"),
        (Tree.of([1, 2], [ROOT, 1]), "parents before"),
        (Tree.of([1], [-2]), "parents before"),
        (Tree.of([1, 1], [ROOT, ROOT]), "siblings that differ"),
        (Tree.of([1], [ROOT], np.full((1, 3), 1 / 3, np.float32)), "over 4 tokens"),
        (Tree.of([1], [ROOT], np.full((1, 4), 0.5, np.float32)), "can be drawn from"),
        (Tree.of([1], [ROOT], np.array([[1, 0, 0, 0]], np.float32)), "can be drawn from"),
        (Tree.of([1], [ROOT], np.array([[np.nan, 1, 0, 0]], np.float32)), "can be drawn from"),
    ],
)
def test_what_is_no_tree_is_refused(tree: Tree, told: str) -> None:
    with pytest.raises(WireError, match=told):
        tree.check(4, 2)


def test_a_budget_is_cut_to_what_is_left() -> None:
    assert Budget.chain(5).within(2) == Budget.chain(2)
    assert Budget(5, 3, 12).within(2) == Budget(2, 3, 12)
    assert Budget(5, 3, 12).within(0).tokens == 0
