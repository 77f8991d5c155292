from __future__ import annotations

from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.chain_dp import unlike_chain
from shoal.plan.chain import check_groups, evaluate, feasible
from shoal.plan.chain_fill import fillings
from shoal.plan.chain_solve import solve
from shoal.plan.chain_tables import tabulate


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 4), st.floats(0.2, 2.0))
def test_the_first_filling_has_the_least_period_of_its_order(
    seed: int, pieces: int, units: int, room: float
) -> None:
    chain = unlike_chain(seed, pieces, units)
    limit = np.full(units, 6e7 + room * chain.weights_bytes[:, 0].sum() / units)
    run_s = tabulate(replace(chain, memory_limit=limit)).run_s
    found = list(fillings(run_s, [range(units)]))
    times = []
    for count in range(min(units, pieces)):
        for ends in combinations(range(1, pieces), count):
            for used in combinations(range(units), count + 1):
                bounds = (0, *ends, pieces)
                times.append(max(run_s[unit, bounds[at], bounds[at + 1]] for at, unit in enumerate(used)))
    least_s = min(times)
    assert bool(found) == np.isfinite(least_s)
    for groups in found:
        check_groups(chain, groups)
    if found:
        assert max(run_s[unit, first, last] for first, last, unit in found[0]) == pytest.approx(least_s)


def test_every_order_gives_its_own_plans() -> None:
    chain = unlike_chain(3, 30, 3)
    for order in permutations(range(3)):
        for groups in fillings(tabulate(chain).run_s, [order]):
            used = [unit for _, _, unit in groups]
            assert used == [unit for unit in order if unit in used]


def test_many_unlike_units_with_little_memory_to_spare_still_find_plans() -> None:
    chain = unlike_chain(1, 150, 14)
    weights = np.full_like(chain.weights_bytes, 1e6)
    roomy = np.geomspace(1, 6, 14)
    limit = chain.base_bytes + 1e7 + 1.15 * 150e6 * roomy / roomy.sum()
    tight = replace(chain, weights_bytes=weights, memory_limit=limit, window=1)
    found = solve(tight, goals=("period",), time_limit_s=4)
    assert found.groups
    assert not found.exact
    assert all(feasible(tight, groups) for groups in found.groups)
    best = min(evaluate(tight, groups).period_s for groups in found.groups)
    assert found.objectives[:, 1].min() == best
