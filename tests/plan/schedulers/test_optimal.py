from __future__ import annotations

from itertools import permutations, product
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.errors import LimitError
from shoal.plan.schedulers._timeline import Bookings
from shoal.plan.schedulers.optimal import Optimal
from shoal.program.tasks import Dependency, Processors, TaskGraph
from tests.plan.schedulers.graphs import canonical, random_case, three


def every_makespan(tasks: TaskGraph, processors: Processors) -> float:
    """The least over all topological orders and assignments."""
    best = inf
    for order in permutations(range(len(tasks.tasks))):
        place = {v: number for number, v in enumerate(order)}
        if any(place[u] > place[v] for v in order for u, _ in tasks.parents[v]):
            continue
        for where in product(range(len(processors.names)), repeat=len(order)):
            if all(tasks.seconds[v][where[v]] < inf for v in order):
                bookings = Bookings(tasks, processors, insertion=False)
                best = min(best, bookings.book_all(order, where.__getitem__).makespan_s)
    return best


@given(seed=st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_it_finds_what_trying_everything_finds(seed: int) -> None:
    tasks, processors = random_case(seed, most_tasks=4)
    found = Optimal().schedule(tasks, processors).makespan_s
    assert found == pytest.approx(every_makespan(tasks, processors), rel=1e-9, abs=1e-12)


def test_gaps_of_the_schedulers() -> None:
    """The mean gap to the optimum over random graphs of up to eight tasks, and the order one expects."""
    gaps = dict[str, list[float]]()
    for seed in range(60):
        tasks, processors = random_case(seed)
        least_s = Optimal().schedule(tasks, processors).makespan_s
        for name in ("heft", "peft", "cpop", "met", "fifo"):
            found_s = catalog.make("plan/schedulers", name).schedule(tasks, processors).makespan_s
            assert found_s >= least_s * (1 - 1e-9)
            gaps.setdefault(name, []).append(found_s / least_s - 1 if least_s else 0.0)
    means = {name: float(np.mean(each)) for name, each in gaps.items()}
    print({name: f"{gap:.1%}" for name, gap in means.items()})
    assert max(means["heft"], means["peft"]) < 0.12 < means["met"]


def test_large_graphs_are_refused() -> None:
    names = tuple(f"t{index}" for index in range(11))
    with pytest.raises(LimitError, match="needed at most 10, had 11"):
        Optimal().schedule(TaskGraph("wide", names, ((1.0,),) * 11), Processors.alike(("p",)))
    with pytest.raises(LimitError, match="canonical: too many schedules"):
        Optimal(most_steps=50).schedule(canonical(), three())


def test_a_chain_on_one_processor() -> None:
    single = TaskGraph("one", ("a", "b"), ((2.0,), (3.0,)), (Dependency("a", "b", 100),))
    assert Optimal().schedule(single, Processors.alike(("p",))).makespan_s == 5
