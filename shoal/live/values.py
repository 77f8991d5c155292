"""What a running service says of itself: for its page, its metrics and its logs. Frozen snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["began", "joined", "left", "lost", "planned", "switched", "refused", "drained"]


@dataclass(frozen=True)
class TensorForm:
    """Type and shape of an input or output; a size that has a name may be smaller than its bound."""

    dtype: str
    shape: tuple[int, ...]
    open: tuple[int, ...] = ()  # axes whose size may be smaller


@dataclass(frozen=True)
class Signature:
    """What one request carries and gets."""

    inputs: Mapping[str, TensorForm]
    outputs: Mapping[str, TensorForm]


@dataclass(frozen=True)
class UnitState:
    """What one unit does in the plan that serves now."""

    unit: str
    segments: int
    weights_bytes: int
    busy_share: float | None  # of the latest seconds, 0 to 1; none: not known


@dataclass(frozen=True)
class DeviceState:
    """One device of the fleet, whether it is there or not."""

    name: str
    board: str
    present: bool
    since_s: float  # Unix seconds since when it is there, or gone
    why: str = ""  # it is gone, or not used
    cpu_share: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    temperature_c: float | None = None
    energy_j: float = 0.0  # since the service began, as the plan's powers have it
    units: tuple[UnitState, ...] = ()


@dataclass(frozen=True)
class Happening:
    """Something that whoever runs the service wants to know."""

    number: int  # 0, 1, …
    time_s: float  # Unix seconds
    kind: Kind
    subject: str  # a device, a unit, an epoch
    text: str


@dataclass(frozen=True)
class ServiceState:
    """Everything at one moment."""

    name: str
    time_s: float  # Unix seconds
    began_s: float
    epoch: int
    ready: bool  # whether requests are answered now
    draining: bool
    window: int
    queue_limit: int
    queued: int
    in_flight: int
    answered: int = 0
    refused: int = 0  # not taken: the queue was full, or nobody was there
    failed: int = 0  # taken and not answered: over the deadline, or nobody left
    resent: int = 0  # begun again on other devices
    throughput_items_per_s: float = 0.0  # over the latest ten seconds
    latency_s: Mapping[str, float] = field(default_factory=dict)  # "p50", "p99" of the latest items
    energy_j_per_item: float | None = None
    devices: tuple[DeviceState, ...] = ()
    pipeline: tuple[str, ...] = ()  # units in the order an item first meets them
    standbys: Mapping[str, str] = field(default_factory=dict)  # which loss → what is prepared for it
