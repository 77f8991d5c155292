"""A placement that can be saved, looked at and served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.errors import PlanError
from shoal.plan.experts._evaluate import Evaluation
from shoal.plan.experts._flows import Combine
from shoal.plan.experts._values import F64, ExpertFleet, ExpertPlacement, ExpertShape
from shoal.plan.values import ModelRef
from shoal.units import format_bytes

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Forecast:
    """What a mean step is expected to cost, by tokens that the placement was not chosen by."""

    copies: Rows  # (layers, hosts): tokens on their way to an expert
    sent_bytes: Rows  # (hosts, hosts), from and to, there and back, all layers
    compute_s: float  # of the busiest host of each layer
    exchange_s: float  # of the busiest wires there and back

    @property
    def step_s(self) -> float:
        """Of all layers' experts, and of what goes there and back."""
        return self.compute_s + self.exchange_s

    @classmethod
    def of(cls, found: Evaluation, loads: F64, placement: ExpertPlacement) -> Forecast:
        """From an evaluation, and the (steps, layers, experts) loads that it is of."""
        hosts = found.host_s.shape[-1]
        rows = zip(loads.mean(0), placement.array, strict=True)
        copies = [np.bincount(places, each, hosts).tolist() for each, places in rows]
        return cls(
            _rows(copies), _rows(found.sent_bytes.sum((1, 2)).mean(0).tolist()), found.compute_s, found.exchange_s
        )


@dataclass(frozen=True)
class ExpertPlan:
    """Where the experts of a model lie, how that was found, and what it is expected to cost."""

    model: ModelRef
    fleet: ExpertFleet
    shape: ExpertShape
    placement: ExpertPlacement
    forecast: Forecast
    technique: str  # of `plan/experts`, with its options
    combine: Combine
    step_tokens: int  # of a step
    per_token: int  # experts of a token
    shoal: str  # version

    def __post_init__(self) -> None:
        hosts, rows = len(self.fleet.hosts), self.placement.hosts
        if not hosts or not rows or not rows[0] or len({len(row) for row in rows}) != 1:
            raise PlanError("a plan of experts has a host for each expert of each layer",
                            had=f"{hosts} hosts, {len(rows)} layers")  # fmt: skip
        if not all(0 <= host < hosts for row in rows for host in row):
            raise PlanError("an expert lies on a host that is not there", needed=f"0 to {hosts - 1}",
                            had=str(max(map(max, rows))))  # fmt: skip
        if self.shape.weight_bytes < 1 or self.shape.token_bytes < 1 or min(self.step_tokens, self.per_token) < 1:
            raise PlanError("sizes that cannot be", had=f"{self.shape}, steps of {self.step_tokens} tokens")
        self._check_wires(hosts)
        for host, held, slots in zip(self.fleet.hosts, self.held, self.fleet.slots(self.shape), strict=True):
            if held > slots:
                raise PlanError("a host has more experts than it has memory for", where=host.name,
                                needed=format_bytes(held * self.shape.weight_bytes), had=format_bytes(host.slots_bytes))  # fmt: skip

    @property
    def held(self) -> tuple[int, ...]:
        """How many experts each host holds."""
        return tuple(self.placement.held(len(self.fleet.hosts)).tolist())

    @property
    def room(self) -> tuple[int, ...]:
        """How many more each has memory for, as balancers ask."""
        slots = self.fleet.slots(self.shape)
        return tuple(each - held for each, held in zip(slots, self.held, strict=True))

    @property
    def copies_per_s(self) -> tuple[float, ...]:
        """How fast each host computes, with as many tokens for an expert as the mean one has in a step."""
        tokens = max(1.0, self.step_tokens * self.per_token / len(self.placement.hosts[0]))
        return tuple(tokens / float(host.curve(tokens)) for host in self.fleet.hosts)

    @property
    def transfer_s(self) -> float:
        """Of one expert's weights over the slowest wire."""
        times_s = (self.shape.weight_bytes / wire.bytes_per_s + wire.latency_s for wire in self.fleet.wires)
        return max(times_s, default=0.0)

    def _check_wires(self, hosts: int) -> None:
        ways = self.fleet.ways
        if len(ways) != hosts or any(len(row) != hosts for row in ways):
            raise PlanError("a way from each host to each other is needed", needed=f"{hosts} × {hosts}")
        known = range(len(self.fleet.wires))
        if not all(wire in known for row in ways for way in row for wire in way):
            raise PlanError("a way takes a wire that is not there", had=f"{len(known)} wires")
        if not all(wire.bytes_per_s > 0 and wire.latency_s >= 0 for wire in self.fleet.wires):
            raise PlanError("nothing could cross a wire", needed="> 0 B/s, >= 0 s")
        sizes = (self.forecast.copies, len(self.placement.hosts)), (self.forecast.sent_bytes, hosts)
        if not all(len(rows) == count and all(len(row) == hosts for row in rows) for rows, count in sizes):
            raise PlanError("a forecast of another fleet", needed=f"{hosts} hosts")


def _rows(found: Sequence[Sequence[float]]) -> Rows:
    return tuple(map(tuple, found))
