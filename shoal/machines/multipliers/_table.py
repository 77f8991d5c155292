"""Delay and energy of a multiplier for each weight, worked out once and kept in the cache folder."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal import cache, catalog
from shoal.errors import InputError, WorkError
from shoal.machines.multipliers._simulate import activity, slowest_path, values, wrong_products
from shoal.machines.multipliers.contract import Multiplier

FAMILY = "machines/multipliers"
RECIPE = 1  # raise it when gates, designs or the simulation change: tables kept under another recipe are not used
Figures = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MacTable:
    """What a weight that stays costs, for each weight; delays and energies in units of an AND gate's."""

    multiplier: str
    weights: NDArray[np.int16]  # ascending
    delay: Figures  # until the latest output, the longest of all changes of the input
    bound: Figures  # the longest path that the weight leaves free: no change takes longer
    energy: Figures  # of a product, on average over all changes of the input

    @property
    def slowest(self) -> float:
        """The delay that holds for all weights."""
        return float(self.delay.max())

    def place(self, weights: NDArray[np.integer]) -> NDArray[np.intp]:
        """Where these weights stand in the table.

        Raises:
            InputError: one that the multiplier does not take.
        """
        first, last = int(self.weights[0]), int(self.weights[-1])
        if weights.size and (weights.min() < first or weights.max() > last):
            raise InputError(f"{self.multiplier} does not take this weight", needed=f"{first} to {last}",
                             had=f"{int(weights.min())} to {int(weights.max())}")  # fmt: skip
        found: NDArray[np.intp] = weights.astype(np.intp) - first
        return found

    def fastest(self, count: int) -> tuple[int, ...]:
        """So many weights, the quickest first; of equally quick ones the lowest."""
        order = np.argsort(self.delay, kind="stable")[:count]
        return tuple(int(each) for each in self.weights[order])

    def within(self, delay: float, energy: float = inf) -> tuple[int, ...]:
        """All weights that take no longer than `delay`, and no more than `energy`; ascending."""
        keeps = (self.delay <= delay + 1e-9) & (self.energy <= energy + 1e-9)
        return tuple(int(each) for each in self.weights[keeps])


def mac_table(multiplier: str = "booth_ks") -> MacTable:
    """The table of a multiplier, "booth_ks" or "booth_ks:fixed=true"; the first time it takes a while.

    Raises:
        InputError: there is no such multiplier, or the cache folder cannot be written.
        WorkError: its circuits do not multiply.
    """
    design: Multiplier = catalog.make(FAMILY, multiplier)
    name = catalog.spelled(multiplier.partition(":")[0], design)
    key = hashlib.sha256(f"{name} {RECIPE}".encode()).hexdigest()[:32]
    place = cache.entry("multipliers", key, lambda folder: _keep(worked_out(design, design.weights), folder))
    with np.load(io.BytesIO((place / "table.npz").read_bytes()), allow_pickle=False) as kept:
        return MacTable(name, kept["weights"], kept["delay"], kept["bound"], kept["energy"])


def worked_out(design: Multiplier, weights: Iterable[int]) -> MacTable:
    """The table of these weights, every product checked.

    Raises:
        WorkError: a circuit does not multiply.
    """
    some, rows = list(weights), []
    for weight in some:
        circuit = design.circuit(weight)
        nets = values(circuit)
        wrong = wrong_products(circuit, nets, weight)
        if wrong:
            raise WorkError("the circuit does not multiply", where=f"{type(design).__name__}, weight {weight}",
                            had=f"{wrong} wrong products")  # fmt: skip
        found = activity(circuit, nets)
        rows.append((found.delay, slowest_path(circuit), found.energy))
    delay, bound, energy = np.array(rows, np.float64).T
    return MacTable(type(design).__name__, np.array(some, np.int16), delay, bound, energy)


def products_right(multiplier: str) -> bool:
    """Whether each weight's circuit gives the product with each input: all 65,536 of them."""
    design: Multiplier = catalog.make(FAMILY, multiplier)
    circuits = ((weight, design.circuit(weight)) for weight in design.weights)
    return not any(wrong_products(circuit, values(circuit), weight) for weight, circuit in circuits)


def _keep(table: MacTable, folder: Path) -> None:
    np.savez(folder / "table.npz", weights=table.weights, delay=table.delay, bound=table.bound, energy=table.energy)
