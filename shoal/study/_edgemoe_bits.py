"""Bits given to experts by their sensitivity, against the same bytes given evenly or in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.llm.experts._widths import Expert, Trial, Widths, lowered, trial
from shoal.llm.experts.expert_bits import ExpertBits
from shoal.llm.tiny import tiny
from shoal.study._edgemoe_runs import PLACES

EVEN = (6, 5, 3)  # bits; at 8, 4 and 2 all orders give the same


@dataclass(frozen=True)
class AtBytes:
    """Rises of the loss at the bytes of so many bits for all, in nats."""

    bits: int
    sensitive: float
    even: float
    drawn: tuple[float, ...]  # of seeds


@dataclass(frozen=True)
class Judged:
    """On text that neither training nor calibration has seen."""

    loss_nats: float
    rise: float  # by the bits within the tolerance, as a share
    counts: dict[int, int]  # experts of each width
    saved: float  # bytes, as a share of four bits for all
    at_bytes: tuple[AtBytes, ...]


def judged(kind: str, rows: int, tolerance: float, seeds: int) -> Judged:
    """Calibrate on one half of the text held out from training, judge on the other."""
    from shoal.train.language import corpus, stretches

    model, every = tiny(kind).module(), stretches(corpus()[1], PLACES).x
    first, second = (_spread(half, rows) for half in np.array_split(every, 2))
    with trial(model, first) as tried:
        sensitivities = tried.sensitivities()
        kept = ExpertBits(tolerance).within(tried, sensitivities)
    order = sorted(sensitivities, key=lambda each: sensitivities[each])
    with trial(model, second) as tried:
        plain, four = tried.plain_loss_nats, tried.bits(dict.fromkeys(order, 4))
        return Judged(
            plain,
            tried.loss_nats(kept) / plain - 1,
            {width: list(kept.values()).count(width) for width in sorted(set(kept.values()))},
            1 - tried.bits(kept) / four,
            tuple(_at_bytes(tried, order, bits, seeds) for bits in EVEN),
        )


def fitting(tried: Trial, order: Sequence[Expert], bits: int) -> Widths:
    """Experts lowered in this order until they take no more than they would with so many bits alike."""
    most = tried.bits(dict.fromkeys(order, bits))
    return next(widths for widths in lowered(order, 1) if tried.bits(widths) <= most)


def _at_bytes(tried: Trial, order: Sequence[Expert], bits: int, seeds: int) -> AtBytes:
    def rise(widths: Widths) -> float:
        return tried.loss_nats(widths) - tried.plain_loss_nats

    orders = [np.random.default_rng(seed).permutation(len(order)) for seed in range(seeds)]
    drawn = tuple(rise(fitting(tried, [order[at] for at in each], bits)) for each in orders)
    return AtBytes(bits, rise(fitting(tried, order, bits)), rise(dict.fromkeys(order, bits)), drawn)


def _spread(every: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    found: NDArray[np.int64] = every[np.linspace(0, len(every) - 1, rows).astype(int)]
    return found
