"""A model whose experts are on two devices, in simulated time: the slow one may be asked a layer before its answer is needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shoal.cost.hosted_experts import Pace


@dataclass(frozen=True)
class Work:
    """One layer's experts in one pass.

    Attributes:
        fast: experts that the fast device computes.
        slow: tokens in experts that the slow device computes.
        loads: experts that are brought to the fast device first.
        early: the slow device was asked when the layer before had its input.
    """

    fast: int
    slow: int
    loads: int = 0
    early: bool = False


def ends_s(works: Iterable[Work], pace: Pace) -> list[float]:
    """When each layer is done.

    The fast device goes through the layers in order: attention, loads, its experts. The slow one answers what it is asked
    in the order of asking, while the fast one goes on; a layer is done when both are.
    """
    found: list[float] = []
    now_s = heard_s = free_s = 0.0
    for work in works:
        routed_s = now_s + pace.attention_s + (pace.ask_s if work.slow else 0.0)
        now_s = routed_s + work.loads * pace.load_s + work.fast * pace.fast_s
        if work.slow:
            free_s = max(free_s, heard_s if work.early else routed_s) + work.slow * pace.slow_s
            now_s = max(now_s, free_s)
        heard_s = routed_s
        found.append(now_s)
    return found
