"""What those who place experts are given, and what they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shoal import catalog
from shoal.errors import InputError, LimitError
from shoal.plan.experts._evaluate import Evaluation, evaluated, expert_s
from shoal.plan.experts._flows import Combine, Flows
from shoal.plan.experts._mean import Mean
from shoal.plan.experts._values import I64, ExpertFleet, ExpertPlacement, ExpertShape
from shoal.units import format_bytes

FAMILY = "plan/experts"


@dataclass(frozen=True, eq=False)
class ExpertProblem:
    """Experts to place so that tokens like those of a profile take least time."""

    flow: Flows  # of the profile, step by step
    fleet: ExpertFleet
    shape: ExpertShape
    combine: Combine

    @property
    def mean(self) -> Mean:
        """The mean step, in which each expert takes its mean time."""
        seconds = expert_s(self.flow, self.fleet).mean(0, keepdims=True)
        return Mean(self.flow.mean(), seconds, self.fleet, self.shape.token_bytes, self.combine)

    @property
    def slots(self) -> tuple[int, ...]:
        """How many experts each host has room for."""
        return self.fleet.slots(self.shape)

    def evaluated(self, placement: ExpertPlacement, flow: Flows | None = None) -> Evaluation:
        """A placement under the profile, or under other tokens.

        Raises:
            InputError: the tokens are of a model of another shape.
        """
        asked = self.flow if flow is None else flow
        if asked.loads.shape[1:] != self.flow.loads.shape[1:]:
            needed, had = ("{} layers of {} experts".format(*each.loads.shape[1:]) for each in (self.flow, asked))
            raise InputError("routes of another model", needed=needed, had=had)
        return evaluated(placement, asked, self.fleet, self.shape, self.combine)

    def placed(self, places: I64, gap: float | None = None, notes: tuple[str, ...] = ()) -> Placed:
        """What a technique gives, from (layers, experts) hosts."""
        return Placed(ExpertPlacement.of(places), self.mean.objective_s(places), gap, notes)


@dataclass(frozen=True)
class Placed:
    """A placement, and what is known of it."""

    placement: ExpertPlacement
    objective_s: float  # the mean step's busiest host and wires, summed over layers
    gap: float | None = None  # how far the objective may be from the least, relative; None: unknown
    notes: tuple[str, ...] = ()


class Placer(Protocol):
    """A member of `plan/experts`."""

    def place(self, problem: ExpertProblem) -> Placed:
        """Every expert on a host that has room for it.

        Raises:
            LimitError: the technique would have to write down too much.
            MissingExtra: its solver is not installed.
        """


def problem(flow: Flows, fleet: ExpertFleet, shape: ExpertShape, combine: Combine = "home") -> ExpertProblem:
    """Refuses what no placement can solve.

    Raises:
        InputError: the flow is of another number of hosts.
        LimitError: the experts do not fit.
    """
    _, layers, hosts, experts = flow.homes.shape
    if hosts != len(fleet.hosts):
        raise InputError("homes of another fleet", needed=f"{len(fleet.hosts)} hosts", had=str(hosts))
    check_room(fleet, shape, layers * experts)
    return ExpertProblem(flow, fleet, shape, combine)


def check_room(fleet: ExpertFleet, shape: ExpertShape, experts: int) -> None:
    """Refuse a fleet without memory for so many experts, and say by how much.

    Raises:
        LimitError: they do not fit.
    """
    room = sum(fleet.slots(shape))
    if room < experts:
        short = format_bytes((experts - room) * shape.weight_bytes)
        raise LimitError("the fleet does not hold the experts", needed=f"{experts} slots", had=str(room),
                         hint=f"{experts - room} more, {short}: fewer bits, or more hosts")  # fmt: skip


def placed(technique: str, given: ExpertProblem) -> Placed:
    """By a technique's name, with its options: "ilp:time_limit_s=10"."""
    placer: Placer = catalog.make(FAMILY, technique)
    return placer.place(given)
