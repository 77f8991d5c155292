"""The mean step: what placements are chosen by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from shoal.plan.experts._evaluate import Evaluation, layers, one_hot
from shoal.plan.experts._flows import Combine, Flows
from shoal.plan.experts._values import F64, I64, ExpertFleet


@dataclass(frozen=True, eq=False)
class Mean:
    """One step whose flow, and whose seconds of each expert on each host, are means.

    The curve of seconds is taken step by step and then averaged, so that an expert that gets few tokens is not taken
    to be cheap. Of hosts and wires the busiest in the mean step counts, which is a little less than the mean of the
    busiest.
    """

    flow: Flows
    seconds: F64  # (1, L, E, hosts)
    fleet: ExpertFleet
    token_bytes: float
    combine: Combine

    def evaluated(self, places: I64) -> Evaluation:
        """Of (L, E) hosts."""
        there = one_hot(places, len(self.fleet.hosts))
        return layers(there, self.flow, self.seconds, self.fleet, self.token_bytes, self.combine)

    def objective_s(self, places: I64) -> float:
        """The busiest host and the busiest wires there and back of each layer."""
        return self.judged(places)[0]

    def judged(self, places: I64) -> tuple[float, float]:
        """The objective, and the seconds of all hosts and wires, which tell two of one objective apart."""
        found = self.evaluated(places)
        tails = found.host_s.max(-1).sum() + found.wire_s.max(-1, initial=0).sum()
        return float(tails), float(found.host_s.sum() + found.wire_s.sum())

    def exchange_only(self) -> Mean:
        """As if experts took no time."""
        return replace(self, seconds=np.zeros_like(self.seconds))

    def near(self, layer: int) -> tuple[Mean, slice]:
        """Only the layers whose time depends on where this one's experts lie, and which they are."""
        about = 1 if self.combine == "stay" else 0
        part = slice(max(0, layer - about), layer + about + 1)
        flow = self.flow
        moves = flow.moves[:, part.start : part.stop - 1]
        near = Flows(flow.loads[:, part], flow.homes[:, part], moves, flow.meets[:, part])
        return replace(self, flow=near, seconds=self.seconds[:, part]), part

    def joined(self, clusters: I64) -> Mean:
        """The experts of a cluster taken for one expert; `clusters` is (L, E), from 0 to hosts - 1."""
        member = one_hot(clusters, len(self.fleet.hosts))
        turned = member.swapaxes(1, 2)
        flow = Flows(
            (self.flow.loads[..., None, :] @ member)[..., 0, :],
            self.flow.homes @ member,
            turned[:-1] @ self.flow.moves @ member[1:],
            turned @ self.flow.meets @ member,
        )
        return replace(self, flow=flow, seconds=turned @ self.seconds)
