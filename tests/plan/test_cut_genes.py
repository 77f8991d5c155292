from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.plan.planners.chain_dp import ChainDp
from shoal.plan.planners.cut_genes import CutGenes, division_of
from shoal.search import hypervolume
from tests.plan.toys import problem, random_chain, three


@pytest.mark.parametrize(
    ("genes", "groups"),
    [
        ([0, 4, 2], ((0, 2, 0), (2, 4, 2), (4, 8, 1))),
        ([3, 4, 9], ((0, 4, 0), (4, 8, 1))),  # the first begins at 0, the last unit is left out
        ([5, 5, 8], ((5, 8, 1), (0, 5, 0))[::-1]),
        ([0, 0, 0], ((0, 8, 2),)),  # of equal positions the last has the stretch
        ([8, 9, 10], ()),
    ],
)
def test_positions_are_stretches(genes: list[int], groups: tuple[tuple[int, int, int], ...]) -> None:
    assert division_of(genes, 8) == groups


def test_it_comes_near_the_exact_front_and_never_beyond(tmp_path: Path) -> None:
    asked = problem(random_chain(tmp_path, 3, layers=7), three())
    exact = ChainDp().search(asked).scores
    found = CutGenes(population=24, generations=25).search(asked).scores
    corner = np.maximum(exact.max(axis=0), found.max(axis=0)) * 1.1
    share = hypervolume(found, corner) / hypervolume(exact, corner)
    assert 0.95 < share <= 1 + 1e-9
    again = CutGenes(population=24, generations=25).search(asked).scores
    np.testing.assert_array_equal(found, again)
