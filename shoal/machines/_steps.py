"""What a machine of tiles is told, and how long that takes: an event simulation of units that work and messages that wait."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from shoal.errors import ProgramError
from shoal.events import Kernel
from shoal.machines._mesh import Link, Mesh

Counts: TypeAlias = Mapping[str, float]  # events by name, what energy and time follow from: "mac", "dram" (bytes)
Store: TypeAlias = dict[Any, Any]  # what a tile holds, by name
HOPS = "noc"  # the event that a message counts: a byte that goes over a link


@dataclass(frozen=True)
class Compute:
    """Work of one unit of a tile."""

    tile: int
    counts: Counts
    after: tuple[int, ...] = ()  # indices of steps that it waits for, all before it
    unit: str = "tile"  # units of one tile work at once
    does: Callable[[Store], None] | None = None  # to what its tile holds, where values are carried


@dataclass(frozen=True)
class Send:
    """A message to another tile, or nothing at all to the same one."""

    source: int
    target: int
    bytes: float
    after: tuple[int, ...] = ()
    carries: tuple[Any, ...] = ()  # names of values, where values are carried


Step: TypeAlias = Compute | Send
Needed: TypeAlias = tuple[int, str] | Link  # a unit of a tile, or a link


@dataclass(frozen=True)
class Passed:
    """What steps took."""

    seconds: float
    counts: Counts  # of all steps, with the bytes times hops of the messages
    busy_s: tuple[float, ...]  # of each tile: that of its busiest unit
    links_s: Mapping[Link, float]  # of each link that was used


def passed(
    steps: Sequence[Step], mesh: Mesh, seconds: Callable[[Counts], float], stores: Sequence[Store] | None = None
) -> Passed:
    """Carry out `steps`, each as soon as those that it waits for are done and its unit, or its way, is free.

    A message holds all links of its way for as long as its bytes take on one (wormhole switching). Units and links serve in
    the order of `steps`: nothing can block for good, for the earliest step that is not done never waits for a later one;
    and nothing gets slower by a unit or link that gets faster, for each time is a sum and maximum of others.

    Args:
        steps: in an order in which each comes after those that it waits for.
        mesh: of the tiles.
        seconds: that a unit takes for events.
        stores: what each tile holds, changed by what the steps do; none: only time counts.

    Raises:
        ProgramError: a step waits for a later one, or reads a value that its tile does not hold.
    """
    run = _Run(steps, mesh, seconds, stores)
    run.begin()
    run.kernel.run()
    return run.result()


@dataclass
class _Run:
    """A step waits until each step before it is done, and until it is first in the queue of each thing that it needs."""

    steps: Sequence[Step]
    mesh: Mesh
    seconds: Callable[[Counts], float]
    stores: Sequence[Store] | None
    kernel: Kernel = field(default_factory=Kernel)
    missing: list[int] = field(default_factory=list)  # of each step: what it still waits for
    following: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    queues: dict[Needed, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    busy_s: dict[Needed, float] = field(default_factory=lambda: defaultdict(float))
    counts: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def begin(self) -> None:
        for at, step in enumerate(self.steps):
            if any(not 0 <= other < at for other in step.after):
                raise ProgramError("a step that waits for a later one", where=f"step {at}", had=str(step.after))
            needed = self._needed(step)
            self.missing.append(len(step.after) + sum(1 for each in needed if self.queues[each]))
            for each in needed:
                self.queues[each].append(at)
            for other in step.after:
                self.following[other].append(at)
        for at in [at for at, missing in enumerate(self.missing) if not missing]:
            self._start(at)

    def _needed(self, step: Step) -> tuple[Needed, ...]:
        return self.mesh.path(step.source, step.target) if isinstance(step, Send) else ((step.tile, step.unit),)

    def _start(self, at: int) -> None:
        step = self.steps[at]
        needed = self._needed(step)
        takes_s, later_s = self._takes(step, len(needed))
        for each in needed:
            self.busy_s[each] += takes_s
        freed_s = self.kernel.now_s + takes_s
        self.kernel.at(freed_s, partial(self._freed, needed))
        self.kernel.at(freed_s + later_s, partial(self._done, at))

    def _takes(self, step: Step, hops: int) -> tuple[float, float]:
        """How long it holds what it needs, and how much later it is done; its events are counted."""
        if isinstance(step, Send):
            self.counts[HOPS] += step.bytes * hops
            return (step.bytes / self.mesh.link_bytes_per_s if hops else 0.0), hops * self.mesh.hop_s
        for name, count in step.counts.items():
            self.counts[name] += count
        return self.seconds(step.counts), 0.0

    def _freed(self, needed: Sequence[Needed]) -> None:
        for each in needed:
            queue = self.queues[each]
            queue.popleft()
            if queue:
                self._nearer(queue[0])

    def _done(self, at: int) -> None:
        if self.stores is not None:
            _carry(self.steps[at], self.stores, at)
        for other in self.following[at]:
            self._nearer(other)

    def _nearer(self, at: int) -> None:
        self.missing[at] -= 1
        if not self.missing[at]:
            self._start(at)

    def result(self) -> Passed:
        busy_s, links_s = [0.0] * self.mesh.tiles, {}
        for each, spent_s in self.busy_s.items():
            tile, other = each
            if isinstance(other, int):
                links_s[tile, other] = spent_s
            else:
                busy_s[tile] = max(busy_s[tile], spent_s)
        return Passed(self.kernel.now_s, dict(self.counts), tuple(busy_s), links_s)


def _carry(step: Step, stores: Sequence[Store], at: int) -> None:
    try:
        if isinstance(step, Send):
            stores[step.target].update({name: stores[step.source][name] for name in step.carries})
        elif step.does:
            step.does(stores[step.tile])
    except KeyError as fault:
        raise ProgramError("a value that its tile does not hold", where=f"step {at}", had=str(fault)) from fault
