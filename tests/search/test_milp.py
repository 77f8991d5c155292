from __future__ import annotations

import _thread
import math
import subprocess
import sys
import threading
import time
from itertools import permutations, product

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.search import Milp


def knapsack(
    rng: np.random.Generator, items: int, rows: int = 1
) -> tuple[Milp, np.ndarray, np.ndarray, np.ndarray]:
    worth = rng.integers(1, 100, items).astype(float)
    weight = rng.integers(1, 100, (rows, items)).astype(float)
    limit = weight.sum(axis=1) / 2
    asked = Milp()
    columns = [asked.binary(cost=-each) for each in worth]
    for each, most in zip(weight, limit, strict=True):
        asked.row(zip(columns, each.tolist(), strict=True), high=most)
    return asked, worth, weight, limit


@pytest.mark.parametrize("seed", range(8))
def test_knapsack(seed: int) -> None:
    asked, worth, weight, limit = knapsack(np.random.default_rng(seed), 10, rows=1 + seed % 3)
    choices = np.array(list(product((0, 1), repeat=10)))
    fits = (choices @ weight.T <= limit).all(axis=1)
    found = asked.solve()
    assert found.status == "optimal"
    assert found.gap == 0
    assert -found.objective == pytest.approx((choices @ worth)[fits].max())
    assert set(found.values.tolist()) <= {0.0, 1.0}
    assert found.values @ worth == pytest.approx(-found.objective)
    assert (weight @ found.values <= limit).all()


@pytest.mark.parametrize("seed", range(5))
def test_assignment_from_a_start(seed: int) -> None:
    price = np.random.default_rng(seed).integers(1, 50, (6, 6)).astype(float)
    asked = Milp()
    x = [[asked.binary() for _ in range(6)] for _ in range(6)]
    for i in range(6):
        asked.row([(x[i][j], 1.0) for j in range(6)], 1, 1)
        asked.row([(x[j][i], 1.0) for j in range(6)], 1, 1)
        for j in range(6):
            asked.add_cost(x[i][j], price[i, j])
    best = min(sum(price[i, j] for i, j in enumerate(each)) for each in permutations(range(6)))
    found = asked.solve(start={x[i][j]: float(i == j) for i in range(6) for j in range(6)})
    assert found.objective == pytest.approx(best)
    assert found.bound == pytest.approx(best)
    assert asked.size == (12, 36)


def test_columns_that_are_not_whole_and_terms_that_repeat() -> None:
    asked = Milp()
    a, b = asked.column(high=4, cost=-1), asked.column(low=-math.inf, high=2.5, cost=-1, integer=True)
    asked.row([(a, 1), (a, 1), (b, 1)], high=5)  # 2a + b ≤ 5
    found = asked.solve()
    assert found.values == pytest.approx([1.5, 2])
    assert found.objective == pytest.approx(-3.5)
    free = Milp()
    free.column(low=1.5, cost=2)
    assert free.solve().objective == pytest.approx(3)


def test_what_has_no_answer() -> None:
    never = Milp()
    whole = never.column(0, 1, integer=True)
    never.row([(whole, 2.0)], low=1, high=1)
    found = never.solve()
    assert (found.status, found.found, len(found.values), found.gap) == ("infeasible", False, 0, math.inf)
    endless = Milp()
    endless.column(cost=-1, integer=True)
    assert endless.solve().status == "unbounded"
    nothing = Milp()
    assert nothing.solve().found
    nothing.row([], low=1)
    assert nothing.solve().status == "infeasible"


def test_the_time_limit_holds_and_the_gap_is_told() -> None:
    asked, *_ = knapsack(np.random.default_rng(3), 200, rows=30)  # not solved within 20 s
    begun_s = time.monotonic()
    found = asked.solve(time_limit_s=0.3)
    assert time.monotonic() - begun_s < 5
    assert found.status == "feasible"
    assert 0 < found.gap < 0.5
    assert found.bound < found.objective


def test_the_same_question_has_the_same_answer() -> None:
    asked, *_ = knapsack(np.random.default_rng(4), 25, rows=4)
    one, other = asked.solve(seed=5), asked.solve(seed=5)
    assert one.values.tolist() == other.values.tolist()


def test_an_interrupt_stops_the_solver_and_passes() -> None:
    asked, *_ = knapsack(np.random.default_rng(3), 200, rows=60)  # not solved within a minute
    threading.Timer(0.3, _thread.interrupt_main).start()
    begun_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        asked.solve(time_limit_s=60)
    assert time.monotonic() - begun_s < 20
    time.sleep(0.1)
    assert not any(thread.name == "highs" for thread in threading.enumerate())


def test_what_is_no_programme_is_refused() -> None:
    asked = Milp()
    column = asked.column()
    with pytest.raises(InputError, match=r"column that is not there .*below 1, had 1"):
        asked.row([(column + 1, 1.0)])
    with pytest.raises(InputError, match="empty range"):
        asked.column(2, 1)
    with pytest.raises(InputError, match="empty range"):
        asked.row([], math.nan, 1)
    with pytest.raises(InputError, match="not finite"):
        asked.row([(column, math.inf)])
    with pytest.raises(InputError, match="not finite"):
        asked.add_cost(column, math.nan)


def test_without_highspy_the_message_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['highspy'] = None\n"
        "from shoal.search import Milp\n"
        "from shoal.errors import MissingExtra\n"
        "try: Milp().solve()\n"
        "except MissingExtra as fault: print(fault.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pip install 'shoal[ilp]'"
