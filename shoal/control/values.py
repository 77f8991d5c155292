"""What devices and coordinators tell each other over the control plane. Every message is one of these, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import shoal
from shoal.fleet import Device, Link
from shoal.program.values import PROTOCOL


@dataclass(frozen=True)
class Announcement:
    """A device offers itself. It is told anew when anything of it changes."""

    device: Device  # as probed there; its name is the one in its certificate
    host: str  # where its workers listen, as others reach it
    boot: str  # tells one start of the agent from another, and with it the device's clock
    link: Link | None = None  # towards the hub, as measured when it joined
    version: str = shoal.__version__
    protocol: int = PROTOCOL
    joined_s: float = 0.0  # when this start of the agent joined: Unix seconds by its own clock; 0: it does not say


@dataclass(frozen=True)
class WorkerVitals:
    """One worker process on a device."""

    unit: str
    program_hash: str
    epoch: int
    resident_bytes: int
    cpu_s: float  # since it started


@dataclass(frozen=True)
class Vitals:
    """How a device is, told every second or so."""

    time_s: float  # seconds since the epoch of Unix, by its own clock
    cpu_share: float  # of all its cores, 0 to 1, whoever used them
    memory_bytes: int  # in use, by whoever
    temperature_c: float | None = None
    disk_free_bytes: int = 0  # where it keeps bundles
    workers: tuple[WorkerVitals, ...] = ()


@dataclass(frozen=True)
class Deploy:
    """Start a worker for `unit` of a program, after fetching what is missing of its bundle.

    `parts` are the bundle's files by name: SHA-256 and bytes; the program and the manifest are among them. They are
    fetched from `source` by their hash. `signature` is the coordinator's over `codec.encode(parts)`, so that a
    device starts nothing that its fleet's coordinator did not ask for.
    """

    unit: str
    epoch: int
    parts: Mapping[str, tuple[str, int]]
    source: str  # "https://host:port"
    signature: str  # base64
    signer: str  # the coordinator's certificate, PEM


@dataclass(frozen=True)
class Deployed:
    """The worker is there and listens."""

    address: str
    fetched_bytes: int = 0  # of the bundle, what was not there yet


@dataclass(frozen=True)
class Dismiss:
    """End the worker of this unit and epoch of the program, if it is still there."""

    unit: str
    epoch: int
    program_hash: str


@dataclass(frozen=True)
class Done:
    """What was asked is done."""


@dataclass(frozen=True)
class Failed:
    """What was asked could not be done."""

    kind: str  # class of the error
    message: str
    hint: str | None = None


Request = Deploy | Dismiss
Reply = Deployed | Done | Failed


@dataclass(frozen=True)
class Sighting:
    """What is known of one device. `present` by liveliness; the rest is the latest it told."""

    name: str
    present: bool
    since_s: float  # monotonic seconds since when that is so
    announcement: Announcement | None = None
    vitals: Vitals | None = None
    refused: str = ""  # why it is not used: another version, a foreign certificate, …
    notes: Mapping[str, str] = field(default_factory=dict)
