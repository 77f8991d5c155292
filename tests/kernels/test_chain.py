"""The native kernel against its numpy reference, and how it refuses, stops and is left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kernels import (
    ChainNode,
    ChainPlans,
    ChainTables,
    chain_kernel,
    climb_chain,
    ordered_nodes,
    sweep_chain,
    unordered_nodes,
)
from shoal.plan.chain import evaluate, feasible
from shoal.plan.chain_tables import tabulate
from shoal.search import front
from tests.plan.chains_at_random import random_chain, real_chain

F64 = NDArray[np.float64]
native = pytest.mark.skipif(chain_kernel() == "numpy", reason="the native kernel is not built")
ALL, NOTHING = range(4), np.empty((0, 4))


def plans_of(found: ChainPlans) -> list[list[tuple[int, int, int]]]:
    plans: list[list[tuple[int, int, int]]] = [[] for _ in found.values]
    for plan, last, unit in found.groups.tolist():
        plans[plan].append((plans[plan][-1][1] if plans[plan] else 0, last, unit))
    return plans


def as_set(rows: F64) -> set[tuple[float, ...]]:
    return {tuple(row) for row in rows.tolist()}


@native
@pytest.mark.parametrize("block", range(10))
def test_native_equals_numpy_on_hundreds_of_chains(block: int) -> None:
    """With gaps, limits, shared devices, any goals, and some plans known before."""
    sizes = []
    for seed in range(1000 + block * 40, 1040 + block * 40):
        rng = np.random.default_rng(seed)
        units = int(rng.integers(1, 6))
        chain = random_chain(seed, int(rng.integers(1, 12)), units)
        tables = tabulate(chain)
        nodes = ordered_nodes(range(units)) if rng.random() < 0.4 else unordered_nodes(range(units))
        goals = sorted(rng.permutation(4)[: rng.integers(1, 5)].tolist()) if rng.random() < 0.5 else ALL
        whole = sweep_chain(tables, nodes, goals, NOTHING, kernel="numpy")
        known = whole.values[rng.random(len(whole.values)) < rng.choice([0.0, 0.3])]
        one, other = (sweep_chain(tables, nodes, goals, known, kernel=kernel) for kernel in ("native", "numpy"))
        assert one.finished
        assert as_set(one.values) == as_set(other.values), seed
        assert len(one.values) == len(other.values), seed
        for plan, values in zip(plans_of(one), one.values, strict=True):
            score = np.array(evaluate(chain, plan))
            assert feasible(chain, plan)
            assert (values == np.where(np.isin(range(4), goals), score, 0.0)).all()
        sizes.append(len(whole.values))
    assert sum(size > 1 for size in sizes) >= 10


@native
@pytest.mark.parametrize("seed", range(6))
def test_boxes_thin_the_front_and_keep_near_it(seed: int) -> None:
    chain = real_chain(seed, 12, 4)
    tables, nodes, epsilon = tabulate(chain), unordered_nodes(range(4)), 0.1
    thin = sweep_chain(tables, nodes, ALL, NOTHING, epsilon)
    whole = sweep_chain(tables, nodes, ALL, NOTHING)
    assert 0 < len(thin.values) < len(whole.values)
    for row in whole.values:
        assert (thin.values <= row * (1 + epsilon) ** 4 * (1 + 1e-9)).all(axis=1).any()


@native
@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_climbing_gives_real_plans_and_nothing_worse(seed: int, in_order: bool) -> None:
    chain = random_chain(seed, 10, 4)
    tables = tabulate(chain)
    nodes = ordered_nodes(range(4)) if in_order else unordered_nodes(range(4))
    exact = sweep_chain(tables, nodes, ALL, NOTHING)
    start = sweep_chain(tables, nodes, ALL, NOTHING, epsilon=2.0)
    found = climb_chain(tables, ALL, start.groups, in_order, 10.0)
    assert found.finished
    assert len(front(found.values)) == len(found.values)
    for plan, values in zip(plans_of(found), found.values, strict=True):
        assert feasible(chain, plan)
        assert evaluate(chain, plan) == tuple(values)
        assert not in_order or [unit for *_, unit in plan] == sorted(unit for *_, unit in plan)
    for rows, better in ((start.values, found.values), (found.values, exact.values)):
        assert all((better <= row).all(axis=1).any() for row in rows)


def large() -> tuple[ChainTables, tuple[ChainNode, ...]]:
    """Minutes of work."""
    return tabulate(real_chain(0, 200, 7)), unordered_nodes(range(7))


@native
def test_time_limit_is_kept_and_said() -> None:
    tables, nodes = large()
    start = sweep_chain(tables.on_cuts(np.array([0, 50, 100, 150, 200])), nodes, ALL, NOTHING, 1.0)
    began = time.monotonic()
    found = sweep_chain(tables, nodes, ALL, start.values, time_limit_s=0.2)
    assert time.monotonic() - began < 5  # the bounds alone take some of it
    assert not found.finished


@native
def test_other_threads_go_on_meanwhile() -> None:
    tables, nodes = large()
    ticks, over = [], threading.Event()

    def tick() -> None:
        while not over.wait(0.01):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    sweep_chain(tables, nodes, ALL, np.full((1, 4), 1e30), time_limit_s=0.5)
    over.set()
    thread.join()
    assert len(ticks) > 5


INTERRUPTED = """
import threading, time, os, signal
from tests.kernels.test_chain import large, sweep_chain, ALL, NOTHING
tables, nodes = large()
def press():
    press.at = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.7, press).start()
try:
    sweep_chain(tables, nodes, ALL, NOTHING)
except KeyboardInterrupt:
    print(time.monotonic() - press.at)
"""


@native
@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name == "nt", reason="needs POSIX signals")
def test_control_c_stops_it_soon() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False
    )
    assert float(done.stdout) < 2, done.stderr


@native
def test_what_does_not_fit_is_refused() -> None:
    tables, nodes = tabulate(random_chain(0, 4, 3)), ordered_nodes(range(3))

    def refused(match: str, **changed: object) -> None:
        asked = {"tables": tables, "nodes": nodes, "goals": ALL, "known": NOTHING} | changed
        with pytest.raises(ValueError, match=match):
            sweep_chain(**asked, kernel="native")  # type: ignore[arg-type]  # mistakes on purpose

    refused("lead_s has another shape", tables=replace(tables, lead_s=tables.lead_s[:, :-1]))
    refused("recv_j has another shape", tables=replace(tables, recv_j=tables.recv_j[:-1]))
    refused("out of range", tables=replace(tables, kind_of=tables.kind_of + 9))
    refused("out of range", nodes=ordered_nodes([0, 3]))
    refused("comes before one it follows", nodes=nodes[1:])
    refused("no such goal", goals=[4])
    refused("known has another shape", known=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="out of range"):
        climb_chain(tables, ALL, np.array([[0, 9, 1]]), True, 1.0)


WITHOUT = """
import sys
sys.modules["shoal.kernels._native"] = None
import numpy as np
from shoal.errors import InputError
from shoal.kernels import chain_kernel, climb_chain, ordered_nodes, sweep_chain
from shoal.plan.chain_solve import solve
from shoal.plan.chain_tables import tabulate
from tests.plan.chains_at_random import random_chain
assert chain_kernel() == "numpy"
chain = random_chain(1, 5, 3)
for kernel in (lambda: sweep_chain(tabulate(chain), ordered_nodes(range(3)), [0], np.empty((0, 4)), kernel="native"),
               lambda: climb_chain(tabulate(chain), [0], np.empty((0, 3)), True, 1.0)):
    try:
        kernel()
    except InputError as fault:
        assert "not built" in str(fault)
    else:
        raise AssertionError
print(len(solve(chain).groups))
"""


def test_without_a_compiler_numpy_stands_in() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False)
    assert int(done.stdout or "0") > 0, done.stderr


def test_a_kernel_that_is_not_there_is_refused() -> None:
    if chain_kernel() == "native":
        pytest.skip("it is there")
    with pytest.raises(InputError, match="not built"):
        sweep_chain(tabulate(random_chain(0, 2, 2)), ordered_nodes(range(2)), ALL, NOTHING, kernel="native")
