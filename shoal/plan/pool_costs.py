"""What a schedule over pools takes: the one definition that the search, its tests and the judge share.

A stage of kernels i..j on n devices of type τ after one on n' devices of type τ':
    compute = Σ t_k(rows/n) + gather_k, gather_k = bytes of k's result · (n-1)/n at the link among τ, for n > 1
    receive = bytes / (bandwidth · min(n', n)) + latency
    stage   = receive + compute (charged to the receiver), or the larger of both if receiving overlaps
    period  = the longest stage
    energy  = Σ n·P_dyn·compute + bytes·J/B + P_stat·period
What enters a stage is the activations its first kernel reads, and once the sparse matrix if one of its kernels
needs it. The answer's way to the host is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite

from shoal.errors import PlanError
from shoal.plan.pools import HOST, DeviceType, PoolPoint, PoolProblem, PoolSchedule, Stage
from shoal.record import KernelWork


def compute_s(problem: PoolProblem, work: KernelWork, device: DeviceType, count: int) -> float:
    """Seconds of one kernel on `count` devices, gathering included; inf where it has no implementation."""
    if work.kind not in device.kinds:
        return inf
    seconds = problem.times.seconds(work.split(count), device.name)
    if count == 1:
        return seconds
    link = problem.pools.link(device.name, device.name)
    return seconds + work.out_bytes * (count - 1) / count / link.bytes_per_s + link.latency_s


def entering_bytes(works: Sequence[KernelWork]) -> int:
    """What a stage of `works` is sent for each item."""
    return works[0].in_bytes + max(work.structure_bytes for work in works)


def way(problem: PoolProblem, source: tuple[str, int], target: tuple[str, int]) -> tuple[float, float]:
    """Seconds a byte, and seconds at all, between two parties (type, count); the host has a link to each device."""
    link = problem.pools.link(source[0], target[0])
    links = target[1] if source[0] == HOST else min(source[1], target[1])
    return 1.0 / (link.bytes_per_s * links), link.latency_s


def receive_s(problem: PoolProblem, size_bytes: int, source: tuple[str, int], target: tuple[str, int]) -> float:
    """Seconds until `size_bytes` are there."""
    per_byte_s, latency_s = way(problem, source, target)
    return size_bytes * per_byte_s + latency_s


def link_j(problem: PoolProblem, works: Sequence[KernelWork], source: str, device: str, count: int) -> float:
    """Joules of a stage's traffic for one item: what enters it, and what its devices gather."""
    entering = entering_bytes(works) * problem.pools.link(source, device).joules_per_byte
    return entering + gathered_bytes(works, count) * problem.pools.link(device, device).joules_per_byte


def gathered_bytes(works: Sequence[KernelWork], count: int) -> int:
    """Bytes that a stage's devices send one another for each item."""
    return sum(work.out_bytes for work in works) * (count - 1)


def held_bytes(works: Sequence[KernelWork], count: int) -> float:
    """Bytes on each device of a stage: weights, two items' inputs, and the largest kernel at work."""
    weights = sum(work.weights_bytes for work in works)
    largest = max(work.in_bytes + work.structure_bytes + work.out_bytes / count for work in works)
    return weights + 2 * entering_bytes(works) + largest


def room_bytes(problem: PoolProblem, device: DeviceType) -> float:
    """Bytes that a stage may hold on a device of the type."""
    limit = problem.limits.memory_bytes
    return device.memory_bytes if limit is None else min(device.memory_bytes, limit)


def assess(problem: PoolProblem, schedule: PoolSchedule) -> PoolPoint:
    """What `schedule` takes by the problem's times. Limits are not looked at, but for the pace of a power limit.

    Raises:
        PlanError: it does not cover the chain, uses more devices than there are, or gives a device a kernel it
            cannot run.
    """
    _check(problem, schedule)
    source, stages_s, latency_s, dynamic_j = (HOST, 1), [], 0.0, 0.0
    for stage in schedule.stages:
        device, works = problem.pools.by_name[stage.device], problem.works[stage.first : stage.last]
        busy_s = sum(compute_s(problem, work, device, stage.count) for work in works)
        here = (stage.device, stage.count)
        came_s = receive_s(problem, entering_bytes(works), source, here)
        stages_s.append(max(came_s, busy_s) if problem.overlap else came_s + busy_s)
        latency_s += came_s + busy_s
        dynamic_j += stage.count * device.dynamic_w * busy_s
        dynamic_j += link_j(problem, works, source[0], stage.device, stage.count)
        source = here
    static_w = problem.pools.static_w(schedule.used)
    point = PoolPoint(schedule, max(stages_s), latency_s, 0.0, dynamic_j, static_w, tuple(stages_s))
    return paced(point, problem.limits.power_w)


def paced(point: PoolPoint, power_w: float | None) -> PoolPoint:
    """`point` with its energy, fed so slowly that its mean power keeps the limit; inf if static power breaks it.

    Slower is enough: mean power is dynamic energy an item / period + static power.
    """
    period_s = max(point.stages_s)
    least_s = least_period_s(point.dynamic_j, point.static_w, power_w)
    fed_s = least_s if least_s > period_s else 0.0
    period_s = max(period_s, least_s)
    return replace(
        point, period_s=period_s, fed_every_s=fed_s, energy_j=point.dynamic_j + point.static_w * period_s
    )


def least_period_s(dynamic_j: float, static_w: float, power_w: float | None) -> float:
    """The period below which `power_w` would be exceeded."""
    if power_w is None:
        return 0.0
    return dynamic_j / (power_w - static_w) if power_w > static_w else inf


def _check(problem: PoolProblem, schedule: PoolSchedule) -> None:
    place = 0
    for stage in schedule.stages:
        if stage.first != place or stage.last <= place or stage.count < 1:
            raise PlanError("the stages do not follow one another", where=str(schedule), had=str(stage))
        place = stage.last
        _can_run(problem, stage)
    if place != len(problem.works):
        raise PlanError("the stages do not cover the chain", needed=f"{len(problem.works)} kernels", had=str(place))
    for name, used in schedule.used.items():
        if used > problem.pools.by_name[name].count:
            raise PlanError(f"more devices of '{name}' than there are", needed=str(used),
                            had=str(problem.pools.by_name[name].count))  # fmt: skip


def _can_run(problem: PoolProblem, stage: Stage) -> None:
    device = problem.pools.by_name.get(stage.device)
    if device is None:
        known = ", ".join(problem.pools.by_name)
        raise PlanError(f"there is no pool '{stage.device}'", hint=f"known: {known}")
    for index in range(stage.first, stage.last):
        if not isfinite(compute_s(problem, problem.works[index], device, stage.count)):
            raise PlanError(f"'{stage.device}' cannot run {problem.chain.kernels[index].kind}",
                            where=problem.chain.kernels[index].name)  # fmt: skip
