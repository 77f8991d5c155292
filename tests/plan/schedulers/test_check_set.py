"""Topcuoglu's graph: the published ranks and makespans, and what no scheduler can beat."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from shoal import catalog
from shoal.plan.schedulers._ranks import descending, downward, optimistic, upward
from shoal.plan.schedulers.contract import Schedule, faults
from shoal.plan.schedulers.cpop import critical_path
from tests.plan.schedulers.graphs import canonical, three

RANK_U = (108, 77, 80, 80, 69, 63.333, 42.667, 35.667, 44.333, 14.667)
RANK_D = (0, 31, 25, 22, 24, 27, 62.333, 66.667, 63.667, 93.333)


def made(name: str) -> Schedule:
    found: Schedule = catalog.make("plan/schedulers", name).schedule(canonical(), three())
    assert faults(canonical(), three(), found) == ()
    return found


def test_ranks_are_the_published_ones() -> None:
    np.testing.assert_allclose(upward(canonical(), three()), RANK_U, atol=5e-4)
    np.testing.assert_allclose(downward(canonical(), three()), RANK_D, atol=5e-4)


def test_the_optimistic_cost_table_by_hand() -> None:
    table = optimistic(canonical(), three())
    assert table[9].tolist() == [0, 0, 0]
    assert table[8].tolist() == [20, 7, 16 + 0]  # task 10 here: 21, 7, 16; elsewhere 13 more: at most 7 + 13
    assert table[7].tolist() == [18, 7, 16]
    assert table[6].tolist() == [21, 7, 16]
    # 4 on p1: 8 there 5 + 18, on p2 11 + 7 + 27; 9 there 18 + 20, on p2 12 + 7 + 23: the later of 23 and 38
    assert table[3, 0] == 38


@pytest.mark.parametrize(("name", "makespan_s"), [("heft", 80), ("peft", 85), ("cpop", 86)])
def test_makespans_are_the_published_ones(name: str, makespan_s: float) -> None:
    assert made(name).makespan_s == makespan_s


def test_heft_books_as_published() -> None:
    found = [(slot.task, slot.processor, slot.start_s, slot.end_s) for slot in made("heft").slots]
    assert found == [
        ("1", "p3", 0, 9), ("3", "p3", 9, 28), ("4", "p2", 18, 26), ("2", "p1", 27, 40), ("5", "p3", 28, 38),
        ("6", "p2", 26, 42), ("9", "p2", 56, 68), ("7", "p3", 38, 49), ("8", "p1", 57, 62), ("10", "p2", 73, 80),
    ]  # fmt: skip


def test_the_critical_path_runs_on_its_fastest_processor() -> None:
    priority = np.round(upward(canonical(), three()) + downward(canonical(), three()), 9)
    path = [canonical().tasks[v] for v in critical_path(canonical(), priority)]
    assert path == ["1", "2", "9", "10"]
    assert {slot.processor for slot in made("cpop").slots if slot.task in path} == {"p2"}


def test_met_runs_each_task_where_it_is_quickest() -> None:
    quickest = {
        task: f"p{1 + int(np.argmin(row))}" for task, row in zip(canonical().tasks, canonical().w, strict=True)
    }
    assert {slot.task: slot.processor for slot in made("met").slots} == quickest


def test_no_assignment_in_hefts_order_beats_73() -> None:
    """All 3^10 assignments at once; nor does any other order."""
    tasks, cost = canonical(), [three().cost_s(each) for each in canonical().dependencies]
    where = np.array(list(product(range(3), repeat=10)))
    rows = np.arange(len(where))
    free, end = np.zeros((len(where), 3)), np.zeros((len(where), 10))
    for v in descending(tasks, upward(tasks, three())):
        start = free[rows, where[:, v]]
        for u, edge in tasks.parents[v]:
            start = np.maximum(start, end[:, u] + cost[edge][where[:, u], where[:, v]])
        end[:, v] = free[rows, where[:, v]] = start + tasks.w[v, where[:, v]]
    assert end.max(axis=1).min() == 73
    assert made("optimal").makespan_s == 73
