"""What machines and boards could reach at most: their peaks, and the bandwidth that feeds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from shoal.cost import Roof
from shoal.study.contract import Series

FAR = 8.0  # by so much roofs go beyond the points on either side


# Operations a cycle and bytes a second from each machine's structure. Intensity counts a value's bytes as the file has
# them, so memory that moves its narrowest values feeds so much more arithmetic; one that holds its weights has no slope.
FILE_BITS = 32
MACHINES: Mapping[str, Callable[[Any], Roof]] = {
    "cgra": lambda m: Roof(
        sum(not unit.memory for unit in m.fabric.units) * m.clock_hz, _fed(m.memory_bytes_per_s, 8)
    ),
    "edge_moe": lambda m: Roof(2 * m.rows * m.columns * m.clock_hz, _fed(m.memory_bytes_per_s, m.weight_bits)),
    "nexus": lambda m: Roof(
        2 * m.rows * m.columns * m.array.clock_hz, _fed(2 * m.port_words * m.array.clock_hz, 16)
    ),
    "photonic_attention": lambda m: Roof(
        2 * m.cores * m.rows * m.columns * m.wavelengths * m.clock_hz, _fed(m.memory_bytes_per_s, m.operand_bits)
    ),
    "systolic": lambda m: Roof(2 * m.rows * m.columns * m.clock_hz, _fed(m.memory_bytes_per_s, 8)),
    "tellme": lambda m: Roof(
        2 * 3 * m.tables * m.outputs_at_once * m.clock_hz, _fed(m.ports * m.port_bytes * m.clock_hz, 5 / 3)
    ),
    "tereffic": lambda m: Roof(2 * m.cards * m.lanes * m.clock_hz, inf),
}


def _fed(bytes_per_s: float, bits: float) -> float:
    """The file's bytes that arrive in a second as values of `bits`."""
    return bytes_per_s * FILE_BITS / bits


def roof_of(name: str) -> Roof | None:
    """Of a machine or a board; of a board's units the one with the highest peak. None: a machine that is not listed."""
    from shoal import catalog
    from shoal.fleet import board
    from shoal.machines.accelerators import FAMILY

    if name in catalog.names(FAMILY):
        return MACHINES[name](catalog.make(FAMILY, name)) if name in MACHINES else None
    units = [unit for unit in board(name).units if "float32" in unit.peak_flop_per_s]
    if not units:
        return None
    best = max(units, key=lambda unit: unit.peak_flop_per_s["float32"])
    return Roof(best.peak_flop_per_s["float32"], best.memory_bytes_per_s)


def roofs(points: Sequence[Series]) -> tuple[Series, ...]:
    """A line for each of the points' owners, from left of all points to right of them."""
    places = [float(x) for each in points for x in each.x]
    if not places:
        return ()
    least, most = min(places) / FAR, max(places) * FAR
    found = ((each.name, roof_of(each.name)) for each in points if each.x)
    return tuple(_line(name, roof, least, most) for name, roof in found if roof is not None)


def _line(name: str, roof: Roof, least: float, most: float) -> Series:
    places = roof.bends(least, most)
    return Series(f"{name}, roof", places, tuple(roof.at(place) for place in places), roof_of=name)
