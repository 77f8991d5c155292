from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.errors import PlanError
from shoal.kernels import Kernel, chain_kernel
from shoal.plan.chain import GOALS, Chain, Groups, Order, evaluate, feasible
from shoal.plan.chain_solve import ChainFront, solve
from shoal.plan.enumerate import all_plans
from shoal.search import front, hypervolume, representatives
from tests.plan.chains_at_random import alike_chain, random_chain, real_chain

F64 = NDArray[np.float64]
KERNELS: tuple[Kernel, ...] = ("numpy", "native") if chain_kernel() == "native" else ("numpy",)


def columns(goals: Collection[str]) -> list[int]:
    return [GOALS.index(goal) for goal in goals]


def oracle(chain: Chain, order: Order, goals: Collection[str] = GOALS) -> F64:
    plans = [plan for plan in all_plans(chain, order) if feasible(chain, plan)]
    scores = np.array([evaluate(chain, plan) for plan in plans]).reshape(-1, len(GOALS))[:, columns(goals)]
    return scores[front(scores)]


def assert_real(chain: Chain, found: ChainFront) -> None:
    """Every plan is feasible, scored by the definition, and there once."""
    assert len(set(found.groups)) == len(found.groups) == len(found.objectives)
    for plan, objectives in zip(found.groups, found.objectives, strict=True):
        assert feasible(chain, plan)
        assert evaluate(chain, plan) == tuple(objectives)


def as_set(rows: F64) -> set[tuple[float, ...]]:
    return {tuple(row) for row in rows.tolist()}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("block", range(8))
def test_equals_every_plan_on_hundreds_of_small_chains(block: int, kernel: Kernel) -> None:
    sizes = []
    for seed in range(block * 45, block * 45 + 45):
        rng = np.random.default_rng(seed)
        pieces, units = int(rng.integers(1, 8)), int(rng.integers(1, 5))
        order: Order = "given" if rng.random() < 0.4 else "any"
        goals = rng.permutation(GOALS)[: rng.integers(1, 5)].tolist() if rng.random() < 0.5 else GOALS
        chain = random_chain(seed, pieces, units)
        found, wanted = solve(chain, order, goals, kernel=kernel), oracle(chain, order, goals)
        assert found.exact
        assert as_set(found.objectives[:, columns(goals)]) == as_set(wanted), seed
        assert len(found.groups) == len(wanted), seed
        assert_real(chain, found)
        sizes.append(len(wanted))
    assert sum(size > 1 for size in sizes) >= 12  # enough of them ask something
    assert 0 in sizes or block > 0  # and some have no answer


@pytest.mark.parametrize(("seed", "pieces", "units"), [(1, 12, 3), (2, 12, 3), (3, 20, 3), (4, 37, 2), (5, 9, 4)])
@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_every_plan_where_coarse_passes_come_first(
    seed: int, pieces: int, units: int, kernel: Kernel
) -> None:
    chain = random_chain(seed, pieces, units)
    assert as_set(solve(chain, kernel=kernel).objectives) == as_set(oracle(chain, "any"))


@pytest.mark.parametrize("seed", range(4))
def test_rounding_costs_no_plan(seed: int) -> None:
    chain = real_chain(seed, 14, 3)
    found, wanted = solve(chain).objectives, oracle(chain, "any")
    for some, others in ((found, wanted), (wanted, found)):
        for row in some:
            assert (others <= row * (1 + 1e-9) + 1e-12).all(axis=1).any()


@pytest.mark.parametrize(("pieces", "units", "order"), [(60, 4, "any"), (30, 5, "any"), (40, 6, "given")])
def test_no_random_plan_is_better_than_a_large_front(pieces: int, units: int, order: Order) -> None:
    chain, rng = real_chain(7, pieces, units), np.random.default_rng(0)
    found = solve(chain, order)
    assert found.exact
    assert_real(chain, found)
    for _ in range(500):
        count = int(rng.integers(1, units + 1))
        ends = [0, *sorted(rng.choice(np.arange(1, pieces), count - 1, replace=False).tolist()), pieces]
        used = rng.permutation(units)[:count].tolist()
        used = sorted(used) if order == "given" else used
        score = np.array(evaluate(chain, list(zip(ends[:-1], ends[1:], used, strict=True))))
        assert (found.objectives <= score * (1 + 1e-9)).all(axis=1).any()


def test_one_goal_gives_its_optimum() -> None:
    chain = real_chain(3, 40, 4)
    whole = solve(chain).objectives
    for goal in GOALS:
        alone = solve(chain, "any", (goal,))
        assert len(alone.groups) == 1
        column = GOALS.index(goal)
        assert alone.objectives[0, column] == pytest.approx(whole[:, column].min(), rel=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", range(40))
def test_units_of_one_kind_are_used_up_in_order_and_nothing_is_lost(seed: int, kernel: Kernel) -> None:
    counts = ((2, 2), (3, 1), (4,), (1, 2, 1))[seed % 4]
    chain = alike_chain(seed, 5, counts)
    found = solve(chain, kernel=kernel)
    assert found.exact
    assert as_set(found.objectives) == as_set(oracle(chain, "any"))
    assert_real(chain, found)


@pytest.mark.parametrize("kernel", KERNELS)
def test_nine_units_of_two_kinds_are_few_states(kernel: Kernel) -> None:
    chain = alike_chain(8, 8, (7, 2))
    assert solve(chain, kernel=kernel).exact


@pytest.mark.skipif(chain_kernel() == "numpy", reason="needs the native kernel")
@pytest.mark.parametrize(("units", "order"), [(4, "any"), (6, "given"), (8, "given"), (6, "any")])
def test_both_kernels_find_the_same_front(units: int, order: Order) -> None:
    pieces = 40 if order == "given" or units < 5 else 14
    chain = real_chain(units, pieces, units)
    native = solve(chain, order)
    assert native.exact
    assert_real(chain, native)
    reference = solve(chain, order, kernel="numpy", time_limit_s=100)
    if not reference.exact:  # numpy does not take on so many units: it must at least find nothing better
        both = np.concatenate([native.objectives, reference.objectives])
        assert digits(both[front(both)]) == digits(native.objectives)
    else:
        assert digits(native.objectives) == digits(reference.objectives)


def digits(rows: F64) -> set[tuple[str, ...]]:
    """The front to twelve digits, in which roundings do not show."""
    rounded = np.array([[float(f"{value:.11e}") for value in row] for row in rows.tolist()])
    return {tuple(f"{value:.11e}" for value in rounded[place].tolist()) for place in front(rounded)}


@pytest.mark.parametrize(("units", "kernel"), [(6, "numpy"), (7, "numpy"), (10, None)])
def test_large_fleets_get_real_plans_near_the_front(units: int, kernel: Kernel | None) -> None:
    chain = real_chain(5, 16, units)
    found = solve(chain, "any", kernel=kernel)
    assert not found.exact
    assert_real(chain, found)
    assert len(front(found.objectives)) == len(found.objectives)
    straight = solve(chain, "given", epsilon=0.05).objectives
    corner = np.maximum(found.objectives.max(axis=0), straight.max(axis=0)) * 1.01
    assert hypervolume(_few(found.objectives), corner) > hypervolume(_few(straight), corner)


def _few(points: F64) -> F64:
    return points[:: max(1, len(points) // 60)]


def test_large_fleets_that_cannot_do_it_give_nothing() -> None:
    chain = real_chain(5, 12, 10)
    found = solve(replace(chain, memory_limit=np.zeros(10)))
    assert found.groups == ()
    assert found.objectives.shape == (0, 4)
    blocked = solve(replace(chain, seconds=np.full((12, 10), np.inf)))
    assert blocked.groups == ()


@pytest.mark.parametrize("kernel", KERNELS)
def test_time_limit_gives_real_plans_and_says_so(kernel: Kernel) -> None:
    chain = real_chain(1, 60, 5)
    found = solve(chain, time_limit_s=0.0, kernel=kernel)
    assert not found.exact
    assert len(found.groups) > 0
    assert_real(chain, found)


def test_epsilon_thins_the_front_within_its_size() -> None:
    chain = real_chain(2, 30, 4)
    thin, whole = solve(chain, epsilon=0.1), solve(chain)
    assert not thin.exact
    assert len(thin.groups) < len(whole.groups)
    assert_real(chain, thin)
    for row in whole.objectives:
        assert (thin.objectives <= row * 1.1**4).all(axis=1).any()  # at most one box a unit


@pytest.mark.skipif(chain_kernel() == "numpy", reason="needs the native kernel")
def test_a_front_cut_short_is_near_the_exact_one() -> None:
    chain = real_chain(6, 60, 6)
    early, whole = solve(chain, time_limit_s=0.5).objectives, solve(chain).objectives
    corner = np.maximum(early.max(axis=0), whole.max(axis=0)) * 1.01
    shown, best = (rows[representatives(rows, 60)] for rows in (early, whole))
    assert hypervolume(shown, corner) > 0.9 * hypervolume(best, corner)


@pytest.mark.parametrize("kernel", KERNELS)
def test_same_chain_same_plans(kernel: Kernel) -> None:
    chain = real_chain(4, 12, 5)
    first: tuple[Groups, ...] = solve(chain, kernel=kernel).groups
    assert first == solve(chain, kernel=kernel).groups


@pytest.mark.parametrize("goals", [(), ("speed",), "period"])
def test_goals_that_do_not_exist_are_refused(goals: Collection[str]) -> None:
    with pytest.raises(PlanError, match="goals"):
        solve(real_chain(0, 3, 2), "any", goals)


def test_order_and_epsilon_are_checked() -> None:
    with pytest.raises(PlanError, match="order"):
        solve(real_chain(0, 3, 2), "random")  # type: ignore[arg-type]  # the mistake on purpose
    with pytest.raises(PlanError, match="order or epsilon"):
        solve(real_chain(0, 3, 2), epsilon=-1.0)
