"""What a driver is: every decision at run time, as a pure function.

`step(state, event, time_s)` gives the next state and the commands. The coordinator feeds it from sockets, the
simulator from events, a test from a list; it never sleeps, reads a clock, or draws a random number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from shoal.program.values import Program
from shoal.program.workload import Workload


@dataclass(frozen=True, slots=True)
class Begun:
    """The run begins; always the first event."""


@dataclass(frozen=True, slots=True)
class Finished:
    """All answers of an item are there; `empty` when a gate stopped it."""

    item: int
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Woke:
    """The time asked for by a WakeAt has come."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A unit is gone, and so are the values it held."""

    unit: str
    why: str


Event = Begun | Finished | Woke | Lost


@dataclass(frozen=True, slots=True)
class Start:
    """Send the inputs of an item into a route."""

    item: int
    route: int
    session: int = -1
    bindings: Mapping[str, int] = field(default_factory=dict)
    arrived_s: float = 0.0  # when it came; its latency counts from here


@dataclass(frozen=True, slots=True)
class Cancel:
    """Forget an item."""

    item: int


@dataclass(frozen=True, slots=True)
class Move:
    """Carry a state of a session to another unit."""

    state: str
    session: int
    to: str


@dataclass(frozen=True, slots=True)
class SwitchEpoch:
    """From now on start items in the program of this epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Call again at this time."""

    time_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more will be started and nothing is awaited; `failure` says why if work is left undone."""

    failure: str = ""


Command = Start | Cancel | Move | SwitchEpoch | WakeAt | Stop


class Driver(Protocol):
    """A technique of `program/drivers`."""

    def begin(self, program: Program, workload: Workload) -> Any:
        """The first state, a frozen value."""

    def step(self, state: Any, event: Event, time_s: float) -> tuple[Any, tuple[Command, ...]]:
        """The next state and what to do now."""
