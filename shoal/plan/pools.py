"""Chains of kernels over pools of unlike devices: what is asked, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

from shoal.cost.features import KernelTimes
from shoal.errors import PlanError
from shoal.program.sizes import Size, evaluate
from shoal.record import KINDS, KernelKind, KernelWork

HOST = "host"  # where items come from, a party of links


@dataclass(frozen=True)
class KernelSpec:
    """One kernel of a chain; sizes are numbers or expressions over what an item brings (see KernelWork)."""

    name: str
    kind: KernelKind
    rows: Size
    columns: Size
    inner: Size = 0
    nnz: Size = 0
    window: Size = 0
    heads: int = 1

    def at(self, bindings: Mapping[str, int]) -> KernelWork:
        """The kernel at an item's sizes."""
        rows, columns, inner, nnz, window = (
            evaluate(size, bindings) for size in (self.rows, self.columns, self.inner, self.nnz, self.window)
        )
        return KernelWork(self.kind, rows, columns, inner, nnz, window, self.heads)


@dataclass(frozen=True)
class Chain:
    """Kernels, each reading what the one before gives. All sparse products of a chain use the item's one matrix."""

    name: str
    kernels: tuple[KernelSpec, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)  # named sizes and their bounds

    def __post_init__(self) -> None:
        if not self.kernels:
            raise PlanError("a chain needs at least one kernel", where=self.name)

    def at(self, bindings: Mapping[str, int]) -> tuple[KernelWork, ...]:
        """The kernels at an item's sizes; what it does not bind stands at its bound.

        Raises:
            PlanError: a size above its bound.
        """
        for name, value in bindings.items():
            if value > self.sizes.get(name, value):
                raise PlanError(f"'{name}' is above its bound", where=self.name, needed=f"≤ {self.sizes[name]}",
                                had=str(value))  # fmt: skip
        sizes = {**self.sizes, **bindings}
        return tuple(kernel.at(sizes) for kernel in self.kernels)


@dataclass(frozen=True)
class DeviceType:
    """A pool of equal devices."""

    name: str
    count: int
    static_w: float  # of each, as long as it is on
    dynamic_w: float  # above that, while it computes
    memory_bytes: float = inf  # of each
    switchable: bool = True  # off when no stage uses it; else it draws static_w all the same
    kinds: tuple[KernelKind, ...] = KINDS  # that it has an implementation of

    def __post_init__(self) -> None:
        figures = (self.count, self.static_w, self.dynamic_w, self.memory_bytes)
        if min(figures) < 0:
            raise PlanError("a pool has a figure below zero", where=self.name, had=str(min(figures)))
        if self.name == HOST:
            raise PlanError(f"no pool may be called '{HOST}'", hint="that is where items come from")


@dataclass(frozen=True)
class PoolLink:
    """Between a device of one type and one of another (or the same, or HOST); each pair of devices has its own."""

    members: tuple[str, str]
    bytes_per_s: float
    latency_s: float = 0.0
    joules_per_byte: float = 0.0

    def __post_init__(self) -> None:
        if not self.bytes_per_s > 0 or self.latency_s < 0:
            raise PlanError("a link needs a rate above zero and no negative latency", where="–".join(self.members),
                            had=f"{self.bytes_per_s} B/s, {self.latency_s} s")  # fmt: skip


@dataclass(frozen=True)
class Pools:
    """What there is: types of device and the links between them."""

    types: tuple[DeviceType, ...]
    links: tuple[PoolLink, ...] = ()
    default_link: PoolLink = PoolLink(("", ""), inf)  # of any pair that `links` leaves out

    def __post_init__(self) -> None:
        names = [each.name for each in self.types]
        for name in names:
            if names.count(name) > 1:
                raise PlanError(f"pool '{name}' stands {names.count(name)} times")
        for link in self.links:
            for member in set(link.members) - {*names, HOST}:
                raise PlanError(
                    f"a link names the pool '{member}', which there is not", hint=f"known: {', '.join(names)}"
                )

    @cached_property
    def by_name(self) -> Mapping[str, DeviceType]:
        """Types by name."""
        return {each.name: each for each in self.types}

    def link(self, one: str, other: str) -> PoolLink:
        """The link between two types, in either direction."""
        for link in self.links:
            if set(link.members) == {one, other}:
                return link
        return self.default_link

    def only(self, *names: str) -> Pools:
        """The same without the devices of other types: they are not there at all."""
        kept = tuple(each for each in self.types if each.name in names)
        links = tuple(link for link in self.links if set(link.members) <= {*names, HOST})
        return Pools(kept, links, self.default_link)

    def static_w(self, used: Mapping[str, int]) -> float:
        """Power that is drawn all the time when `used` devices of each type work."""
        return sum(
            each.static_w * (used.get(each.name, 0) if each.switchable else each.count) for each in self.types
        )


@dataclass(frozen=True)
class Limits:
    """What must hold."""

    latency_s: float | None = None  # of an item alone in the pipeline
    memory_bytes: float | None = None  # of any device, below its own
    power_w: float | None = None  # mean over a period, of all devices; the pipeline is fed more slowly to keep it
    devices: int | None = None  # used in all


@dataclass(frozen=True)
class Stage:
    """Consecutive kernels `first` to `last` - 1 on `count` devices of one type, which share each kernel's rows."""

    first: int
    last: int
    device: str
    count: int = 1


@dataclass(frozen=True)
class PoolSchedule:
    """Who does what: stages in the order of the chain."""

    stages: tuple[Stage, ...]

    @cached_property
    def used(self) -> Mapping[str, int]:
        """Devices of each type that work."""
        found: dict[str, int] = {}
        for stage in self.stages:
            found[stage.device] = found.get(stage.device, 0) + stage.count
        return found

    def __str__(self) -> str:
        return " → ".join(f"{each.count}×{each.device}[{each.first}:{each.last}]" for each in self.stages)


@dataclass(frozen=True)
class PoolProblem:
    """A chain at one item's sizes, the pools, and where seconds come from."""

    chain: Chain
    bindings: Mapping[str, int]
    pools: Pools
    times: KernelTimes
    limits: Limits = Limits()
    overlap: bool = (
        False  # a stage receives the next item while it computes: the longer of both counts, not the sum
    )

    @cached_property
    def works(self) -> tuple[KernelWork, ...]:
        """The kernels with their sizes."""
        return self.chain.at(self.bindings)


@dataclass(frozen=True)
class PoolPoint:
    """A schedule and what it is predicted to do."""

    schedule: PoolSchedule
    period_s: float  # between items
    latency_s: float  # of an item alone
    energy_j: float  # an item, static power over the period included
    dynamic_j: float  # an item, without static power
    static_w: float
    stages_s: tuple[float, ...]  # each stage's time
    fed_every_s: float = 0.0  # above zero: fed more slowly than it could go, for the power limit's sake

    @property
    def power_w(self) -> float:
        """Mean power."""
        return self.energy_j / self.period_s
