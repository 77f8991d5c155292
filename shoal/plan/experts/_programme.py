"""Placements as an integer programme: the busiest host and the busiest wires of each layer, the least sum of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from shoal.plan.experts._mean import Mean
from shoal.plan.experts._values import F64, I64
from shoal.search import Milp

Terms = list[tuple[int, float]]


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of the solver.

    Attributes:
        mean: what is judged by.
        allowed: (L, E, hosts), where each expert may lie.
        slots: of each host, for experts of `sizes`.
        sizes: (L, E).
        start: (L, E), an answer to begin with.
    """

    mean: Mean
    allowed: NDArray[np.bool_]
    slots: tuple[int, ...]
    sizes: I64
    start: I64

    @property
    def products(self) -> int:
        """How many unknowns stand for products of two others; none where states go home, whatever the size."""
        return sum(1 for _ in _pairs(self.mean)) * len(self.slots) ** 2

    def solve(self, time_limit_s: float, gap: float) -> tuple[I64, float]:
        """The best hosts found, never worse than the start, and how far they may be from the best."""
        scale = self.mean.objective_s(self.start) or 1.0
        written = _Written(self, scale)
        written.place()
        written.hosts()
        written.wires()
        begin = {
            int(at): float(value) for at, value in zip(written.x.ravel(), self._started().ravel(), strict=True)
        }
        found = written.milp.solve(time_limit_s=time_limit_s, gap=gap, start=begin)
        if not found.found:
            return self.start, found.gap
        places: I64 = found.values[written.x].argmax(-1)
        return min((self.start, places), key=self.mean.objective_s), found.gap

    def _started(self) -> F64:
        found: F64 = np.eye(self.allowed.shape[-1])[self.start]
        return found


def broken_symmetry(mean: Mean, start: I64) -> NDArray[np.bool_]:
    """(L, E, hosts): the busiest expert of the first layer stays on one of several hosts that are alike.

    It stays where it starts. Only where every host is home to as much, as else they differ.
    """
    allowed = np.ones((*start.shape, len(mean.fleet.hosts)), bool)
    if mean.flow.even:
        busiest = int(mean.flow.loads[0, 0].argmax())
        orbits, here = np.array(mean.fleet.orbits), int(start[0, busiest])
        first = np.array([orbit == at for at, orbit in enumerate(orbits)])
        first[orbits == orbits[here]] = False
        first[here] = True
        allowed[0, busiest] = first
    return allowed


def _pairs(mean: Mean) -> Iterator[tuple[tuple[int, int], tuple[int, int], int, float]]:
    """(layer, expert) that tokens go from, that they go to, whether on the way back (1), and how many do."""
    if mean.combine == "home":
        return
    for layer, one, other in np.argwhere(mean.flow.moves[0] > 0).tolist():
        yield (layer, one), (layer + 1, other), 0, float(mean.flow.moves[0, layer, one, other])
    for layer, one, other in np.argwhere(mean.flow.meets[0] > 0).tolist():
        if one != other:
            yield (layer, one), (layer, other), 1, float(mean.flow.meets[0, layer, one, other])


@dataclass(eq=False)
class _Written:
    """The programme; its costs are multiples of `scale` seconds, as the solver's tolerances are absolute."""

    asked: Question
    scale: float
    milp: Milp = field(default_factory=Milp)
    x: I64 = field(init=False)  # (L, E, hosts), columns

    def place(self) -> None:
        """Every expert on one host, no host beyond its room."""
        allowed, sizes = self.asked.allowed, self.asked.sizes
        self.x = np.empty(allowed.shape, np.int64)
        for at in np.ndindex(allowed.shape):
            self.x[at] = self.milp.column(0.0, float(allowed[at]), integer=True)
        for columns in self.x.reshape(-1, len(self.asked.slots)):
            self.milp.row([(int(each), 1.0) for each in columns], 1.0, 1.0)
        for host in range(len(self.asked.slots)):
            held = zip(self.x[:, :, host].ravel().tolist(), sizes.ravel().tolist(), strict=True)
            self.milp.row(list(held), high=self.asked.slots[host])

    def hosts(self) -> None:
        """The busiest host of each layer."""
        seconds = self.asked.mean.seconds[0] / self.scale
        for layer in range(len(seconds)) if seconds.any() else ():
            most = self.milp.column(cost=1.0)
            for host in range(self.x.shape[-1]):
                used = zip(self.x[layer, :, host].tolist(), seconds[layer, :, host].tolist(), strict=True)
                self.milp.row([*used, (most, -1.0)], high=0.0)

    def wires(self) -> None:
        """The busiest wire of each layer, there and back."""
        mean, terms = self.asked.mean, self._crossing()
        speeds = [wire.bytes_per_s * self.scale / mean.token_bytes for wire in mean.fleet.wires]
        for layer, back in product(range(len(self.x)), range(2)):
            most = self.milp.column(cost=1.0)
            for wire, passing in enumerate(mean.fleet.passing):
                over: Terms = []
                for pair in np.flatnonzero(passing).tolist():
                    over += [(at, count / speeds[wire]) for at, count in terms.get((layer, back, pair), ())]
                if over:
                    self.milp.row([*over, (most, -1.0)], high=0.0)

    def _crossing(self) -> dict[tuple[int, int, int], Terms]:
        """By layer, there or back, and pair of hosts (from · hosts + to): unknowns and the copies that they send."""
        mean, hosts = self.asked.mean, range(self.x.shape[-1])
        found: dict[tuple[int, int, int], Terms] = {}
        for layer, home, expert in np.argwhere(mean.flow.homes[0] > 0).tolist():
            if layer and mean.combine == "stay":
                continue
            count = float(mean.flow.homes[0, layer, home, expert])
            for host in hosts:
                term = (int(self.x[layer, expert, host]), count)
                if host != home:
                    found.setdefault((layer, 0, home * len(hosts) + host), []).append(term)
                    if mean.combine == "home":
                        found.setdefault((layer, 1, host * len(hosts) + home), []).append(term)
        for one, other, back, count in _pairs(mean):
            both = self._product(one, other)
            for start, end in product(hosts, hosts):
                if start != end:
                    key = (other[0], back, start * len(hosts) + end)
                    found.setdefault(key, []).append((int(both[start, end]), count))
        return found

    def _product(self, one: tuple[int, int], other: tuple[int, int]) -> I64:
        """(hosts, hosts) columns: 1 where one expert lies on the first and another on the second.

        Rows and columns of it sum to the unknowns of the experts; that is tighter than z ≥ x + y - 1. [Adams and
        Sherali, "A Tight Linearization and an Algorithm for Zero-One Quadratic Programming Problems", 1986]
        """
        count = self.x.shape[-1]
        both = np.array([[self.milp.column(0.0, 1.0) for _ in range(count)] for _ in range(count)])
        for host in range(count):
            for line, expert in ((both[host], one), (both[:, host], other)):
                own = (int(self.x[expert[0], expert[1], host]), -1.0)
                self.milp.row([*((int(each), 1.0) for each in line), own], 0.0, 0.0)
        return both
