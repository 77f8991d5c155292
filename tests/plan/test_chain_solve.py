from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.errors import PlanError
from shoal.plan.chain import GOALS, Chain, Groups, Order, evaluate, feasible
from shoal.plan.chain_solve import ChainFront, solve
from shoal.plan.enumerate import all_plans
from shoal.search import front, hypervolume

F64 = NDArray[np.float64]


def random_chain(seed: int, pieces: int, units: int) -> Chain:
    """Whole figures, so that sums are exact; with gaps, memory limits, unlike links, shared devices."""
    rng = np.random.default_rng(seed)
    n, m = pieces, units

    def whole(low: int, high: int, *shape: int) -> F64:
        return rng.integers(low, high, shape).astype(np.float64)

    device_of = rng.integers(0, m, m) if rng.random() < 0.5 else np.arange(m)
    seconds = whole(1, 12, n, m) * whole(1, 5, m)
    seconds[rng.random((n, m)) < rng.choice([0.0, 0.1, 0.3])] = np.inf
    cut_bytes = whole(0, 8, n + 1)
    busy = cut_bytes[:, None, None] * whole(0, 4, m, m)
    hop = busy + whole(0, 5, m, m)
    hop[:, rng.random((m, m)) < 0.05] = np.inf
    limit = np.full(m, np.inf) if rng.random() < 0.4 else whole(30, 150, m)
    return Chain(
        seconds=seconds,
        joules=whole(0, 10, n, m) * whole(1, 4, m),
        weights_bytes=whole(0, 10, n, m),
        live_bytes=whole(0, 20, n, m),
        cut_bytes=cut_bytes,
        hop_s=hop,
        hop_busy_s=busy,
        send_j=whole(0, 3, m),
        recv_j=whole(0, 3, m),
        entry_s=whole(0, 4, m),
        exit_s=whole(0, 4, m),
        idle_w=rng.choice([0.0, 1.0, 2.0, 5.0], m)[device_of],
        device_of=device_of,
        base_bytes=whole(0, 15, m),
        memory_limit=limit[device_of],
        window=int(rng.integers(1, 4)),
    )


def real_chain(seed: int, pieces: int, units: int) -> Chain:
    """The same with figures that do round, no gaps and no limits."""
    chain, rng = random_chain(seed, pieces, units), np.random.default_rng(seed)
    seconds = (
        rng.lognormal(-5, 0.7, (pieces, 1)) * rng.lognormal(0, 0.6, units) * rng.uniform(0.8, 1.2, (pieces, units))
    )
    busy = chain.cut_bytes[:, None, None] * rng.uniform(1e-4, 2e-3, (units, units))
    return replace(
        chain,
        seconds=seconds,
        joules=seconds * rng.uniform(2, 15, units),
        weights_bytes=chain.weights_bytes + rng.random((pieces, 1)),
        hop_s=busy + 1e-3,
        hop_busy_s=busy,
        send_j=rng.uniform(0, 1e-2, units),
        memory_limit=np.full(units, np.inf),
    )


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


@pytest.mark.parametrize("block", range(8))
def test_equals_every_plan_on_hundreds_of_small_chains(block: int) -> None:
    sizes = []
    for seed in range(block * 45, block * 45 + 45):
        rng = np.random.default_rng(seed)
        pieces, units = int(rng.integers(1, 8)), int(rng.integers(1, 5))
        order: Order = "given" if rng.random() < 0.4 else "any"
        goals = rng.permutation(GOALS)[: rng.integers(1, 5)].tolist() if rng.random() < 0.5 else GOALS
        chain = random_chain(seed, pieces, units)
        found, wanted = solve(chain, order, goals), oracle(chain, order, goals)
        assert found.exact
        assert as_set(found.objectives[:, columns(goals)]) == as_set(wanted), seed
        assert len(found.groups) == len(wanted), seed
        assert_real(chain, found)
        sizes.append(len(wanted))
    assert sum(size > 1 for size in sizes) >= 12  # enough of them ask something
    assert 0 in sizes or block > 0  # and some have no answer


@pytest.mark.parametrize(("seed", "pieces", "units"), [(1, 12, 3), (2, 12, 3), (3, 20, 3), (4, 37, 2), (5, 9, 4)])
def test_equals_every_plan_where_coarse_passes_come_first(seed: int, pieces: int, units: int) -> None:
    chain = random_chain(seed, pieces, units)
    assert as_set(solve(chain).objectives) == as_set(oracle(chain, "any"))


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


@pytest.mark.parametrize("units", [6, 7, 10])
def test_large_fleets_get_real_plans_near_the_front(units: int) -> None:
    chain = real_chain(5, 16, units)
    found = solve(chain, "any")
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


def test_time_limit_gives_real_plans_and_says_so() -> None:
    chain = real_chain(1, 60, 5)
    found = solve(chain, time_limit_s=0.0)
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


def test_same_chain_same_plans() -> None:
    chain = real_chain(4, 12, 6)
    first: tuple[Groups, ...] = solve(chain).groups
    assert first == solve(chain).groups


@pytest.mark.parametrize("goals", [(), ("speed",), "period"])
def test_goals_that_do_not_exist_are_refused(goals: Collection[str]) -> None:
    with pytest.raises(PlanError, match="goals"):
        solve(real_chain(0, 3, 2), "any", goals)


def test_order_and_epsilon_are_checked() -> None:
    with pytest.raises(PlanError, match="order"):
        solve(real_chain(0, 3, 2), "random")  # type: ignore[arg-type]  # the mistake on purpose
    with pytest.raises(PlanError, match="order or epsilon"):
        solve(real_chain(0, 3, 2), epsilon=-1.0)
