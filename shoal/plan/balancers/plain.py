"""Standard expert parallelism."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.plan.balancers.contract import I64, Assignment, Devices, plain


@dataclass(frozen=True)
class Plain:
    """Every token is computed where its expert is, however many there are."""

    def assign(self, loads: I64, devices: Devices, past: Sequence[I64] = ()) -> Assignment:
        """See `Balancer`."""
        return plain(loads, devices)
