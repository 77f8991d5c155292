"""A product with coded weights on the array that a fleet file describes: its tiles, their clock, time and energy.

Both ways of an array follow from gates. Laid out for a format: as many multiply-adds of it, with activations of eight
bits, as fit in the area that the array has (`mac_cost`). Fixed, of a multiplier that was simulated gate by gate: the
clock that the slowest of the layer's weights keeps, and the energy of those weights (`MacTable`), as in HALO, arXiv
2502.19662. What it leaves out: loading inputs from main memory, changing the layout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.fleet import MacArray
from shoal.formats import Format, make
from shoal.formats.integer import Integer
from shoal.machines._energy import energy
from shoal.machines._mac import MacCost, mac_cost, multiplies
from shoal.machines.arrays.contract import Passed, Tile
from shoal.machines.arrays.systolic import Systolic
from shoal.machines.multipliers import Margins, mac_table

_PJ = 1e12


@dataclass(frozen=True)
class Pace:
    """What the weights of a product allow."""

    clock: float = 1.0  # over the array's
    effort: float = 1.0  # energy of a product over the mean of all weights'


def array_of(macs: MacArray, form: Format, bytes_per_s: float) -> Systolic:
    """The array as it multiplies weights of the format.

    Raises:
        InputError: it does not take the format, or no energies are known of the node.
    """
    if macs.multiplier:
        multiply_j, add_j = (
            energy("int", op, bits, macs.node_nm).energy_j for op, bits in (("mul", 8), ("add", 32))
        )
        columns = macs.columns
    else:
        usual = Integer(8, max(0, form.group))
        own, whole = mac_cost(form, activations=usual), mac_cost(Integer(8))
        multiply_j = own.energy_j(macs.node_nm) * own.parts["multiplier"] / own.area
        add_j = own.energy_j(macs.node_nm) - multiply_j
        columns = fitting(macs.columns, own, whole)
    moves = {
        what: energy(what, "read", 64, macs.node_nm).energy_j / 8 for what in ("sram 32 KB", "sram 8 KB", "dram")
    }
    inputs, sums, memory = (_PJ * each for each in moves.values())
    return Systolic(macs.rows, columns, macs.clock_hz, bytes_per_s, multiply_pj=_PJ * multiply_j, add_pj=_PJ * add_j,
                    input_pj_per_byte=inputs, sum_pj_per_byte=sums, memory_pj_per_byte=memory)  # fmt: skip


def fitting(columns: int, own: MacCost, usual: MacCost) -> int:
    """Columns of `own` multiply-adds in the area of so many usual ones; one at least."""
    return max(1, int(columns * usual.area / own.area))


def takes(macs: MacArray, form: Format) -> bool:
    """Whether the array multiplies weights of the format: a fixed one takes whole numbers of eight bits.

    Raises:
        InputError: there is no such multiplier.
    """
    if not macs.multiplier:
        return multiplies(form)
    table, grid = mac_table(macs.multiplier), getattr(form, "grid", None)
    if grid is None or not (np.rint(grid.array) == grid.array).all():
        return False
    return bool(table.weights[0] <= grid.array[0] and grid.array[-1] <= table.weights[-1])


def pace_of(multiplier: str, numbers: NDArray[np.int16]) -> Pace:
    """The clock and the energy of these weights on an array of the multiplier.

    Raises:
        InputError: there is no such multiplier, or it does not take one of them.
    """
    table, margins = mac_table(multiplier), Margins()
    held, counts = np.unique(numbers, return_counts=True)
    places = table.place(held)
    clock = margins.period(table.slowest) / margins.period(float(table.delay[places].max()))
    return Pace(clock, float(np.average(table.energy[places], weights=counts)) / float(table.energy.mean()))


def passed(
    array: Systolic, name: str, shape: tuple[int, int], parts: int, places: int, pace: Pace | None = None
) -> Passed:
    """Time and energy of a product on the array.

    Args:
        array: as it multiplies the format.
        name: of the format.
        shape: rows and columns of a part's weights.
        parts: alike, one after another.
        places: inputs that stream through.
        pace: of the weights; none: the array's own.
    """
    own, (rows, columns) = pace or Pace(), shape
    a_weight = make(name).stored_bits(shape) / 8 / (rows * columns)
    tiles = [
        Tile(inputs, outputs, 0, own.clock, 1.0, inputs * outputs * a_weight, own.effort)
        for outputs in _sides(rows, array.columns)
        for inputs in _sides(columns, array.rows)
    ]
    return array.passed([tiles * parts], places)


def _sides(length: int, most: int) -> list[int]:
    """Parts of the length, all but the last as long as may be."""
    whole, rest = divmod(length, most)
    return [most] * whole + ([rest] if rest else [])
