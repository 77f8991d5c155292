"""What a chain kernel is asked and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ChainTables:
    """Costs by unit u, first cut c and last cut e, of c' = n + 1 cuts; as a sender, m stands for the client.

    A device with one unit spends its sending energy when its group closes; one with several ("shared") when
    the next unit is known, since between its own units nothing is sent.
    """

    run_s: F64  # (m, c', c') time of pieces c..e; inf: cannot run, or beyond the memory limit
    lead_s: F64  # (m, c', c') the same, with the way to the client where e is the last cut
    dynamic_j: F64  # (m, c', c') joules of the group, sending included for a device with one unit
    memory_bytes: F64  # (m, c', c') runtime, weights, live activations and buffers
    hop_s: F64  # (m + 1, m, c') from unit a, or the client, to unit b at cut c
    busy_s: F64  # (m + 1, m, c')
    recv_j: F64  # (m + 1, m, c') joules the receiver spends
    send_j: F64  # (m + 1, m, c') joules a shared sender spends, known only now
    idle_w: F64  # (k,) the distinct idle powers
    kind_of: Ints  # (m,) index into idle_w
    shared_of: Ints  # (m,) index of the unit's shared device, -1: it has one unit
    limit_bytes: F64  # (shared devices,)
    longest_s: float  # no plan's period is longer

    def on_cuts(self, cuts: Ints) -> ChainTables:
        """The same with these cuts only (ascending, first and last among them)."""
        square = {name: getattr(self, name)[:, cuts][:, :, cuts] for name in _SQUARE}
        rows = {name: getattr(self, name)[:, :, cuts] for name in _ROWS}
        return replace(self, **square, **rows)


_SQUARE = ("run_s", "lead_s", "dynamic_j", "memory_bytes")
_ROWS = ("hop_s", "busy_s", "recv_j", "send_j")


@dataclass(frozen=True, eq=False)
class ChainPlans:
    """Complete plans, none dominating another."""

    values: F64  # (plans, 4): latency s, period s, energy J, memory B; 0 in goals nobody asked for
    groups: Ints  # (rows, 3): plan, last cut, unit; of plan 0 from its first group to its last, then of plan 1, ...
    finished: bool  # False: time ran out
