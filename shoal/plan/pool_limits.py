"""What a chain over pools cannot do: kernels nobody can run, and limits nothing keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

from shoal.errors import LimitError, PlanError
from shoal.plan.pool_costs import compute_s, held_bytes, room_bytes
from shoal.plan.pools import Limits, PoolProblem

F64 = NDArray[np.float64]
NAMES = ("latency_s", "power_w", "memory_bytes", "devices")


@dataclass(frozen=True)
class Ends:
    """What all schedules within the limits come to, by point; those of one state that another beats are left out."""

    point: NDArray[np.int64]  # in the last level
    period_s: F64
    energy_j: F64
    latency_s: F64  # nan unless it is limited
    static_w: F64


Solve = Callable[[PoolProblem], Ends]


def check_runnable(problem: PoolProblem) -> None:
    """Refuse a chain with a kernel that no pool has an implementation of.

    Raises:
        PlanError: naming the kernel and the pools.
    """
    pools = [device for device in problem.pools.types if device.count]
    for spec, work in zip(problem.chain.kernels, problem.works, strict=True):
        if not any(isfinite(compute_s(problem, work, device, 1)) for device in pools):
            raise PlanError(f"no device can run {spec.kind}", where=f"kernel '{spec.name}'",
                            had=f"pools {', '.join(each.name for each in pools) or 'none'}")  # fmt: skip


@dataclass(frozen=True)
class _Want:
    """One limit, and the least that can be had."""

    name: str
    limit: float
    least: float

    @property
    def ratio(self) -> float:
        """Above one: missed. Power must exceed the static part, or nothing is left to compute with."""
        if self.name == "power_w" and self.least == self.limit:
            return 1 + 1e-12
        return self.least / self.limit if self.limit > 0 else inf


def tightest(problem: PoolProblem, solve: Solve) -> LimitError:
    """The error that names the limit that is missed by the largest factor.

    First each limit on its own; if each could be kept alone, each beside all the others.
    """
    limits = problem.limits
    if not len(solve(replace(problem, limits=Limits())).point):
        return LimitError("a kernel fits into no device's memory", where=problem.chain.name,
                          needed=f"{_least_bytes(problem):.0f} B")  # fmt: skip
    given = [name for name in NAMES if getattr(limits, name) is not None]
    wants = [_Want(name, getattr(limits, name), _least(problem, Limits(), name, solve)) for name in given]
    together = ""
    if not any(want.ratio > 1 for want in wants):
        wants = [
            _Want(name, getattr(limits, name), _least(problem, replace(limits, **{name: None}), name, solve))
            for name in given
        ]
        wants = [want for want in wants if want.least < inf] or wants
        together = " with the other limits"
    worst = max(wants, key=lambda want: want.ratio)
    return LimitError(
        f"no schedule keeps {worst.name}{together}", where=problem.chain.name,
        needed=f"at most {worst.limit:g}", had=f"{worst.least:g} at best", hint=f"raise {worst.name} or drop a limit",
    )  # fmt: skip


def _least(problem: PoolProblem, others: Limits, name: str, solve: Solve) -> float:
    """The least `name` there is under `others`; inf if nothing keeps those."""
    if name == "memory_bytes":
        return _least_of(problem, others, name, _memory_steps(problem), solve)
    if name == "devices":
        steps = list(range(1, sum(device.count for device in problem.pools.types) + 1))
        return _least_of(problem, others, name, [float(step) for step in steps], solve)
    asked = replace(others, latency_s=inf) if name == "latency_s" else others
    ends = solve(replace(problem, limits=asked))
    return float(np.min(ends.static_w if name == "power_w" else ends.latency_s, initial=inf))


def _least_of(problem: PoolProblem, others: Limits, name: str, steps: Sequence[float], solve: Solve) -> float:
    """The smallest of ascending `steps` that works as the limit `name`."""
    low, high = 0, len(steps)
    while low < high:
        middle = (low + high) // 2
        value = steps[middle]
        limits = replace(others, devices=int(value)) if name == "devices" else replace(others, memory_bytes=value)
        low, high = (low, middle) if len(solve(replace(problem, limits=limits)).point) else (middle + 1, high)
    return steps[low] if low < len(steps) else inf


def _memory_steps(problem: PoolProblem) -> list[float]:
    """All bytes that some stage would hold on some device."""
    size = len(problem.works)
    ranges = [problem.works[first:last] for first in range(size) for last in range(first + 1, size + 1)]
    counts = range(1, max((device.count for device in problem.pools.types), default=0) + 1)
    return sorted({held_bytes(works, count) for works in ranges for count in counts})


def _least_bytes(problem: PoolProblem) -> float:
    """What the hungriest kernel needs at least."""
    counts = range(1, max(device.count for device in problem.pools.types) + 1)
    kernels = [min(held_bytes((work,), count) for count in counts) for work in problem.works]
    rooms = max(room_bytes(problem, device) for device in problem.pools.types)
    return max([need for need in kernels if need > rooms] or kernels)
