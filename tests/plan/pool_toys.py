"""Random chains over random pools, and every schedule of them tried one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shoal.plan.pools import Chain, DeviceType, KernelSpec, Limits, PoolLink, PoolProblem, Pools, Stage
from shoal.record import KernelWork

KINDS = ("spmm", "gemm", "attention", "elementwise")


@dataclass(frozen=True)
class Rates:
    """Seconds from a rate and a start for each type; no model of anything."""

    rate: dict[tuple[str, str], float]  # (kind, device) → flops a second; missing: cannot
    start_s: float = 1e-6

    def seconds(self, work: KernelWork, device: str) -> float:
        rate = self.rate.get((work.kind, device))
        return float("inf") if rate is None else work.flops / rate + self.start_s


def random_problem(
    rng: np.random.Generator, most_kernels: int = 7, counts: tuple[int, ...] = (2, 3)
) -> PoolProblem:
    """A chain of up to `most_kernels` over pools of at most `counts` devices; each type misses some kinds."""
    size, rows = int(rng.integers(1, most_kernels + 1)), int(rng.integers(50, 400))
    names = [f"t{index}" for index in range(len(counts))]
    types = tuple(
        DeviceType(
            name, int(rng.integers(0 if index else 1, count + 1)), float(rng.uniform(1, 40)),
            float(rng.uniform(5, 200)), switchable=bool(rng.integers(0, 2)),
        )
        for index, (name, count) in enumerate(zip(names, counts, strict=True))
    )  # fmt: skip
    rate = {(kind, name): float(10 ** rng.uniform(8, 10)) for kind in KINDS for name in names}
    for kind in KINDS:
        if rng.random() < 0.3 and len(names) > 1:
            del rate[kind, str(rng.choice(names[1:]))]
    links = tuple(
        PoolLink((one, other), float(10 ** rng.uniform(7, 10)), float(rng.uniform(0, 1e-5)), float(rng.uniform(0, 1e-8)))
        for number, one in enumerate([*names, "host"]) for other in [*names, "host"][number:]
    )  # fmt: skip
    return PoolProblem(
        Chain("random", tuple(_kernel(rng, index, rows) for index in range(size)), {"rows": rows}), {},
        Pools(types, links), Rates(rate, float(rng.uniform(0, 1e-5))), overlap=bool(rng.integers(0, 2)),
    )  # fmt: skip


def _kernel(rng: np.random.Generator, index: int, rows: int) -> KernelSpec:
    columns, inner = (int(rng.integers(4, 64)) for _ in range(2))
    kind = KINDS[int(rng.integers(0, len(KINDS)))]
    return KernelSpec(
        f"k{index}", kind, "rows", columns, "rows" if kind in ("spmm", "attention") else inner,
        nnz=rows * int(rng.integers(1, 9)), window=int(rng.integers(1, 64)),
    )  # fmt: skip


def schedules(problem: PoolProblem) -> Iterator[tuple[Stage, ...]]:
    """Every schedule of the chain over the pools."""

    def extend(first: int, left: tuple[int, ...]) -> Iterator[tuple[Stage, ...]]:
        if first == len(problem.works):
            yield ()
            return
        for last in range(first + 1, len(problem.works) + 1):
            for index, device in enumerate(problem.pools.types):
                for count in range(1, left[index] + 1):
                    rest = (*left[:index], left[index] - count, *left[index + 1 :])
                    for others in extend(last, rest):
                        yield (Stage(first, last, device.name, count), *others)

    return extend(0, tuple(device.count for device in problem.pools.types))


@dataclass(frozen=True)
class Tried:
    """What the oracle found of one schedule."""

    period_s: float
    energy_j: float
    latency_s: float
    held_bytes: float


class Oracle:
    """The brief's formulas written out once more, with what does not depend on the schedule remembered."""

    def __init__(self, problem: PoolProblem) -> None:
        self.problem = problem
        self._own: dict[Stage, tuple[float, float, int, float]] = {}

    def own(self, stage: Stage) -> tuple[float, float, int, float]:
        """Compute seconds, gathered bytes, entering bytes, and bytes held of a stage."""
        if stage not in self._own:
            works = self.problem.works[stage.first : stage.last]
            n, peer = stage.count, self.problem.pools.link(stage.device, stage.device)
            seconds = gathered = 0.0
            for work in works:
                seconds += self.problem.times.seconds(work.split(n), stage.device)
                if n > 1:
                    gathered += work.out_bytes * (n - 1)
                    seconds += work.out_bytes * (n - 1) / n / peer.bytes_per_s + peer.latency_s
            entering = works[0].in_bytes + max(work.structure_bytes for work in works)
            held = sum(work.weights_bytes for work in works) + 2 * entering
            held += max(work.in_bytes + work.structure_bytes + work.out_bytes / n for work in works)
            self._own[stage] = (seconds, gathered, entering, held)
        return self._own[stage]

    def tried(self, stages: tuple[Stage, ...]) -> Tried | None:
        """What the schedule comes to; None if some device cannot."""
        pools, before = self.problem.pools, None
        period_s = energy_j = latency_s = most = 0.0
        used = dict.fromkeys(pools.by_name, 0)
        for stage in stages:
            seconds, gathered, entering, held = self.own(stage)
            if seconds == float("inf"):
                return None
            link = pools.link(before.device if before else "host", stage.device)
            wires = min(before.count, stage.count) if before else stage.count
            came_s = entering / (link.bytes_per_s * wires) + link.latency_s
            period_s = max(period_s, max(came_s, seconds) if self.problem.overlap else came_s + seconds)
            latency_s += came_s + seconds
            energy_j += stage.count * pools.by_name[stage.device].dynamic_w * seconds
            energy_j += entering * link.joules_per_byte
            energy_j += gathered * pools.link(stage.device, stage.device).joules_per_byte
            used[stage.device] += stage.count
            most, before = max(most, held), stage
        static_w = sum(
            device.static_w * (used[device.name] if device.switchable else device.count) for device in pools.types
        )
        power_w = self.problem.limits.power_w
        if power_w is not None:
            if power_w <= static_w:
                return None
            period_s = max(period_s, energy_j / (power_w - static_w))
        return Tried(period_s, energy_j + static_w * period_s, latency_s, most)

    def front(self) -> list[tuple[float, float]]:
        """Period and energy of what no other schedule within the limits beats, ascending."""
        limits = self.problem.limits
        found = [
            (tried.period_s, tried.energy_j)
            for stages in schedules(self.problem)
            if within(limits, tried := self.tried(stages), sum(stage.count for stage in stages))
        ]  # type: ignore[union-attr]
        kept: list[tuple[float, float]] = []
        for point in sorted(found):
            if not kept or point[1] < kept[-1][1]:
                kept.append(point)
        return kept


def within(limits: Limits, tried: Tried | None, devices: int) -> bool:
    return (
        tried is not None
        and (limits.latency_s is None or tried.latency_s <= limits.latency_s)
        and (limits.memory_bytes is None or tried.held_bytes <= limits.memory_bytes)
        and (limits.devices is None or devices <= limits.devices)
    )
