"""What finishing a partial plan costs at least, and which partial plans that makes alike.

Exact cost-to-go of each goal by itself, by a backward programme over (node, cut):
    latency(q, c) = min over followers (q', u) and e > c of  hop(c) + run(u, c, e) + latency(q', e)
    and max in the place of + for period, memory and energy; 0 at the last cut.
Energy depends on the final period T. To-go energy is taken at a few T, from the least possible period on: it
grows with T, so the largest of these that does not exceed a label's own least period gives a bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.chain_nodes import ChainNode
from shoal.kernels.chain_values import ChainTables

F64 = NDArray[np.float64]

_LEVELS = 12
_MANY_NODES = 200


@dataclass(frozen=True, eq=False)
class ToGo:
    """Least cost from (node, cut) to the end; inf: there is no way."""

    latency_s: F64  # (nodes, cuts)
    period_s: F64  # (nodes, cuts)
    memory_bytes: F64  # (nodes, cuts)
    energy_j: F64  # (levels, nodes, cuts)
    levels_s: F64  # (levels,) the periods energy is taken at, ascending

    def energy(self, node: int, cut: NDArray[np.intp], period_s: F64) -> F64:
        """Least energy of the rest for labels at `cut` whose period is at least `period_s`, both (n,)."""
        level = np.maximum(np.searchsorted(self.levels_s, period_s, side="right") - 1, 0)
        found: F64 = self.energy_j[level, node, cut]
        return found


def to_go(tables: ChainTables, nodes: tuple[ChainNode, ...], energy: bool = True) -> ToGo:
    """The backward programme; without `energy` its bound is 0."""
    cuts = tables.run_s.shape[1]
    least = [np.full((len(nodes) + 1, cuts), np.inf) for _ in range(3)]  # the last row: before the first node
    for table in least:
        table[: len(nodes), -1] = 0.0
    for follower in range(len(nodes) - 1, -1, -1):
        unit = nodes[follower].unit
        run_s, lead_s, memory = tables.run_s[unit], tables.lead_s[unit], tables.memory_bytes[unit]
        blocked = np.where(np.isfinite(run_s), 0.0, np.inf)
        latency = (lead_s + least[0][follower]).min(axis=1)
        period = np.maximum(run_s, least[1][follower]).min(axis=1)
        memory_bytes = (np.maximum(memory, least[2][follower]) + blocked).min(axis=1)
        for node, sender in _before(nodes, follower, tables):
            _lower(least[0][node], tables.hop_s[sender, unit] + latency)
            _lower(least[1][node], np.maximum(tables.busy_s[sender, unit], period))
            _lower(least[2][node], memory_bytes)
    levels_s = _levels(float(least[1][-1, 0]), tables.longest_s, len(nodes)) if energy else np.zeros(1)
    rows = (
        [_energy_to_go(tables, nodes, float(period)) for period in levels_s]
        if energy
        else [np.zeros_like(least[2])]
    )
    return ToGo(least[0], least[1], least[2], np.stack(rows), levels_s)


def _levels(low_s: float, high_s: float, nodes: int) -> F64:
    """Periods from the least possible to the longest, by equal factors; few where nodes are many."""
    if not 0 < low_s < high_s < np.inf:
        return np.zeros(1)
    levels: F64 = np.geomspace(low_s, high_s, _LEVELS if nodes <= _MANY_NODES else 2)
    levels[0] = low_s  # exactly: the least period of a label is at least that
    return levels


def _energy_to_go(tables: ChainTables, nodes: tuple[ChainNode, ...], period_s: float) -> F64:
    least = np.full((len(nodes) + 1, tables.run_s.shape[1]), np.inf)
    least[: len(nodes), -1] = 0.0
    for follower in range(len(nodes) - 1, -1, -1):
        unit = nodes[follower].unit
        run_s, idle_w = tables.run_s[unit], tables.idle_w[tables.kind_of[unit]]
        lasting = np.where(np.isfinite(run_s), np.maximum(run_s, period_s), 0.0)
        group = tables.dynamic_j[unit] + idle_w * lasting  # the period is no shorter than the group itself
        group[np.isinf(run_s)] = np.inf
        for node, sender in _before(nodes, follower, tables):
            recv_j = tables.recv_j[sender, unit][:, None]
            _lower(least[node], np.maximum(group + recv_j, least[follower]).min(axis=1))
    return least


def lifted(dynamic_j: F64, idle_w: F64, floor_j: F64, low_s: F64, high_s: F64) -> F64:
    """Raise each kind's dynamic energy as far as the plan's energy does not change, (kinds, n) to (kinds, n).

    As a function of the final period T a label's energy is f(T) = max(floor, max_k idle_k · T + dynamic_k),
    and only T between `low_s` and `high_s` matters. The largest dynamic_k that leaves f as it is there is
    min_T f(T) - idle_k · T, reached at an end or where two lines cross. One label's f lies below another's
    when its lifted energies do, so devices that are not the hungriest do not keep labels apart.
    """
    lines = [(0.0, floor_j), *zip(idle_w.tolist(), dynamic_j, strict=True)]
    periods = [low_s, high_s]
    for place, (slope, height) in enumerate(lines):
        for other_slope, other_height in lines[place + 1 :]:
            if slope != other_slope:
                crossing = (height - other_height) / (other_slope - slope)
                periods.append(np.minimum(np.maximum(crossing, low_s), high_s))
    at = np.array(periods)
    energy = np.broadcast_to(floor_j, at.shape).copy()
    for slope, height in lines[1:]:
        np.maximum(energy, slope * at + height, out=energy)
    return np.array([(energy - slope * at).min(axis=0) for slope, _ in lines[1:]])


def _before(nodes: tuple[ChainNode, ...], follower: int, tables: ChainTables) -> list[tuple[int, int]]:
    """(node, its unit) that `follower` may come after; the client is before the nodes that may come first."""
    found = [(node, nodes[node].unit) for node in nodes[follower].before]
    return [*found, (len(nodes), len(tables.kind_of))] if nodes[follower].starts else found


def _lower(row: F64, by: F64) -> None:
    row[:-1] = np.minimum(row[:-1], by[:-1])
