"""Devices, their units, and the links between them. SI inside: bytes, seconds, watts, joules, flop/s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shoal.errors import FleetError

RANGED = {
    "carbon": "kilogram",
    "lifetime": "second",
    "grid": "kilogram/joule",
    "utilisation": "",
}  # and their units


@dataclass(frozen=True)
class OperatingPoint:
    """One voltage and frequency setting of a unit."""

    name: str
    speed: float  # relative to the unit's peaks, 1 = the peaks as stated
    busy_w: float  # drawn above the device's idle power while the unit computes


@dataclass(frozen=True)
class MacArray:
    """Multipliers that hold weights still while inputs of eight bits stream by: what a simulated unit is made of.

    Without a `multiplier` the array is laid out anew for the format of each product, as on an FPGA: in the area of
    `rows` × `columns` multiply-adds of eight bits by eight, as many as fit of those that the format takes. With one
    it is fixed silicon, and its clock follows the weights that a layer holds.
    """

    rows: int  # of multipliers: what products sum over
    columns: int  # results at a time
    clock_hz: float  # with which every weight is right
    node_nm: int = 45  # whose energies of single operations hold
    multiplier: str = ""  # of the family `machines/multipliers`

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 1 or not self.clock_hz > 0:
            raise FleetError("no array of multipliers", needed="rows, columns and a clock above 0",
                             had=f"{self.rows} × {self.columns}, {self.clock_hz:g} Hz")  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """A part of a device that runs segments: its CPU cores, its GPU, an accelerator."""

    name: str  # "cpu", "gpu", "npu": a placement names "nano/gpu"
    cores: int
    peak_flop_per_s: Mapping[str, float]  # number format -> peak; one multiply-accumulate counts two
    memory_bytes_per_s: float
    busy_w: float  # drawn above the device's idle power while the unit computes
    engines: tuple[str, ...] = ("onnxruntime",)
    operating_points: tuple[OperatingPoint, ...] = ()
    macs: MacArray | None = None  # beside what its peaks tell of, for products with coded weights; simulated


@dataclass(frozen=True)
class Coupling:
    """How an accelerator hangs on the host that feeds it."""

    kind: Literal["loose", "close", "tight"]  # memories apart; apart but coherent; one memory
    bytes_per_s: float  # between host and accelerator, one direction
    launch_s: float  # from the launch of a kernel to its beginning, with nothing before it
    host_speed: float = 1.0  # of one thread of the host at serial code; 1 is an Intel server of 2023

    @property
    def coherent(self) -> bool:
        """Whether each reads what the other wrote without a copy."""
        return self.kind != "loose"

    def copy_s(self, count_bytes: float) -> float:
        """Seconds until so many bytes of the host are the accelerator's own."""
        return 0.0 if self.kind == "tight" else self.launch_s + count_bytes / self.bytes_per_s


@dataclass(frozen=True)
class Lifecycle:
    """What a device's making and use amount to in carbon dioxide; what it is made of matters if `carbon_kg` is unknown."""

    lifetime_s: float
    grid_kg_per_j: float  # CO2e of its electricity
    utilisation: float = 1.0  # share of its lifetime in which it works
    pue: float = 1.0  # electricity of the site over its own
    die_mm2: float | None = None  # all dies, memory and storage apart
    storage_bytes: int = 0  # flash
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # of RANGED: lowest and highest

    def __post_init__(self) -> None:
        if not (self.lifetime_s > 0 and self.grid_kg_per_j >= 0 and 0 < self.utilisation <= 1 and self.pue >= 1):
            raise FleetError("no such life", needed="lifetime > 0 s, grid >= 0 kg/J, utilisation in (0, 1], pue >= 1",
                             had=f"{self.lifetime_s:g} s, {self.grid_kg_per_j:g} kg/J, {self.utilisation:g}, "
                                 f"{self.pue:g}")  # fmt: skip
        if self.die_mm2 is not None and not self.die_mm2 > 0:
            raise FleetError("no such die", needed="an area above 0 mm²", had=f"{self.die_mm2:g} mm²")


@dataclass(frozen=True)
class Device:
    """One machine of the fleet."""

    name: str
    board: str
    units: tuple[Unit, ...]
    memory_bytes: int
    memory_limit_bytes: int  # what shoal may use: the limit the user set, or the memory less the system's share
    idle_w: float
    link_j_per_byte: float = 0.0  # radio or Ethernet energy, paid by sender and by receiver
    price_usd: float | None = None
    stock: int | None = None  # how many can be had; None is no limit
    carbon_kg: float | None = None  # embodied
    cores: tuple[int, ...] | None = None  # this machine's cores that a local worker is pinned to
    address: str | None = None  # "host:port" of a worker that already runs there
    speed: float = 1.0  # of its board's, by throttling a local worker: a slower machine made real on this one
    coupling: Coupling | None = None  # of an accelerator and its host, where launches are simulated
    lifecycle: Lifecycle | None = None  # where carbon counts

    def __post_init__(self) -> None:
        if not 0 < self.speed <= 1:
            raise FleetError(f"'{self.name}' has no such speed", needed="above 0, at most 1", had=f"{self.speed:g}")

    def unit(self, name: str) -> Unit:
        """The unit called `name`."""
        for unit in self.units:
            if unit.name == name:
                return unit
        raise FleetError(f"no unit '{name}'", where=self.name, had=", ".join(u.name for u in self.units))


@dataclass(frozen=True)
class Link:
    """A medium that joins two or more devices; each pair of members has its own unless it is shared."""

    name: str
    members: tuple[str, ...]
    bandwidth_bytes_per_s: float
    latency_s: float
    j_per_byte: float = 0.0
    shared: bool = False  # one medium for all its members

    def __post_init__(self) -> None:
        if not (self.bandwidth_bytes_per_s > 0 and self.latency_s >= 0 and self.j_per_byte >= 0):
            raise FleetError(
                f"nothing could cross the link '{self.name}'", needed="> 0 B/s, >= 0 s, >= 0 J/B",
                had=f"{self.bandwidth_bytes_per_s:g} B/s, {self.latency_s:g} s, {self.j_per_byte:g} J/B",
            )  # fmt: skip


@dataclass(frozen=True)
class Fleet:
    """The machines at hand. Units are named "device/unit" everywhere outside this package."""

    devices: tuple[Device, ...]
    links: tuple[Link, ...] = ()
    default_link: Link | None = None  # any pair no link names
    source: str = field(default="", compare=False)  # the file it came from

    def device(self, name: str) -> Device:
        """The device called `name`; "device/unit" finds the device too."""
        wanted = name.partition("/")[0]
        for device in self.devices:
            if device.name == wanted:
                return device
        raise FleetError(f"no device '{wanted}'", had=", ".join(d.name for d in self.devices))

    def unit(self, name: str) -> Unit:
        """The unit called "device/unit"."""
        return self.device(name).unit(name.partition("/")[2])

    @property
    def unit_names(self) -> tuple[str, ...]:
        """All units as "device/unit", in the order of the file."""
        return tuple(f"{d.name}/{u.name}" for d in self.devices for u in d.units)

    def path(self, source: str, target: str) -> tuple[Link, ...]:
        """The links a message crosses from one device (or unit) to another; empty within one device.

        Raises:
            FleetError: no link joins the two and the fleet has no default link.
        """
        ends = {source.partition("/")[0], target.partition("/")[0]}
        if len(ends) == 1:
            return ()
        for link in self.links:
            if ends <= set(link.members):
                return (link,)
        if self.default_link is None:
            raise FleetError(
                f"no link joins {' and '.join(sorted(ends))}",
                where=self.source or None,
                hint="add one under [[links]], or a [default_link]",
            )
        return (self.default_link,)
