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
    """A unit is gone, and so are the values it held. Nothing more can be started in its epoch."""

    unit: str
    why: str
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Ready:
    """The workers of an epoch that was to be prepared are there; `took_s` is how long that took beside the work."""

    epoch: int
    program: Program
    took_s: float


@dataclass(frozen=True, slots=True)
class Unready:
    """An epoch cannot be switched to: its workers did not start, or one was lost while nothing ran there."""

    epoch: int
    why: str


Event = Begun | Finished | Woke | Lost | Ready | Unready


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
class Prepare:
    """Start the workers of this epoch beside those that serve; a Ready or an Unready follows."""

    epoch: int


@dataclass(frozen=True, slots=True)
class SwitchEpoch:
    """From now on start items in the program of this epoch, which must be ready.

    Items in flight end in the epoch they began in. Their answers go out before those of items started later, so
    no answer overtakes a switch, whether the driver waited until nothing was in flight or not.
    """

    epoch: int
    decided_s: float | None = None  # since when items wait for it; None: they did not


@dataclass(frozen=True, slots=True)
class Retire:
    """Let the workers of this epoch go as soon as nothing is in flight there."""

    epoch: int


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Call again at this time."""

    time_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more will be started and nothing is awaited; `failure` says why if work is left undone."""

    failure: str = ""


Command = Start | Cancel | Move | Prepare | SwitchEpoch | Retire | WakeAt | Stop


class Driver(Protocol):
    """A technique of `program/drivers`."""

    def begin(self, program: Program, workload: Workload) -> Any:
        """The first state, a frozen value."""

    def step(self, state: Any, event: Event, time_s: float) -> tuple[Any, tuple[Command, ...]]:
        """The next state and what to do now."""
