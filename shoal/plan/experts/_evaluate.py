"""What a placement costs: bytes between hosts, seconds of hosts and wires, and of whole steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.plan.experts._flows import Combine, Flows
from shoal.plan.experts._values import F64, I64, ExpertFleet, ExpertPlacement, ExpertShape


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A layer waits for the busiest wire that takes tokens to experts, the busiest host, and the busiest wire back.

    Attributes:
        sent_bytes: (steps, L, 2, hosts, hosts), from host to host, to experts and back.
        host_s: (steps, L, hosts), of experts.
        wire_s: (steps, L, 2, wires), without latency.
        latency_s: (steps, L, 2), of the slowest wire in use.
    """

    sent_bytes: F64
    host_s: F64
    wire_s: F64
    latency_s: F64

    @property
    def step_s(self) -> float:
        """Seconds of all layers' experts and of what goes there and back, mean of the steps."""
        return self.compute_s + self.exchange_s

    @property
    def compute_s(self) -> float:
        """… of the experts."""
        return float(self.host_s.max(-1).sum(1).mean())

    @property
    def exchange_s(self) -> float:
        """… of going there and back."""
        return float((self.wire_s.max(-1, initial=0) + self.latency_s).sum((1, 2)).mean())

    @property
    def crossing_bytes(self) -> float:
        """Bytes that leave a host, mean of the steps."""
        return float(self.sent_bytes.sum((1, 2, 3, 4)).mean())

    @property
    def load(self) -> float:
        """Seconds of the busiest host over those of the mean one."""
        return float(self.host_s.max(-1).sum() / self.host_s.mean(-1).sum())


def evaluated(
    placement: ExpertPlacement, flow: Flows, fleet: ExpertFleet, shape: ExpertShape, combine: Combine = "home"
) -> Evaluation:
    """A placement under the tokens of `flow`."""
    return layers(
        one_hot(placement.array, len(fleet.hosts)), flow, expert_s(flow, fleet), fleet, shape.token_bytes, combine
    )


def layers(
    there: F64, flow: Flows, seconds: F64, fleet: ExpertFleet, token_bytes: float, combine: Combine
) -> Evaluation:
    """The same of (L, E, hosts), 1 where an expert lies, and (steps, L, E, hosts) seconds of each expert there."""
    sent = _sent(there, flow, combine) * token_bytes
    wires = sent.reshape(*sent.shape[:3], -1) @ fleet.passing.T
    speeds, latencies = (
        np.array([getattr(wire, name) for wire in fleet.wires]) for name in ("bytes_per_s", "latency_s")
    )
    return Evaluation(
        sent,
        (seconds * there).sum(2),
        wires / speeds,
        np.where(wires > 0, latencies, 0.0).max(-1, initial=0.0),
    )


def expert_s(flow: Flows, fleet: ExpertFleet) -> F64:
    """(steps, L, E, hosts): of each expert on each host."""
    return np.stack([host.curve(flow.loads) for host in fleet.hosts], -1)


def one_hot(places: I64, hosts: int) -> F64:
    """(…, hosts): 1 where an expert lies."""
    found: F64 = np.eye(hosts)[places]
    return found


def _sent(there: F64, flow: Flows, combine: Combine) -> F64:
    """(steps, L, 2, hosts, hosts) copies of tokens from host to host."""
    first = flow.homes @ there  # from home to experts
    if combine == "home":
        sent = np.stack([first, first.swapaxes(2, 3)], 2)
    else:
        back = there.swapaxes(1, 2)
        onward = back[:-1] @ flow.moves @ there[1:]
        sent = np.stack([np.concatenate([first[:, :1], onward], 1), back @ flow.meets @ there], 2)
    found: F64 = sent * (1 - np.eye(there.shape[-1]))
    return found
