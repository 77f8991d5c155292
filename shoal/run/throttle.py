"""Devices that are slower than this machine, made of local workers that are slowed down.

A throttled worker computes for real, and its time is the real one over `speed`: no estimate has a part in it, so it
can judge estimates. Two ways: the kernel's CPU quota, which holds for all the process does but is uneven within a
period, and pacing, in which the worker itself sleeps after what it did (see `worker.Throttle`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from shoal.catalog import nearest
from shoal.errors import InputError, PaceError
from shoal.plan.values import Plan
from shoal.run.local import Processes, Workers
from shoal.run.quota import groups, period_s

Way = Literal["auto", "quota", "pace"]
WAYS: tuple[Way, ...] = ("auto", "quota", "pace")
LOAD = 0.6  # share of this machine's cores that throttled workers may keep busy together
PERIODS = 5  # in an item's work on each unit, for a quota to be even enough


@dataclass(frozen=True)
class Throttling:
    """How the units of a plan are slowed down; nothing in it if none is."""

    speeds: Mapping[str, float] = field(default_factory=dict)  # unit → share of one core, below 1
    quota: bool = False  # by the kernel, else by pacing
    note: str = ""

    def paced(self, unit: str) -> float:
        """The speed that the unit's worker keeps to by itself."""
        return 1.0 if self.quota else self.speeds.get(unit, 1.0)

    @contextmanager
    def held(self, workers: Workers) -> Iterator[None]:
        """Hold the loaded workers to their quotas; nothing to do where they pace themselves.

        Raises:
            WorkError: the kernel does not let us.
        """
        found = groups() if self.quota and isinstance(workers, Processes) else None
        if found is None or not isinstance(workers, Processes):
            yield
            return
        pids = workers.pids()
        with found.limited({pids[unit]: speed for unit, speed in self.speeds.items()}):
            yield


def way_of(name: str) -> Way:
    """The way called `name`.

    Raises:
        InputError: no such way.
    """
    for way in WAYS:
        if way == name:
            return way
    raise InputError(f"no way to throttle is called '{name}'", hint=nearest(name, WAYS))


def throttling(plan: Plan, way: Way, *, processes: bool = True) -> Throttling:
    """How `plan`'s units are slowed down; `processes`: whether each has a process of its own.

    Raises:
        PaceError: this machine has too few cores to be all of the plan's devices.
    """
    speeds = {unit: plan.fleet.device(unit).speed for unit in plan.units}
    slow = {unit: speed for unit, speed in speeds.items() if speed < 1}
    if not slow:
        return Throttling()
    _refuse_overload(speeds)
    quota, why = _quota(plan, slow, way, processes)
    listed = ", ".join(f"{unit} {speed:g}" for unit, speed in slow.items())
    kind = "the kernel's CPU quota" if quota else f"pacing{f' ({why})' * bool(why)}"
    return Throttling(slow, quota, f"throttled by {kind}: {listed}")


def _refuse_overload(speeds: Mapping[str, float]) -> None:
    cores = len(os.sched_getaffinity(0))
    total, most = sum(speeds.values()), cores * LOAD
    if total > most:
        raise PaceError(
            "this machine cannot be all these devices at once",
            needed=f"speeds of at most {most:g} together ({LOAD:g} of {cores} cores)",
            had=f"{total:g}: {', '.join(f'{unit} {speed:g}' for unit, speed in speeds.items())}",
            hint="make the devices slower, all by the same factor",
        )


def _quota(plan: Plan, slow: Mapping[str, float], way: Way, processes: bool) -> tuple[bool, str]:
    """Whether a quota it is; if it was wished for and is not, why."""
    if way == "pace":
        return False, ""
    if not processes:
        return False, "a quota needs a process for each worker"
    if way == "auto" and not all(_even(plan, unit, speed) for unit, speed in slow.items()):
        return False, "an item's work is short against a quota's period"
    if groups() is None:
        return False, "the kernel allows no quota here"
    return True, ""


def _even(plan: Plan, unit: str, speed: float) -> bool:
    return plan.prediction.busy_s.get(unit.partition("/")[0], 0.0) >= PERIODS * period_s(speed)
