"""Energy of a run: events times the rows of the one table, and what a machine takes for being on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from shoal.errors import InputError
from shoal.machines._energy import EnergyRow
from shoal.machines._steps import Counts

Price: TypeAlias = Sequence[tuple[float, EnergyRow]]  # of one event: how many of each row


def bill(counts: Counts, prices: Mapping[str, Price], static_w: float, seconds: float) -> dict[str, float]:
    """Joules by event, and "static".

    Raises:
        InputError: an event that has no price.
    """
    unknown = sorted(set(counts) - set(prices))
    if unknown:
        raise InputError("events without a price", had=", ".join(unknown))
    spent = {name: count * _energy_j(prices[name]) for name, count in counts.items()}
    return {**spent, "static": static_w * seconds}


def _energy_j(price: Price) -> float:
    return sum(count * row.energy_j for count, row in price)
