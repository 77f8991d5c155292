"""How much the expert of one layer tells about that of the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.plan.experts._values import F64, I64
from shoal.store import RoutingTrace

SHUFFLES = 5
SPREADS = 3  # beyond the shuffled mean by so many of their standard deviations counts
LITTLE_BITS = 0.01


@dataclass(frozen=True)
class Dependency:
    """Mutual information of the first experts of two layers that follow each other, in bits a token.

    With few tokens some shows up where there is none; `null_bits` is what shows up of tokens in random order.
    """

    layer: int  # the earlier
    bits: float
    null_bits: float
    spread_bits: float  # standard deviation of the shuffled ones

    @property
    def found(self) -> bool:
        """Whether there is more than by chance; if not, only balancing the load helps."""
        return self.bits - self.null_bits > max(LITTLE_BITS, SPREADS * self.spread_bits)


def dependency(trace: RoutingTrace, seed: int = 0) -> tuple[Dependency, ...]:
    """Of each layer on the one before, from the second on."""
    source = np.random.default_rng(seed)
    first = np.take_along_axis(trace.chosen, trace.weights.argmax(-1)[..., None], -1)[..., 0].astype(np.int64)
    found = []
    for layer in range(trace.layers - 1):
        one, other = first[:, layer], first[:, layer + 1]
        null = [_bits(source.permutation(one), other, trace.experts) for _ in range(SHUFFLES)]
        found.append(Dependency(layer, _bits(one, other, trace.experts), float(np.mean(null)), float(np.std(null))))
    return tuple(found)


def _bits(one: I64, other: I64, experts: int) -> float:
    joint: F64 = np.bincount(one * experts + other, minlength=experts**2).reshape(experts, experts) / len(one)
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / apart[seen])).sum())
