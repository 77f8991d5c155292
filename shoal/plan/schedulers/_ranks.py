"""Priorities of tasks: how much work and transfer lies after each of them, or before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal.program.tasks import Processors, TaskGraph

F64 = NDArray[np.float64]
DIGITS = 12  # ranks that differ later than this, relative to the largest, count as equal


def mean_seconds(tasks: TaskGraph) -> F64:
    """w̄: mean over the processors that can run the task, shape (tasks,)."""
    able = np.isfinite(tasks.w)
    return np.asarray(np.where(able, tasks.w, 0.0).sum(axis=1) / able.sum(axis=1))


def mean_costs(tasks: TaskGraph, processors: Processors) -> list[float]:
    """c̄ of each dependency."""
    return [processors.mean_cost_s(each) for each in tasks.dependencies]


def upward(tasks: TaskGraph, processors: Processors) -> F64:
    """rank_u(v) = w̄(v) + max over children s of c̄(v, s) + rank_u(s). [Topcuoglu et al., IEEE TPDS 13(3), 2002]"""
    mean, cost = mean_seconds(tasks), mean_costs(tasks, processors)
    rank = np.zeros(len(tasks.tasks))
    for v in reversed(tasks.order):
        rank[v] = mean[v] + max((cost[edge] + rank[s] for s, edge in tasks.children[v]), default=0.0)
    return rank


def downward(tasks: TaskGraph, processors: Processors) -> F64:
    """rank_d(v) = max over parents u of rank_d(u) + w̄(u) + c̄(u, v); 0 for an entry. [ibid.]"""
    mean, cost = mean_seconds(tasks), mean_costs(tasks, processors)
    rank = np.zeros(len(tasks.tasks))
    for v in tasks.order:
        rank[v] = max((rank[u] + mean[u] + cost[edge] for u, edge in tasks.parents[v]), default=0.0)
    return rank


def optimistic(tasks: TaskGraph, processors: Processors) -> F64:
    """OCT(v, p) = max over children s of min over q of OCT(s, q) + w(s, q) + (p = q ? 0 : c̄(v, s)); 0 for an exit.

    Shape (tasks, processors). [Arabnejad and Barbosa, IEEE TPDS 25(3), 2014]
    """
    cost, count = mean_costs(tasks, processors), len(processors.names)
    apart = 1.0 - np.eye(count)
    table = np.zeros((len(tasks.tasks), count))
    for v in reversed(tasks.order):
        for s, edge in tasks.children[v]:
            best = (table[s] + tasks.w[s] + apart * cost[edge]).min(axis=1)  # over q; p by row
            table[v] = np.maximum(table[v], best)
    return table


def descending(tasks: TaskGraph, rank: F64) -> list[int]:
    """Task indices, the highest rank first; of equal ones the first in topological order."""
    key = rounded(rank)
    return sorted(range(len(key)), key=lambda v: (-key[v], tasks.rank[v]))


def rounded(rank: F64) -> F64:
    """`rank` without the digits in which equal sums differ, relative to the largest."""
    largest = float(np.abs(rank).max(initial=0.0))
    return np.asarray(np.round(rank / largest, DIGITS)) if largest else rank
