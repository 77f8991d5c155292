"""The graph that list schedulers are checked on, and random ones."""

from __future__ import annotations

from math import inf

import numpy as np

from shoal.program.tasks import Dependency, Processors, TaskGraph

SECONDS = (
    (14, 16, 9), (13, 19, 18), (11, 13, 19), (13, 8, 17), (12, 13, 10),
    (13, 16, 9), (7, 15, 11), (5, 11, 14), (18, 12, 20), (21, 7, 16),
)  # fmt: skip
COSTS = "1-2:18 1-3:12 1-4:9 1-5:11 1-6:14 2-8:19 2-9:16 3-7:23 4-8:27 4-9:23 5-9:13 6-8:15 7-10:17 8-10:11 9-10:13"


def canonical() -> TaskGraph:
    """Topcuoglu's graph of ten tasks on three processors; costs are given, not bytes."""
    edges = [part.replace(":", "-").split("-") for part in COSTS.split()]
    return TaskGraph(
        "canonical",
        tuple(str(number) for number in range(1, 11)),
        tuple(tuple(float(seconds) for seconds in row) for row in SECONDS),
        tuple(Dependency(source, target, seconds=float(cost)) for source, target, cost in edges),
    )


def three() -> Processors:
    return Processors.alike(("p1", "p2", "p3"))


def random_case(seed: int, most_tasks: int = 8, most_processors: int = 3) -> tuple[TaskGraph, Processors]:
    """A random graph on unlike processors and links; some tasks cannot run everywhere, some cost nothing."""
    rng = np.random.default_rng(seed)
    count, wide = int(rng.integers(1, most_tasks + 1)), int(rng.integers(1, most_processors + 1))
    seconds = rng.integers(0, 20, (count, wide)).astype(float) * rng.choice([1.0, 0.37])
    refused = rng.random((count, wide)) < 0.2
    refused[np.arange(count), rng.integers(0, wide, count)] = False
    seconds[refused] = inf
    names = [f"t{index}" for index in rng.permutation(count)]  # so that names are in no helpful order
    order = rng.permutation(count)
    chance = float(rng.uniform(0.1, 0.7))
    edges = tuple(
        Dependency(names[order[i]], names[order[j]], float(rng.integers(0, 2000)), float(rng.integers(0, 3)))
        for i in range(count)
        for j in range(i + 1, count)
        if rng.random() < chance
    )
    graph = TaskGraph(f"random{seed}", tuple(names), tuple(tuple(row) for row in seconds.tolist()), edges)
    latency, rate = rng.uniform(0, 3, (wide, wide)), rng.uniform(50, 1000, (wide, wide))
    if rng.random() < 0.2:
        rate[:] = inf
    return graph, Processors(
        tuple(f"p{index}" for index in range(wide)),
        tuple(tuple(row) for row in latency.tolist()),
        tuple(tuple(row) for row in rate.tolist()),
    )
