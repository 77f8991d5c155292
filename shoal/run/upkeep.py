"""What a run needs from outside when it is kept up as a service: requests, plans for who is left, signs of life."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.program import Event, Found, Unfound
from shoal.run.crew import Crew
from shoal.run.roster import Standby

Devices = frozenset[str]
Seeker = Callable[[Devices], "Sought"]  # called on a thread of its own
Told = Callable[[int, str, Mapping[str, Any]], None]  # epoch, unit, its vitals


class Requests:
    """Events for the driver that come from outside. Put from any thread, taken by the run's own."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._there = threading.Event()
        self.waker: Callable[[], None] = lambda: None  # wakes whoever waits somewhere else than in `wait`

    def put(self, event: Event) -> None:
        """Tell the driver as soon as may be."""
        self._events.append(event)
        self._there.set()
        self.waker()

    def take(self) -> Event | None:
        """The next event, if there is one."""
        self._there.clear()
        return self._events.popleft() if self._events else None

    def wait(self, timeout_s: float) -> None:
        """Wait for an event, where there is nobody else to wait for."""
        if not self._events:
            self._there.wait(timeout_s)

    def __len__(self) -> int:
        """How many wait to be taken."""
        return len(self._events)


@dataclass(frozen=True)
class Sought:
    """What came of a Seek; `standby` is how the workers of a found epoch are had, none if it is a known one."""

    event: Found | Unfound
    standby: Standby | None = None


def among(known: Mapping[int, tuple[Devices, float]]) -> Seeker:
    """Finds the one with the shortest period of these epochs, of which the devices and the periods are given."""

    def seek(devices: Devices) -> Sought:
        able = [epoch for epoch, (uses, _) in known.items() if uses <= devices]
        if not able:
            return Sought(Unfound(devices, f"no plan is for {', '.join(sorted(devices))} alone"))
        best = min(able, key=lambda epoch: (known[epoch][1], epoch))
        return Sought(Found(devices, best, *known[best]))

    return seek


@dataclass
class Pulse:
    """Asks workers how they are, and tells who does not answer.

    A worker answers between two segments, so `patience_s` must be longer than its longest one.
    """

    every_s: float = 1.0
    patience_s: float = 5.0
    told: Told = lambda *_: None
    _asked_s: dict[tuple[int, str], float] = field(default_factory=dict)  # since when an answer is awaited
    _next_s: float = 0.0

    def beat(self, crews: Mapping[int, Crew]) -> list[tuple[int, str]]:
        """Ask if it is time; the epochs and units that have not answered for too long."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return []
        self._next_s = now_s + self.every_s
        known = {(epoch, unit) for epoch, crew in crews.items() for unit in crew.program.units}
        self._asked_s = {key: asked_s for key, asked_s in self._asked_s.items() if key in known}
        silent = [key for key, asked_s in self._asked_s.items() if now_s - asked_s > self.patience_s]
        for epoch, crew in crews.items():
            if not any((epoch, unit) in self._asked_s for unit in crew.program.units):
                crew.ask_vitals()
                self._asked_s |= {(epoch, unit): now_s for unit in crew.program.units}
        return silent

    def heard(self, epoch: int, unit: str, message: Mapping[str, Any]) -> None:
        """A worker answered."""
        self._asked_s.pop((epoch, unit), None)
        self.told(epoch, unit, message)


@dataclass(frozen=True)
class Upkeep:
    """All of it. Without any of it a run is a workload over given plans, from its first item to its last."""

    requests: Requests = field(default_factory=Requests)
    seek: Seeker = lambda devices: Sought(Unfound(devices, "nobody plans here"))
    refused: Callable[[int, str], None] = lambda *_: None  # an item that will not be answered, and why
    pulse: Pulse | None = None
    remember: int | None = None  # so many of the latest answers are kept, and no spans and facts; none: all
