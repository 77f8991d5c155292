"""How evenly a router spreads tokens over experts, and what one layer's choice tells of the next one's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Load:
    """Of one layer."""

    imbalance: float  # tokens of the busiest expert over the mean
    entropy_bits: float  # of which expert a choice falls on; log2 of their number if evenly
    gini: float  # 0: evenly; towards 1: all on one


def load_of(chosen: I64, count: int) -> Load:
    """Statistics of choices, (n, chosen a token), among `count` experts."""
    tokens = np.bincount(chosen.ravel(), minlength=count)[:count].astype(np.float64)
    shares = tokens / max(tokens.sum(), 1)
    some = shares[shares > 0]
    ranks = np.arange(1, count + 1)
    gini = float(2 * (ranks * np.sort(shares)).sum() / count - (count + 1) / count)
    return Load(float(shares.max() * count), float(-(some * np.log2(some)).sum()), max(0.0, gini))


def mutual_bits(first: I64, second: I64, count: int) -> float:
    """Mutual information of two layers' first choices, (n,) each of the same tokens."""
    joint = np.zeros((count, count))
    np.add.at(joint, (first, second), 1 / len(first))
    alone = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    some = joint > 0
    return max(0.0, float((joint[some] * np.log2(joint[some] / alone[some])).sum()))
