from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.plan.chain import Chain, evaluate
from shoal.plan.chain_alike import alike_units
from shoal.plan.enumerate import all_plans
from tests.plan.chains_at_random import alike_chain, random_chain


@pytest.mark.parametrize("seed", range(12))
def test_units_of_one_kind_are_found_and_exchanging_them_changes_no_score(seed: int) -> None:
    chain = alike_chain(seed, 3, (2, 1))
    first = alike_units(chain)
    assert sorted(np.unique(first, return_counts=True)[1].tolist()) == [1, 2]
    (one, other) = (unit for unit in range(3) if first.count(first[unit]) == 2)
    swap = {one: other, other: one}
    for plan in all_plans(chain, "any"):
        swapped = [(a, b, swap.get(unit, unit)) for a, b, unit in plan]
        assert evaluate(chain, swapped) == evaluate(chain, plan)


def test_unlike_units_are_told_apart() -> None:
    assert alike_units(random_chain(3, 5, 4)) == (0, 1, 2, 3)


def changed(chain: Chain, name: str, place: tuple[int, ...]) -> Chain:
    values = getattr(chain, name).copy()
    values[place] += 1
    return replace(chain, **{name: values})


@pytest.mark.parametrize(
    ("name", "place"),
    [("seconds", (1, 0)), ("joules", (0, 1)), ("recv_j", (0,)), ("exit_s", (1,)), ("hop_s", (2, 0, 1))],
)
def test_one_difference_is_enough(name: str, place: tuple[int, ...]) -> None:
    chain = replace(alike_chain(0, 4, (2,)), seconds=np.ones((4, 2)), hop_s=np.ones((5, 2, 2)))
    assert alike_units(chain) == (0, 0)
    assert alike_units(changed(chain, name, place)) == (0, 1)


def test_a_way_to_a_third_unit_tells_two_apart() -> None:
    chain = replace(alike_chain(0, 4, (3,)), hop_s=np.ones((5, 3, 3)))
    assert alike_units(chain) == (0, 0, 0)
    assert alike_units(changed(chain, "hop_s", (1, 0, 2))) == (0, 1, 2)


def test_units_of_one_device_and_another_one_differ() -> None:
    chain = alike_chain(0, 4, (3,))
    assert alike_units(replace(chain, device_of=np.array([0, 0, 1]))) == (0, 0, 2)
