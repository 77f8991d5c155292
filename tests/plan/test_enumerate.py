from __future__ import annotations

from math import comb, perm

import numpy as np
import pytest

from shoal.plan.chain import Chain, check_groups
from shoal.plan.enumerate import all_plans


def blank(pieces: int, units: int) -> Chain:
    table, row = np.ones((pieces, units)), np.zeros(units)
    hops = np.zeros((pieces + 1, units, units))
    return Chain(
        table, table, table, table, np.ones(pieces + 1), hops, hops,
        row, row, row, row, row, np.arange(units), row, row + np.inf, 1,
    )  # fmt: skip


@pytest.mark.parametrize(("pieces", "units"), [(1, 1), (1, 3), (5, 1), (4, 3), (6, 4)])
def test_every_plan_comes_once(pieces: int, units: int) -> None:
    chain = blank(pieces, units)
    for order, ways in (("any", perm), ("given", comb)):
        plans = list(all_plans(chain, order))  # type: ignore[arg-type]  # the loop widens the literal
        assert len(set(plans)) == len(plans)
        assert len(plans) == sum(comb(pieces - 1, k - 1) * ways(units, k) for k in range(1, units + 1))
        for plan in plans:
            check_groups(chain, plan)


def test_given_order_only_leaves_units_out() -> None:
    assert all(
        list(units) == sorted(units)
        for plan in all_plans(blank(5, 4), "given")
        for units in [[unit for _, _, unit in plan]]
    )
