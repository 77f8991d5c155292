from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.errors import PlanError
from shoal.graph import cuts
from shoal.plan.strategies.stage import Stage
from tests.plan.toys import device, fleet, light_graph, problem, random_chain, three


@pytest.mark.parametrize("shares", [(1, 1, 1), (3, 1, 1), (0, 2, 1), (1, 0, 0), (5, 0.2, 5)])
def test_work_follows_the_shares_as_near_as_cuts_allow(shares: tuple[float, ...]) -> None:
    graph = light_graph("vgg19")
    asked = problem(graph, three())
    groups = Stage().divide(asked, shares).replicas[0].groups
    assert [op for group in groups for op in group.ops] == [op.name for op in graph.ops]
    assert [group.unit for group in groups] == [u for u, share in zip(asked.units, shares, strict=True) if share]
    legal = {cut.after + 1 for cut in cuts(graph)}
    ends = np.cumsum([len(group.ops) for group in groups])[:-1].tolist()
    assert set(ends) <= legal
    macs = np.array([sum(graph.ops[graph.position[op]].macs for op in group.ops) for group in groups])
    wanted = np.array([share for share in shares if share]) / sum(shares)
    assert np.abs(macs / graph.macs - wanted).max() < 0.12


def test_bytes_are_those_of_the_cuts() -> None:
    graph = light_graph("squeezenet")
    groups = Stage().divide(problem(graph, three()), (1, 1, 1)).replicas[0].groups
    crossing = {cut.after + 1: cut.bytes for cut in cuts(graph)}
    ends = np.cumsum([len(group.ops) for group in groups])[:-1].tolist()
    assert Stage().transfer_bytes(problem(graph, three()), (1, 1, 1)) == sum(crossing[end] for end in ends)


def test_every_group_has_an_op_even_where_shares_are_tiny(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 3)
    groups = Stage().divide(problem(graph, three()), (1e-9, 1e-9, 1)).replicas[0].groups
    assert all(group.ops for group in groups)


@pytest.mark.parametrize("shares", [(1, 1), (1, 1, -1), (0, 0, 0), (1, 1, 1, 1)])
def test_shares_that_do_not_fit_are_refused(tmp_path: Path, shares: tuple[float, ...]) -> None:
    with pytest.raises(PlanError, match=r"one figure .* for each unit .*3: a/cpu, b/cpu, c/cpu"):
        Stage().divide(problem(random_chain(tmp_path, 3), three()), shares)


def test_more_units_than_cuts_are_refused(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 0, layers=2)
    many = fleet(*(device(f"d{index}") for index in range(9)))
    with pytest.raises(PlanError, match=f"too few legal cuts .needed 8, had {len(cuts(graph))}"):
        Stage().divide(problem(graph, many), [1] * 9)
