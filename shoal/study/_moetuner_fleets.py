"""Placements on simulated nodes: chosen by one text, judged by another, link by link."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from shoal.fleet.fat_trees import Network
from shoal.plan.experts import (
    Combine,
    Curve,
    Evaluation,
    ExpertFleet,
    ExpertPlacement,
    ExpertProblem,
    ExpertShape,
    Flows,
    Placed,
    Wire,
    clustered,
    flows,
    placed,
    problem,
    replicated,
    shared,
)
from shoal.sim.all_to_all import Cluster, exchange_s
from shoal.store import RoutingTrace

PEAK_FLOP_PER_S, MEMORY_BYTES_PER_S = 312e12, 2.0e12  # of an A100, as its data sheet says
LATENCY_S = 5e-6
SLOWER = 10  # links between nodes
PARTS = 4  # of a message
SIMPLE = ("contiguous", "lpt", "communication")


@dataclass(frozen=True)
class Nodes:
    """Some nodes of four devices; experts are as large as those of Mixtral-8x7B."""

    count: int
    inside_bytes_per_s: float
    each: int = 4

    @property
    def devices(self) -> int:
        """In all."""
        return self.count * self.each

    def fleet(self, shape: ExpertShape, experts: int) -> ExpertFleet:
        """With room for no more experts than there are."""
        inside, between = (
            Wire(name, self.inside_bytes_per_s / slower, LATENCY_S)
            for name, slower in (("inside", 1), ("between", SLOWER))
        )
        slots = -(-experts // self.devices) * shape.weight_bytes
        curve = Curve.roofline(shape, PEAK_FLOP_PER_S, MEMORY_BYTES_PER_S)
        return clustered(curve, self.count, self.each, slots_bytes=slots, inside=inside, between=between)

    @property
    def cluster(self) -> Cluster:
        """The same link by link, with one switch between the nodes."""
        star = Network(self.devices, 1, tuple((each, self.devices) for each in range(self.devices)))
        return Cluster(star, self.each, self.inside_bytes_per_s / SLOWER, self.inside_bytes_per_s, LATENCY_S / 2)

    def exchanged_s(self, found: Evaluation) -> float:
        """Seconds of an evaluation's exchanges, mean of the steps, each message on its way over ports and switches."""
        order = [endpoint % self.count * self.each + endpoint // self.count for endpoint in range(self.devices)]
        cluster, steps = self.cluster, found.sent_bytes[..., order, :][..., order]
        messages = steps.reshape(-1, self.devices, self.devices)
        return sum(exchange_s(cluster, each.tolist(), railed=False, parts=PARTS) for each in messages) / len(steps)


@dataclass(frozen=True, eq=False)
class Case:
    """Experts of a model on nodes, by what a profile says."""

    nodes: Nodes
    shape: ExpertShape
    profile: RoutingTrace
    test: RoutingTrace
    combine: Combine
    step_tokens: int

    @cached_property
    def problem(self) -> ExpertProblem:
        """By the profile."""
        fleet = self.nodes.fleet(self.shape, self.profile.layers * self.profile.experts)
        return problem(self._flows(self.profile), fleet, self.shape, self.combine)

    @cached_property
    def test_flows(self) -> Flows:
        """Of the text that placements are judged by."""
        return self._flows(self.test)

    def tested(self, placement: ExpertPlacement) -> tuple[Evaluation, float]:
        """On the test, and the seconds of its exchanges simulated link by link."""
        found = self.problem.evaluated(placement, self.test_flows)
        return found, self.nodes.exchanged_s(found)

    def step_s(self, placement: ExpertPlacement) -> float:
        """On the test, exchanges simulated link by link."""
        found, exchanged_s = self.tested(placement)
        return found.compute_s + exchanged_s

    def placed(self, techniques: tuple[str, ...]) -> dict[str, Placed]:
        """By each technique."""
        return {name: placed(name, self.problem) for name in techniques}

    def replicated(self, spare: float) -> tuple[int, float]:
        """Experts in order, the busiest held again in so much more memory: how many copies, and seconds on the test."""
        asked = self.problem
        more = tuple(replace(each, slots_bytes=round((1 + spare) * each.slots_bytes)) for each in asked.fleet.hosts)
        wide = replace(asked, fleet=replace(asked.fleet, hosts=more))
        shares = replicated(wide, placed("contiguous", asked).placement)
        found = shared(wide, shares, self.test_flows)
        return int((shares > 0).sum()) - shares.shape[0] * shares.shape[
            1
        ], found.compute_s + self.nodes.exchanged_s(found)

    def random(self, seeds: int) -> list[Placed]:
        """At random."""
        return [placed(f"random:seed={at}", self.problem) for at in range(seeds)]

    def _flows(self, trace: RoutingTrace) -> Flows:
        return flows(trace, self.nodes.devices, step_tokens=self.step_tokens)


def shape_of(trace: RoutingTrace) -> ExpertShape:
    """As in Mixtral-8x7B, 4,096 wide; of twice as many experts each is half as large."""
    return ExpertShape.gated(4096, 14336 * 8 // trace.experts)


def cases(
    trace: tuple[RoutingTrace, RoutingTrace], inside_bytes_per_s: float, step_tokens: int, combine: Combine
) -> Iterator[Case]:
    """One node, and two."""
    for count in (1, 2):
        yield Case(Nodes(count, inside_bytes_per_s), shape_of(trace[0]), *trace, combine, step_tokens)
