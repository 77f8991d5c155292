"""How workers share a layer's work: what a caller may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["hub", "shards"]
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Ways:
    """How workers share the work.

    Args:
        mode: "hub": tokens are at the coordinator, which sends them out and adds what comes back; "shards": each worker has a
            share of a layer's tokens, and workers send to one another.
        balancer: of `plan/balancers`, with its options.
        copies_per_s: how fast each worker is; none: all alike.
        transfer_s: of one expert's weights to another worker, in the same unit of time; for the balancer.
        room: how many experts of others each worker has memory for; none: for all.
        patience_s: how long a worker may say nothing.
        pinned: each worker runs on one core of those that there are.
        traced: workers keep count of their memory, which takes time.
        copy_s: a worker takes at least so long for a copy; emulates a slower device.
        names: of the workers, as errors say them; none: their numbers.
    """

    mode: Mode = "hub"
    balancer: str = "plain"
    copies_per_s: tuple[float, ...] = ()
    transfer_s: float = 0.0
    room: tuple[int, ...] = ()
    patience_s: float = PATIENCE_S
    pinned: bool = True
    traced: bool = False
    copy_s: float = 0.0
    names: tuple[str, ...] = ()
