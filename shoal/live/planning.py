"""The plans of a service: the one it was begun with, and those found since for whoever is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from shoal import catalog
from shoal.cost import Costs, ScaledCosts
from shoal.errors import PlanError, ShoalError
from shoal.fleet import Fleet
from shoal.graph import Graph, divide
from shoal.live.drift import Drift
from shoal.live.ground import Ground
from shoal.live.journal import Journal
from shoal.plan import Plan, Wishes, lower, search
from shoal.plan.costs import costs_of
from shoal.plan.predict import forecast
from shoal.plan.written import with_files
from shoal.program import Found, Program, Unfound, checked
from shoal.run import Sought, Standby
from shoal.run.crew import Crew
from shoal.run.execute import model_of

Devices = frozenset[str]
KEPT = 32  # epochs beyond which those of no use are forgotten


@dataclass(frozen=True)
class Made:
    """A plan as an epoch. The prediction is of the speeds that the devices had when it was found."""

    plan: Plan
    graph: Graph  # divided as planned
    program: Program
    segments_s: Mapping[str, float]  # predicted, at the speeds that the costs know


class Plans:
    """Every epoch of one service. Safe to use from several threads."""

    def __init__(self, first: Plan, ground: Ground, drift: Drift, journal: Journal) -> None:
        """
        Raises:
            PlanError: the model changed, or no longer fits the plan.
        """
        self._ground, self._drift, self._journal = ground, drift, journal
        self._graph = model_of(replace(first, splits=()))
        self._lock = threading.RLock()
        self._held: dict[int, Mapping[str, int]] = {}  # epochs with workers → bytes by device
        self.made: dict[int, Made] = {}
        self._next = 0
        self.of_use: Callable[[], Container[int]] = lambda: ()  # epochs that somebody may still speak of
        self._note(first)

    def standby(self, epoch: int) -> Standby:
        """How the workers of an epoch are had."""
        return Standby(lambda: self._crew(epoch))

    def seek(self, devices: Devices) -> Sought:
        """The best plan for `devices`, within the memory that the epochs with workers leave free."""
        try:
            epoch, new = self._sought(devices)
        except ShoalError as fault:
            self._journal.tell("planned", ", ".join(sorted(devices)), f"no plan: {fault.message}")
            return Sought(Unfound(devices, fault.message))
        made = self.made[epoch]
        period_s = made.plan.prediction.period_s
        self._journal.tell("planned", ", ".join(sorted(devices)), f"{made.plan.label}, {1 / period_s:.3g} items/s")
        found = Found(devices, epoch, made.program.devices, period_s)
        return Sought(found, self.standby(epoch) if new else None)

    def periods_s(self) -> dict[int, float]:
        """What each epoch is predicted to take now; those whose devices are not known any more are left out."""
        fleet = self._drift.on(self._ground.fleet())
        known = {device.name for device in fleet.devices}
        with self._lock:
            made = dict(self.made)
        return {
            epoch: self._predicted(each, fleet).prediction.period_s
            for epoch, each in made.items()
            if each.program.devices <= known
        }

    def _sought(self, devices: Devices) -> tuple[int, bool]:
        fleet = self._free(only(self._drift.on(self._ground.fleet()), devices))
        base = self.made[0].plan
        costs = ScaledCosts(self._costs_of(fleet), self._drift.factors)
        known = base.recipe.strategy.partition(":")[0] in catalog.names("plan/strategies")  # not so by hand
        strategies = dict.fromkeys((base.recipe.strategy, "stage") if known else ("stage",))
        wishes = Wishes(objective=base.objective, workload=replace(base.workload, window=max(4, len(fleet.unit_names) + 2)),
                        strategy="+".join(strategies), exclude=_of(base.recipe.exclude, fleet))  # fmt: skip
        try:
            front = search(self._graph, base.model, fleet, costs, wishes)
        except ShoalError:  # better a plan that is slow than none
            unlimited = replace(base.objective, latency_limit_s=None, energy_limit_j=None)
            if unlimited == base.objective:
                raise
            front = search(self._graph, base.model, fleet, costs, replace(wishes, objective=unlimited))
        return self._note(front.plans[front.chosen])

    def _note(self, plan: Plan) -> tuple[int, bool]:
        """The epoch of `plan`, and whether it is a new one."""
        with self._lock:
            for epoch, made in self.made.items():
                if (made.plan.replicas, made.plan.splits, made.plan.window) == (
                    plan.replicas, plan.splits, plan.window,
                ):  # fmt: skip
                    self.made[epoch] = replace(made, plan=replace(made.plan, prediction=plan.prediction))
                    return epoch, False
            epoch = self._next
            graph = divide(self._graph, plan.splits).graph
            program = replace(lower(graph, plan), epoch=epoch)
            if self.made:
                checked({0: self.made[0].program, epoch: program})
            program, _ = with_files(graph, program)
            self.made[epoch] = Made(plan, graph, program, self._segments_s(graph, program, plan))
            self._next += 1
            self._forget()
            return epoch, True

    def _forget(self) -> None:
        """Let the oldest go of many epochs; the first stays, by whose wishes all others are sought."""
        of_use = self.of_use()
        idle = [epoch for epoch in self.made if epoch and epoch not in self._held and epoch not in of_use]
        for epoch in idle[: max(0, len(self.made) - KEPT)]:
            del self.made[epoch]

    def _segments_s(self, graph: Graph, program: Program, plan: Plan) -> Mapping[str, float]:
        if {segment.name for segment in program.segments} <= set(plan.estimates) and not self.made:
            # of the plan it began with they may be measured ones
            return {name: estimate.seconds for name, estimate in plan.estimates.items()}
        fleet = plan.fleet
        found = forecast(replace(program, epoch=0), fleet, self._costs_of(fleet).of(graph), plan.workload)
        return {name: estimate.seconds for name, estimate in found.estimates.items()}

    def _predicted(self, made: Made, fleet: Fleet) -> Plan:
        costs = ScaledCosts(self._costs_of(fleet), self._drift.factors)
        found = forecast(replace(made.program, epoch=0), fleet, costs.of(made.graph), made.plan.workload)
        return replace(made.plan, prediction=found.prediction)

    def _costs_of(self, fleet: Fleet) -> Costs:
        """Costs over `fleet`; what is not known of its engines is not measured now."""
        return costs_of(self._graph, fleet, measure=False)

    def _free(self, fleet: Fleet) -> Fleet:
        """`fleet` with the memory that workers hold taken off its limits."""
        with self._lock:
            held = list(self._held.values())
        return replace(
            fleet,
            devices=tuple(
                replace(
                    device,
                    memory_limit_bytes=device.memory_limit_bytes - sum(each.get(device.name, 0) for each in held),
                )
                for device in fleet.devices
            ),
        )

    @contextmanager
    def _crew(self, epoch: int) -> Iterator[Crew]:
        made = self.made[epoch]
        with self._lock:
            self._held[epoch] = made.plan.prediction.memory_bytes
        try:
            program, folder = with_files(made.graph, made.program)  # the cache may have forgotten them meanwhile
            with self._ground.crew(made.plan, program, folder) as crew:
                yield crew
        finally:
            with self._lock:
                self._held.pop(epoch, None)


def _of(names: tuple[str, ...], fleet: Fleet) -> tuple[str, ...]:
    """Those that are devices or units of `fleet`."""
    known = {*(device.name for device in fleet.devices), *fleet.unit_names}
    return tuple(name for name in names if name in known)


def only(fleet: Fleet, devices: Devices) -> Fleet:
    """`fleet` without the devices that are not named, and without the links that join nobody then.

    Raises:
        PlanError: none of them is left.
    """
    left = tuple(device for device in fleet.devices if device.name in devices)
    if not left:
        raise PlanError("none of the devices is there", needed=", ".join(sorted(devices)))
    links = tuple(
        replace(link, members=members)
        for link in fleet.links
        if len(members := tuple(name for name in link.members if name in devices)) > 1
    )
    return replace(fleet, devices=left, links=links)
