"""Exact schedules of a chain over pools: a dynamic programme over stages with Pareto sets as values.

State: (kernels placed, devices used of each type, type and count of the last stage). Value: the points (longest
stage, dynamic energy, and latency where it is limited) none of which beats another. Static energy grows with the
final period, so it is added at the end, when both are known; for given counts it cannot change which points of
the pair are worth keeping. Without the last stage in the state, the next one's communication would be wrong.

The points of one level (kernels placed) lie in arrays, so each pair of levels is a few array operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.plan.pool_costs import (
    assess,
    compute_s,
    entering_bytes,
    gathered_bytes,
    held_bytes,
    room_bytes,
    way,
)
from shoal.plan.pool_limits import Ends, check_runnable, tightest
from shoal.plan.pools import HOST, PoolPoint, PoolProblem, PoolSchedule, Stage
from shoal.search import front as undominated

F64 = NDArray[np.float64]
Int = NDArray[np.int64]


def pool_front(problem: PoolProblem) -> tuple[PoolPoint, ...]:
    """All schedules within the limits that no other beats in period and energy, by ascending period.

    Of several with the same period and energy there is one.

    Raises:
        PlanError: no pool can run one of the kernels; it is named.
        LimitError: nothing keeps the limits; the tightest is named, with the nearest value that can be had.
    """
    check_runnable(problem)
    tables = _tables(problem)
    levels = _levels(tables)
    ends = _ends(tables, levels[-1])
    if not len(ends.period_s):
        raise tightest(problem, lambda asked: _ends(tables := _tables(asked), _levels(tables)[-1]))
    kept = undominated(np.stack([ends.period_s, ends.energy_j], axis=1))
    points = [assess(problem, _schedule(tables, levels, int(ends.point[index]))) for index in kept]
    return tuple(sorted(points, key=lambda point: (point.period_s, point.energy_j)))


@dataclass(frozen=True)
class _Tables:
    """Everything a transition needs. Groups are (type, count); the last index of a source is the host."""

    problem: PoolProblem
    groups: tuple[tuple[str, int], ...]
    takes: Int  # devices of each type that a group needs, (groups, types)
    available: Int  # (types,)
    busy_s: F64  # compute of kernels i..j on a group, (n, n + 1, groups); inf: not possible
    receive_s: F64  # what enters at i for kernels i..j, (n, n + 1, sources, groups)
    stage_j: F64  # dynamic joules, the same axes

    @property
    def with_latency(self) -> bool:
        return self.problem.limits.latency_s is not None


@dataclass(frozen=True)
class _Level:
    """Points that have placed the same number of kernels."""

    goals: F64  # (points, 2 or 3): longest stage, dynamic joules, latency
    used: Int  # (points, types)
    group: Int  # of the last stage
    before: Int  # level and point that each came from, (points, 2)


def _tables(problem: PoolProblem) -> _Tables:
    types = problem.pools.types
    groups = tuple((device.name, count) for device in types for count in range(1, device.count + 1))
    takes = np.array([[count * (device.name == name) for device in types] for name, count in groups], np.int64)
    size = len(problem.works)
    tables = _Tables(
        problem, groups, takes.reshape(len(groups), len(types)), np.array([each.count for each in types], np.int64),
        busy_s=np.full((size, size + 1, len(groups)), np.inf),
        receive_s=np.zeros((size, size + 1, len(groups) + 1, len(groups))),
        stage_j=np.zeros((size, size + 1, len(groups) + 1, len(groups))),
    )  # fmt: skip
    _fill(tables, _alone_s(problem, groups))
    return tables


def _alone_s(problem: PoolProblem, groups: Sequence[tuple[str, int]]) -> F64:
    """Seconds of each kernel on each group, shape (kernels, groups)."""
    by_name = problem.pools.by_name
    rows = [[compute_s(problem, work, by_name[name], count) for name, count in groups] for work in problem.works]
    return np.array(rows).reshape(len(problem.works), len(groups))


def _fill(tables: _Tables, alone_s: F64) -> None:
    """The entries of every range of kernels."""
    problem, groups = tables.problem, tables.groups
    pools = problem.pools
    parties = (*groups, (HOST, 1))
    ways = np.array([[way(problem, source, target) for target in groups] for source in parties])
    come_j = np.array([[pools.link(source[0], name).joules_per_byte for name, _ in groups] for source in parties])
    peer_j = np.array([pools.link(name, name).joules_per_byte for name, _ in groups])
    counts = np.array([count for _, count in groups])
    watts = np.array([count * pools.by_name[name].dynamic_w for name, count in groups])
    rooms = np.array([room_bytes(problem, pools.by_name[name]) for name, _ in groups])
    for first in range(len(problem.works)):
        for last in range(first + 1, len(problem.works) + 1):
            works, size_bytes = problem.works[first:last], entering_bytes(problem.works[first:last])
            held = {count: held_bytes(works, count) for count in {count for _, count in groups}}
            fits = np.array([held[count] for _, count in groups]) <= rooms
            busy_s = np.where(fits, alone_s[first:last].sum(axis=0), np.inf)
            tables.busy_s[first, last] = busy_s
            tables.receive_s[first, last] = size_bytes * ways[:, :, 0] + ways[:, :, 1]
            own_j = np.where(np.isfinite(busy_s), watts, 0.0) * np.where(np.isfinite(busy_s), busy_s, 0.0)
            own_j += gathered_bytes(works, 2) * (counts - 1) * peer_j
            tables.stage_j[first, last] = size_bytes * come_j + own_j


def _levels(tables: _Tables) -> list[_Level]:
    levels = [_first_level(tables)]
    for last in range(1, len(tables.problem.works) + 1):
        levels.append(_level(tables, levels, last))
    return levels


def _ends(tables: _Tables, level: _Level) -> Ends:
    """The points of the last level with their static energy, those that keep the limits."""
    pools, limits = tables.problem.pools, tables.problem.limits
    longest_s, dynamic_j = level.goals[:, 0], level.goals[:, 1]
    names = [device.name for device in pools.types]
    static_w = np.array([pools.static_w(dict(zip(names, used, strict=True))) for used in level.used.tolist()])
    least_s = np.zeros(len(longest_s))
    if limits.power_w is not None:
        spare_w = limits.power_w - static_w
        least_s = np.where(spare_w > 0, dynamic_j / np.where(spare_w > 0, spare_w, 1.0), np.inf)
    period_s = np.maximum(longest_s, least_s)
    fits = np.isfinite(period_s)
    latency_s = level.goals[:, 2] if tables.with_latency else np.full(len(longest_s), np.nan)
    if limits.latency_s is not None:
        fits &= latency_s <= limits.latency_s
    point = np.flatnonzero(fits)
    energy_j = dynamic_j[point] + static_w[point] * period_s[point]
    return Ends(point, period_s[point], energy_j, latency_s[point], static_w[point])


def _first_level(tables: _Tables) -> _Level:
    goals = 3 if tables.with_latency else 2
    host, types = len(tables.groups), len(tables.available)
    return _Level(
        np.zeros((1, goals)), np.zeros((1, types), np.int64), np.array([host]), np.zeros((1, 2), np.int64)
    )


def _level(tables: _Tables, levels: Sequence[_Level], last: int) -> _Level:
    """All ways to have placed `last` kernels, from every earlier level by one more stage."""
    found = [_extended(tables, level, first, last) for first, level in enumerate(levels)]
    together = _Level(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    radix = np.concatenate([[1], np.cumprod(tables.available + 1)])
    state = together.used @ radix[:-1] + together.group * radix[-1]
    kept = _undominated_by_state(state, together.goals)
    return _Level(together.goals[kept], together.used[kept], together.group[kept], together.before[kept])


def _extended(tables: _Tables, level: _Level, first: int, last: int) -> tuple[F64, Int, Int, Int]:
    """Every point of `level` with every group as the next stage: goals, used, group, before."""
    used = level.used[:, None, :] + tables.takes[None, :, :]
    fits = (used <= tables.available).all(axis=2) & np.isfinite(tables.busy_s[first, last])
    most = tables.problem.limits.devices
    if most is not None:
        fits &= used.sum(axis=2) <= most
    point, group = np.nonzero(fits)
    source = level.group[point]
    busy, receive = tables.busy_s[first, last, group], tables.receive_s[first, last, source, group]
    stage = np.maximum(receive, busy) if tables.problem.overlap else receive + busy
    old = level.goals[point]
    goals = [np.maximum(old[:, 0], stage), old[:, 1] + tables.stage_j[first, last, source, group]]
    if tables.with_latency:
        goals.append(old[:, 2] + receive + busy)
    before = np.stack([np.full(len(point), first), point], axis=1)
    return np.stack(goals, axis=1), used[point, group], group, before


def _undominated_by_state(state: Int, goals: F64) -> Int:
    """Indices of the points that no other point of the same state beats."""
    order = np.lexsort((*goals.T[::-1], state))
    state, goals = state[order], goals[order]
    new = np.ones(len(state), bool)
    new[1:] = state[1:] != state[:-1]
    if goals.shape[1] > 2:
        parts = np.split(np.arange(len(state)), np.flatnonzero(new)[1:])
        kept: Int = np.concatenate([part[undominated(goals[part])] for part in parts])
    else:
        rank = np.unique(goals[:, 1], return_inverse=True)[1] - np.cumsum(new) * len(
            state
        )  # later states are lower
        lowest = np.minimum.accumulate(rank)
        better = np.ones(len(state), bool)
        better[1:] = rank[1:] < lowest[:-1]
        kept = np.flatnonzero(better)
    found: Int = order[kept]
    return found


def _schedule(tables: _Tables, levels: Sequence[_Level], point: int) -> PoolSchedule:
    stages: list[Stage] = []
    last = len(levels) - 1
    while last:
        level = levels[last]
        first, name_count = int(level.before[point, 0]), tables.groups[int(level.group[point])]
        stages.append(Stage(first, last, *name_count))
        last, point = first, int(level.before[point, 1])
    return PoolSchedule(tuple(reversed(stages)))
