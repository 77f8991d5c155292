"""Tasks in the order in which they are picked from those whose parents are all picked."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

from shoal.program.tasks import TaskGraph


def by_priority(tasks: TaskGraph, key: Callable[[int], Any]) -> Iterator[int]:
    """Of the tasks that are free to go always that of the smallest `key`, then of the lowest index.

    The key is asked for when a task becomes free, when its parents have been yielded and dealt with.
    """
    missing = [len(each) for each in tasks.parents]
    free = [(key(v), v) for v, count in enumerate(missing) if not count]
    heapq.heapify(free)
    while free:
        _, v = heapq.heappop(free)
        yield v
        for child, _ in tasks.children[v]:
            missing[child] -= 1
            if not missing[child]:
                heapq.heappush(free, (key(child), child))
