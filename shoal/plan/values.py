"""What was decided and why: the Plan, its parts, and the front it was chosen from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from shoal.engines import machine_of
from shoal.errors import PlanError
from shoal.fleet import Fleet
from shoal.graph import Carried, Split
from shoal.program import Workload
from shoal.record import Estimate, FrontPoint, Prediction

GOALS = ("latency", "throughput", "energy", "memory")


@dataclass(frozen=True)
class ModelRef:
    """Which model, bound to which shapes. Weights stay in the model's own file."""

    name: str
    path: str
    sha256: str
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    carried: tuple[Carried, ...] = ()  # outputs of an item that are inputs of the next
    entry: str = ""  # of a language model's configuration: the technique of `llm/blocks` that makes the graph


@dataclass(frozen=True)
class Objective:
    """What to make best, the first counting most, and what must hold on every device."""

    goals: tuple[str, ...] = ("throughput",)
    memory_limit_bytes: int | None = None  # of any device, below its own limit
    latency_limit_s: float | None = None
    energy_limit_j: float | None = None  # an item, of any device


@dataclass(frozen=True)
class Group:
    """Ops that one unit runs with one engine. They need not be consecutive."""

    unit: str
    ops: tuple[str, ...]
    engine: str = "onnxruntime"
    format: str = "float32"
    operating_point: str = ""


@dataclass(frozen=True)
class Replica:
    """One copy of the whole graph over some units, and its share of the items."""

    groups: tuple[Group, ...]
    share: float = 1.0


@dataclass(frozen=True)
class Division:
    """How the work is shared: single ops split between parts, and who runs which ops of the graph split so."""

    replicas: tuple[Replica, ...]
    splits: tuple[Split, ...] = ()  # none: every op stays whole


@dataclass(frozen=True)
class Recipe:
    """How the plan was made: the techniques with their options."""

    strategy: str
    planner: str
    shoal: str  # version
    exclude: tuple[str, ...] = ()  # devices and units that were left out on purpose


@dataclass(frozen=True)
class Plan:
    """A decision that can be saved, compared and run."""

    model: ModelRef
    fleet: Fleet
    objective: Objective
    workload: Workload
    replicas: tuple[Replica, ...]
    window: int
    prediction: Prediction
    estimates: Mapping[str, Estimate]  # by segment of the lowered program
    segment_units: Mapping[str, str]  # segment → unit
    recipe: Recipe
    splits: tuple[Split, ...] = ()  # how single ops are shared; groups name the ops of the graph divided so
    reasons: tuple[str, ...] = ()
    standby: tuple[tuple[Replica, ...], ...] = ()
    front: tuple[FrontPoint, ...] = ()  # the plans it was chosen from

    def __post_init__(self) -> None:
        if not self.replicas or not all(replica.groups for replica in self.replicas):
            raise PlanError("a plan says who runs what", had="nobody runs anything")
        if self.window < 1:
            raise PlanError("a plan needs a window of at least one", had=f"{self.window} items")
        if not self.prediction.period_s > 0:
            raise PlanError(
                "a plan predicts that items take time", had=f"a period of {self.prediction.period_s:g} s"
            )

    @property
    def division(self) -> Division:
        """How the work is shared."""
        return Division(self.replicas, self.splits)

    @cached_property
    def owners(self) -> Mapping[str, str]:
        """Op → unit, of the first replica."""
        return {op: group.unit for group in self.replicas[0].groups for op in group.ops}

    @cached_property
    def machines(self) -> Mapping[str, str]:
        """Op → engine, where that simulates a machine which is not here; of the first replica."""
        groups = (group for group in self.replicas[0].groups if machine_of(group.engine) is not None)
        return {op: group.engine for group in groups for op in group.ops}

    @property
    def units(self) -> tuple[str, ...]:
        """The units that have work, in the order they are first needed."""
        groups = (group for replica in self.replicas for group in replica.groups)
        return tuple(dict.fromkeys(group.unit for group in groups))

    @property
    def label(self) -> str:
        """The plan in a few words: its units one after another, or how else they share the work."""
        if not self.splits and len(self.replicas) == 1:
            return " → ".join(self.units)
        return f"{' + '.join(self.units)} by {self.recipe.strategy}"


@dataclass(frozen=True)
class Front:
    """Plans none of which is better than another in everything, and the one to run."""

    plans: tuple[Plan, ...]
    chosen: int
    exact: bool  # whether nothing better exists under the cost model
    notes: tuple[str, ...] = ()

    @property
    def plan(self) -> Plan:
        """The chosen one, with the points of the whole front."""
        return self.marked(self.chosen)

    def marked(self, index: int) -> Plan:
        """The plan at `index` with the points of the whole front, its own marked."""
        points = tuple(
            FrontPoint(
                label=plan.label,
                latency_s=plan.prediction.alone_latency_s,
                throughput_items_per_s=plan.prediction.throughput_items_per_s,
                energy_j=max(plan.prediction.energy_j.values()),
                memory_bytes=max(plan.prediction.memory_bytes.values()),
                chosen=number == index,
            )
            for number, plan in enumerate(self.plans)
        )
        return replace(self.plans[index], front=points)
