"""What happened and what was expected to: the values every other part reads or writes.

Each figure has a provenance:
    measured   a clock or a meter on the real thing
    emulated   really executed, paced to a board's speed
    simulated  the event simulation of the same Program
    modelled   measured time × stated power
    predicted  the plan's own estimate
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from shoal.errors import InputError

Provenance = Literal["measured", "emulated", "simulated", "modelled", "predicted"]
SpanKind = Literal["run", "transfer"]
Band = tuple[float, float]  # in which nine tenths of what is possible lie


@dataclass(frozen=True)
class Span:
    """One segment or one transfer, for one item. Times count from the start of the run."""

    kind: SpanKind
    unit: str  # where it ran; for a transfer the sender
    name: str  # segment or edge
    item: int
    start_s: float
    end_s: float
    bytes: int = 0
    joules: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """The answer to one cost question, or to a whole plan's; `breakdown` says what it is made of."""

    seconds: float
    joules: float
    resident_bytes: int
    peak_bytes: int
    provenance: Provenance
    breakdown: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One thing measured on one machine, with its spread.

    `subject` is "op:<model hash>:<op>", "segment:<content hash>", or "bench:<name>".
    """

    subject: str
    machine: str  # which machine it was measured on, as `measure.machine_id` names it
    engine: str
    format: str
    threads: int
    median_s: float
    low_s: float  # first quartile
    high_s: float  # third quartile
    repeats: int
    resident_bytes: int | None = None
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Fact:
    """One data-dependent thing that happened: a gate's answer, a route taken, a length, an acceptance."""

    item: int
    subject: str  # the segment, edge or entry it happened in
    kind: str  # "gate" (1: go on), "newest" (the item whose message was taken, -1: none yet), "length", ...
    value: float


@dataclass(frozen=True)
class Trace:
    """Recorded facts: a run writes them, the simulator replays them."""

    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class DeviceFigures:
    """What one device did. Any figure's provenance is in `Run.provenance` under the field's name."""

    busy_s: float
    cpu_s: float | None
    energy_j: float
    resident_bytes: int | None
    peak_bytes: int | None
    weights_bytes: int
    sent_bytes: int  # payload at the sockets
    received_bytes: int
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
class CarbonRates:
    """What a fleet's making and electricity emit, of all its devices: CO2e."""

    embodied_kg_per_s: Mapping[str, float]  # device -> its making over the seconds in which it will ever work
    operational_kg_per_j: Mapping[str, float]  # device -> its electricity
    full_kg_per_s: float  # electricity of the whole fleet with every unit busy
    embodied_bands: Mapping[str, Band] = field(default_factory=dict)  # of the above, for devices that give ranges
    operational_bands: Mapping[str, Band] = field(default_factory=dict)

    def making_kg(self, period_s: float, devices: Iterable[str]) -> dict[str, float]:
        """Of the making of each of `devices`, what falls on an item for which they are occupied `period_s`."""
        return {name: period_s * self.embodied_kg_per_s[name] for name in devices}

    def running_kg(self, energy_j: Mapping[str, float]) -> dict[str, float]:
        """Of the electricity of each device, for an item that takes so many joules there."""
        return {name: joules * self.operational_kg_per_j[name] for name, joules in energy_j.items()}


@dataclass(frozen=True)
class Prediction:
    """The plan's estimate of a whole run, before it."""

    period_s: float
    latency_s: float  # median under the workload, queues included
    alone_latency_s: float  # one item in an empty pipe
    energy_j: Mapping[str, float]  # device -> joules an item, at the predicted period
    memory_bytes: Mapping[str, int]  # device -> peak
    sent_bytes: Mapping[str, int]  # device -> payload bytes an item
    busy_s: Mapping[str, float]  # device -> seconds an item
    carbon: CarbonRates | None = None  # None: the fleet does not tell
    provenance: Provenance = "predicted"

    @property
    def throughput_items_per_s(self) -> float:
        """Items a second once the pipe is full."""
        return 1.0 / self.period_s


@dataclass(frozen=True)
class Outline:
    """A picture of the graph small enough to keep in every run: ops by topological order."""

    ops: tuple[str, ...]
    kinds: tuple[str, ...]
    macs: tuple[int, ...]
    units: tuple[str, ...]  # who ran op i
    arrows: tuple[tuple[int, int], ...]  # producer index, consumer index

    def __post_init__(self) -> None:
        count = len(self.ops)
        if {len(self.kinds), len(self.macs), len(self.units)} != {count}:
            raise InputError("an outline tells kind, work and unit of each op", needed=f"{count} of each")


@dataclass(frozen=True)
class FrontPoint:
    """One plan the planner could have chosen, by its own estimate."""

    label: str
    latency_s: float
    throughput_items_per_s: float
    energy_j: float  # joules an item on the device that spends most
    memory_bytes: int  # peak on the device that holds most
    chosen: bool = False


@dataclass(frozen=True)
class Goal:
    """One thing that the plan was to make best, as it was predicted for this run and as it came out."""

    name: str  # the objective with its options, "carbon:alpha=0.9"
    unit: str  # "J/item"
    predicted: float
    obtained: float | None  # None: this run cannot tell
    provenance: Provenance | None  # of what was obtained


@dataclass(frozen=True)
class Run:
    """What happened. A report needs nothing else."""

    name: str
    model: str
    items: int
    window: int
    period_s: float  # mean interval between answers once the pipe is full
    latencies_s: tuple[float, ...]  # by item, arrival to answer; in a closed workload it arrives when it starts
    devices: Mapping[str, DeviceFigures]
    provenance: Mapping[str, Provenance]  # figure -> how it was got
    spans: tuple[Span, ...]
    spans_dropped: int  # beyond the bound on kept spans
    outline: Outline
    prediction: Prediction | None
    output_digests: Mapping[int, str]  # item -> SHA-256 of its outputs
    outputs_match: bool | None  # None: not compared
    max_abs_difference: float | None
    reference_magnitude: float | None
    late_share: float | None  # emulation only: share of items that missed their due time
    trace: Trace
    seed: int
    versions: Mapping[str, str]
    started_at: str  # ISO 8601, UTC
    notes: tuple[str, ...] = ()
    alone_latency_s: float | None = None  # one item in an empty pipe
    behind_s: float | None = None  # throttled workers only: by how much one was at most slower than it should be
    offered_items_per_s: float | None = None  # at which items came by themselves; None: a closed workload
    obtained_items_per_s: float | None = None  # at which they were answered, first to last
    front: tuple[FrontPoint, ...] = ()  # the plans shown to the user, the chosen one among them
    goals: tuple[Goal, ...] = ()  # what the plan was chosen for, the first counting most

    @property
    def throughput_items_per_s(self) -> float:
        """Items a second once the pipe is full."""
        return 1.0 / self.period_s if self.period_s > 0 else 0.0
