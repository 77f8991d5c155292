"""What a driver is: every decision at run time, as a pure function.

`step(state, event, time_s)` gives the next state and the commands. The coordinator feeds it from sockets, the
simulator from events, a test from a list; it never sleeps, reads a clock, or draws a random number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
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


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request came: an item that no workload foresaw, whose answer is of no use after `patience_s` from now."""

    item: int
    entry: str = "main"
    session: int = -1
    bindings: Mapping[str, int] = field(default_factory=dict)
    patience_s: float = inf


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Nobody waits for this item any more."""

    item: int


@dataclass(frozen=True, slots=True)
class Closing:
    """No more requests will come."""


@dataclass(frozen=True, slots=True)
class Here:
    """A device can be used from now on."""

    device: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A device cannot be used any more, whatever its workers' connections say."""

    device: str
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a Seek: the best plan for `devices` is that of `epoch`, which may be a known one."""

    devices: frozenset[str]
    epoch: int
    uses: frozenset[str]  # those of them that take part
    period_s: float  # predicted, at the speeds that the devices have now


@dataclass(frozen=True, slots=True)
class Unfound:
    """No plan keeps the limits on these devices."""

    devices: frozenset[str]
    why: str


@dataclass(frozen=True, slots=True)
class Drifted:
    """The devices are faster or slower than the plans took them to be; what the epochs are predicted to take now."""

    periods_s: Mapping[int, float]


Event = (
    Begun
    | Finished
    | Woke
    | Lost
    | Ready
    | Unready
    | Arrived
    | Withdrawn
    | Closing
    | Here
    | Gone
    | Found
    | Unfound
    | Drifted
)


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
class Abandon:
    """Give up what is in flight in this epoch, and its workers: they answer no more, or are not to be waited for."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Seek:
    """Find the best plan for just these devices, or some of them; a Found or an Unfound follows."""

    devices: frozenset[str]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Give an item up: it will not be answered."""

    item: int
    why: str


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Call again at this time."""

    time_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more will be started and nothing is awaited; `failure` says why if work is left undone."""

    failure: str = ""


Command = Start | Cancel | Move | Prepare | SwitchEpoch | Retire | Abandon | Seek | Refuse | WakeAt | Stop


class Driver(Protocol):
    """A technique of `program/drivers`."""

    def begin(self, program: Program, workload: Workload) -> Any:
        """The first state, a frozen value."""

    def step(self, state: Any, event: Event, time_s: float) -> tuple[Any, tuple[Command, ...]]:
        """The next state and what to do now."""
