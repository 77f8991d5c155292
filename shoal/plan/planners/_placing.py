"""The placement of blocks on units as an integer programme, in the figures of `Assessor` as far as they are linear.

    x[b, u]      1: block b runs on unit u
    y[t, u, v]   1: tensor t, made on u, is read on v; Σ_u y[t, u, v] ≥ x[c, v] of each reader c, y[t, u, v] ≤ x[p, u]
    period       ≥ the busy time of each unit and of each medium
    energy       ≥ idle power · period + busy power · busy time + bytes · joules per byte, of each device in use
    memory       ≥ runtimes + weights + live activations + window · bytes of its edges, of each device
    latency      ≥ the longest way through blocks and hops, and the busy time of each unit

Period and energy are exact. Memory counts the live bytes of the largest block, where a piece of several may hold
more, and a weight that blocks share once for each, where a piece loads it once. Latency leaves out that blocks of
several branches wait for one another on a unit, and hops on a medium; that of a chain is exact.

Two things are asked beyond what a Program needs: a loop through carried tensors stays on one unit (divided, its items
would wait for messages of those before), and what depends on nothing of the item is where its readers are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from shoal.cost import runtime_bytes, weights_factor
from shoal.plan.planners._site import Row, Site, Tensor
from shoal.search import Milp, Solution

Goal = Literal["period", "traffic", "latency", "energy", "memory"]
Terms = list[tuple[int, float]]
MIB = float(1 << 20)  # solvers want figures near 1, so bytes are counted in these
FINE = 100.0  # and a good period is about this, so that the solver's tolerance, 1e-6, is 1e-8 of it


class Placing:
    """One question: the placement that is best in a goal, with a period of at most so much."""

    def __init__(
        self, site: Site, goal: Goal, period_s: tuple[float, float], spare_bytes: Mapping[str, float]
    ) -> None:
        """Write the programme down.

        Args:
            site: what is placed where.
            goal: what to make least.
            period_s: below which no period is, and the longest that will do (inf: any).
            spare_bytes: memory of devices that is to stay free.
        """
        self._site, self._milp = site, Milp()
        self._unit_s = float(site.seconds.min(axis=1).sum()) / len(site.units) / FINE or 1.0
        self._shortest, self._longest = period_s[0] / self._unit_s, min(period_s[1], site.longest_s) / self._unit_s
        able = np.isfinite(site.seconds)
        self._x = [[self._milp.column(0, float(each), integer=True) for each in row] for row in able]
        for row in self._x:
            self._milp.row([(column, 1.0) for column in row], 1, 1)
        self._y = [self._moves(tensor) for tensor in site.tensors]
        self._period = self._milp.column(min(self._shortest, self._longest), self._longest)
        self._order_alike()
        self._feed()
        self._busy()
        self._limit(spare_bytes)
        self._aim(goal)

    @property
    def unit_s(self) -> float:
        """Seconds of one of the programme's units of time."""
        return self._unit_s

    def solve(self, start: Row | None, time_limit_s: float, gap: float) -> tuple[Row | None, Solution]:
        """The unit of each block, or None if nothing was found; see `Milp.solve`."""
        first = {} if start is None else self._as_start(start)
        found = self._milp.solve(time_limit_s=time_limit_s, gap=gap, start=first)
        if not found.found:
            return None, found
        return tuple(found.values[np.array(self._x)].argmax(axis=1).tolist()), found

    def _as_start(self, row: Row) -> dict[int, float]:
        """`row` with units that are alike in the order in which they are first used."""
        renamed = {unit: unit for unit in range(len(self._site.units))}
        for alike in self._site.alike:
            used = dict.fromkeys(unit for unit in row if unit in alike)
            renamed |= dict(zip((*used, *(unit for unit in alike if unit not in used)), alike, strict=True))
        owners = [renamed[unit] for unit in row]
        return {
            column: float(unit == owner)
            for columns, owner in zip(self._x, owners, strict=True)
            for unit, column in enumerate(columns)
        }

    def _moves(self, tensor: Tensor) -> dict[tuple[int, int], int]:
        """Columns by unit of the maker and unit of a reader; from the client: -1 and the unit of a reader."""
        columns: dict[tuple[int, int], int] = {}
        for target in range(len(self._site.units)):
            sources = range(len(self._site.units)) if tensor.maker is not None else (-1,)
            for source in sources:
                columns[source, target] = self._milp.column(0, 1)
                if tensor.maker is not None:
                    made = self._x[tensor.maker][source]
                    self._milp.row([(made, 1.0), (columns[source, target], -1.0)], low=0)
            for reader in tensor.readers:
                terms = [(columns[source, target], 1.0) for source in sources]
                self._milp.row([*terms, (self._x[reader][target], -1.0)], low=0)
        return columns

    def _at_least(self, terms: Terms) -> int:
        """A column that is at least each of `terms`."""
        column = self._milp.column()
        for term, factor in terms:
            self._milp.row([(column, 1.0), (term, -factor)], low=0)
        return column

    def _order_alike(self) -> None:
        """Of units that may change places, the first comes into use first."""
        for alike in self._site.alike:
            for one, other in pairwise(alike):
                for place, row in enumerate(self._x):
                    earlier = [(before[one], 1.0) for before in self._x[:place]]
                    self._milp.row([*earlier, (row[other], -1.0)], low=0)

    def _feed(self) -> None:
        """Loops stay whole; what depends on nothing of the item is with all its readers, or where the item comes in."""
        for loop in self._site.loops:
            self._together(loop)
        for index, readers in self._site.unfed.items():
            if readers:
                self._together({index} | readers)
            if not readers or self._site.answers_bytes[index]:
                for unit, column in enumerate(self._x[index]):
                    entry = [(self._x[each][unit], 1.0) for each in self._site.told]
                    self._milp.row([*entry, (column, -1.0)], low=0)

    def _together(self, blocks: Collection[int]) -> None:
        for one, other in pairwise(sorted(blocks)):
            for a, b in zip(self._x[one], self._x[other], strict=True):
                self._milp.row([(a, 1.0), (b, -1.0)], 0, 0)

    def _load(self, unit: int) -> Terms:
        """Busy time of a unit, in units of time."""
        seconds = self._site.seconds[:, unit]
        return [(row[unit], s / self._unit_s) for row, s in zip(self._x, seconds, strict=True) if np.isfinite(s)]

    def _busy(self) -> None:
        media: dict[str, Terms] = {}
        for tensor, columns in zip(self._site.tensors, self._y, strict=True):
            for (source, target), column in columns.items():
                for hop in self._site.ways.get((source, target), ()):
                    seconds = tensor.bytes / hop.bytes_per_s
                    media.setdefault(hop.medium, []).append((column, seconds / self._unit_s))
        for terms in (*(self._load(unit) for unit in range(len(self._site.units))), *media.values()):
            self._milp.row([*((column, -factor) for column, factor in terms), (self._period, 1.0)], low=0)

    def _limit(self, spare_bytes: Mapping[str, float]) -> None:
        """Limits of memory, where not every placement keeps them."""
        for device in dict.fromkeys(self._site.devices):
            limit_bytes = self._site.problem.limit_bytes(device) - spare_bytes.get(device, 0.0)
            if self._site.most_bytes(device) > limit_bytes:
                self._milp.row(self._memory(device), high=limit_bytes / MIB)

    def _used(self, unit: int) -> int:
        """A column that is 1 if the unit has work."""
        return self._at_least([(row[unit], 1.0) for row in self._x])

    def _memory(self, device: str) -> Terms:
        """MiB in use on `device`."""
        site, terms = self._site, []
        mine = {unit for unit, name in enumerate(site.devices) if name == device}
        for unit in sorted(mine):
            live = self._at_least(
                [(row[unit], size / MIB) for row, size in zip(self._x, site.live_bytes, strict=True)]
            )
            kept = (
                weights_factor(site.engines[unit]) * site.weights_bytes
                + site.problem.window * site.answers_bytes
                + site.kept_bytes
            )
            terms += [(live, 1.0), (self._used(unit), runtime_bytes(site.engines[unit]) / MIB)]
            terms += [(row[unit], size / MIB) for row, size in zip(self._x, kept.tolist(), strict=True)]
        for tensor, columns in zip(site.tensors, self._y, strict=True):
            size = site.held_bytes(tensor) / MIB
            for (source, target), column in columns.items():
                ends = [end for end in (source, target) if end in mine and source != target]
                terms += [(column, size) for _ in ends]
        return terms

    def _aim(self, goal: Goal) -> None:
        if goal == "period":
            self._milp.add_cost(self._period, 1.0)
        elif goal == "traffic":
            for tensor, columns in zip(self._site.tensors, self._y, strict=True):
                for pair, column in columns.items():
                    self._milp.add_cost(column, tensor.bytes / MIB * len(self._site.ways.get(pair, ())))
        else:
            most, devices = self._milp.column(cost=1.0), dict.fromkeys(self._site.devices)
            if goal == "latency":
                self._latency(most)
            elif goal == "energy":
                for device in devices:
                    self._energy(device, most)
            else:
                for device in devices:
                    self._milp.row([*((column, -f) for column, f in self._memory(device)), (most, 1.0)], low=0)

    def _energy(self, device: str, most: int) -> None:
        """Joules of `device` are below `most` if it is in use; its idle power counts from then on."""
        site, fleet = self._site, self._site.problem.fleet
        mine = {unit for unit, name in enumerate(site.devices) if name == device}
        idle_j, own_j = fleet.device(device).idle_w * self._unit_s, fleet.device(device).link_j_per_byte
        terms: Terms = []
        for unit in mine:
            busy_j = site.busy_w[unit] * self._unit_s
            terms += [(column, -factor * busy_j) for column, factor in self._load(unit)]
        for tensor, columns in zip(site.tensors, self._y, strict=True):
            for (source, target), column in columns.items():
                if site.ways.get((source, target)):
                    sent = own_j + site.link_j(source, target) if source in mine else 0.0
                    terms.append((column, -tensor.bytes * (sent + (own_j if target in mine else 0.0))))
        for unit in mine:
            used = self._used(unit)
            # idle · period · used, from below: an idle device asks for nothing, a used one for the period
            above = [(self._period, -idle_j), (used, -idle_j * self._longest), (most, 1.0)]
            self._milp.row([*terms, *above], low=-idle_j * self._longest)
            self._milp.row([*terms, (used, -idle_j * self._shortest), (most, 1.0)], low=0)

    def _latency(self, most: int) -> None:
        """The latest end of a block is below `most`, and so is each unit's busy time."""
        ends = [self._milp.column() for _ in self._x]
        for index, end in enumerate(ends):
            self._milp.row([*self._takes(index), (end, 1.0)], low=0)
            self._milp.row([(most, 1.0), (end, -1.0)], low=0)
        for tensor, columns in zip(self._site.tensors, self._y, strict=True):
            if tensor.maker is not None and not tensor.carried:
                self._follow(tensor, tensor.maker, columns, ends)
        for unit in range(len(self._site.units)):
            self._milp.row([*((c, -factor) for c, factor in self._load(unit)), (most, 1.0)], low=0)

    def _takes(self, index: int) -> Terms:
        """Less the time that a block takes, wherever it runs."""
        able = zip(self._x[index], self._site.seconds[index].tolist(), strict=True)
        return [(column, -seconds / self._unit_s) for column, seconds in able if np.isfinite(seconds)]

    def _follow(
        self, tensor: Tensor, maker: int, columns: Mapping[tuple[int, int], int], ends: Sequence[int]
    ) -> None:
        """Each reader ends after the maker, the tensor's hops and itself. Of several, each has moves of its own."""
        for reader in tensor.readers:
            own = columns if len(tensor.readers) == 1 else self._moves(Tensor(maker, (reader,), tensor.bytes))
            hops = [(own[pair], -self._delay(tensor, pair)) for pair in self._site.ways]
            self._milp.row([(ends[reader], 1.0), (ends[maker], -1.0), *hops, *self._takes(reader)], low=0)

    def _delay(self, tensor: Tensor, pair: tuple[int, int]) -> float:
        seconds = sum(hop.latency_s + tensor.bytes / hop.bytes_per_s for hop in self._site.ways[pair])
        return seconds / self._unit_s
