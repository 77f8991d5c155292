"""A systolic array that holds weights still, with a clock for each tile: cycles, memory's rate, switches, energy.

What it covers: inputs streaming through each tile, weights loaded behind the tile before (a cycle for each row at
least), filling and draining at each change of clock, main memory's rate, a unit beside it for weights in full.
What it leaves out: energy of pipeline registers (unless `register_pj` is given) and of the clock's tree; inputs and
results stay on the chip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.errors import InputError
from shoal.machines.arrays.contract import Passed, Tile

_SUM_BYTES = 4  # of an accumulator
_PJ = 1e-12


@dataclass(frozen=True)
class Systolic:
    """Energies of 45 nm at 0.9 V: Horowitz, "Computing's energy problem", ISSCC 2014."""

    rows: int = 128  # of multipliers: what products sum over
    columns: int = 128  # results at a time
    clock_hz: float = 400e6  # base clock, which fits all weights; choice for a small device
    bytes_per_s: float = 6.4e9  # 16 bits of LPDDR4-3200
    switch_s: float = 10e-6  # of clock and voltage; choice
    side_lanes: int = 256  # products a base cycle of the unit for weights in full; choice
    multiply_pj: float = 0.2  # int8, the mean of all weights; Horowitz
    add_pj: float = 0.1  # int32; Horowitz
    register_pj: float = 0.0  # of a multiplier's pipeline registers and cycle
    input_pj_per_byte: float = 2.5  # read once a tile; 20 pJ for 64 bits of 32 KB, Horowitz
    sum_pj_per_byte: float = 1.25  # read and written once a tile; 10 pJ for 64 bits of 8 KB, Horowitz
    memory_pj_per_byte: float = 162.5  # 1.3 nJ for 64 bits, the least of Horowitz's range
    leak_share: float = 0.15  # of the array's full power at base clock; estimate

    def tile_s(self, tile: Tile, places: int) -> float:
        """See `TiledArray.tile_s`."""
        return max(self._streaming_s(tile, places), tile.stored_bytes / self.bytes_per_s)

    def passed(self, layers: Sequence[Sequence[Tile]], places: int) -> Passed:
        """See `TiledArray.passed`."""
        self._check(layers, places)
        order = level_order([[tile.level for tile in layer] for layer in layers])
        seconds, switches, bound_s, tiles_s, last = 0.0, 0, 0.0, 0.0, order[0][0]
        for layer, levels in zip(layers, order, strict=True):
            dense_s = 0.0
            for level in levels:
                some = [tile for tile in layer if tile.level == level]
                switches += level != last
                dense_s += sum(self.tile_s(tile, places) for tile in some)
                dense_s += self._filling_s(some[0]) + self.switch_s * (level != last)
                last = level
            tiles_s += sum(self.tile_s(tile, places) for tile in layer)
            bound_s += sum(self.tile_s(tile, places) for tile in layer if self._memory_decides(tile, places))
            beside = sum(tile.beside for tile in layer)
            seconds += max(dense_s, beside * places / (self.side_lanes * self.clock_hz))
        return Passed(seconds, switches, bound_s / tiles_s, self._energy_j(layers, places, seconds))

    def _streaming_s(self, tile: Tile, places: int) -> float:
        return max(places, self.rows) / (self.clock_hz * tile.clock)

    def _filling_s(self, tile: Tile) -> float:
        return (self.rows + self.columns) / (self.clock_hz * tile.clock)

    def _memory_decides(self, tile: Tile, places: int) -> bool:
        return tile.stored_bytes / self.bytes_per_s > self._streaming_s(tile, places)

    def _energy_j(self, layers: Sequence[Sequence[Tile]], places: int, seconds: float) -> dict[str, float]:
        tiles = [tile for layer in layers for tile in layer]
        products = [tile.inputs * tile.outputs * tile.volts**2 for tile in tiles]
        works = [count * tile.effort for count, tile in zip(products, tiles, strict=True)]
        beside = sum(tile.beside for tile in tiles)
        full_w = self.rows * self.columns * (self.multiply_pj + self.add_pj) * _PJ * self.clock_hz
        sums = sum(tile.outputs for tile in tiles) * 2 * _SUM_BYTES * self.sum_pj_per_byte
        return {
            "multiply": places * _PJ * self.multiply_pj * (sum(works) + beside),
            "add": places * _PJ * self.add_pj * (sum(products) + beside),
            "registers": places * _PJ * self.register_pj * sum(products),
            "buffers": places * _PJ * (sums + sum(tile.inputs for tile in tiles) * self.input_pj_per_byte),
            "memory": _PJ * self.memory_pj_per_byte * sum(tile.stored_bytes for tile in tiles),
            "leakage": self.leak_share * full_w * seconds,
        }

    def _check(self, layers: Sequence[Sequence[Tile]], places: int) -> None:
        if not layers or not all(layers) or places < 1:
            raise InputError("nothing to run", needed="a tile in each layer, and inputs", where="systolic")
        for tile in (tile for layer in layers for tile in layer):
            if tile.inputs > self.rows or tile.outputs > self.columns:
                raise InputError("a tile is larger than the array", needed=f"{self.rows} × {self.columns}",
                                 had=f"{tile.inputs} × {tile.outputs}")  # fmt: skip


def level_order(layers: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """Of each layer its levels in an order that changes the clock seldom: a layer goes on where the last one ended."""
    found: list[tuple[int, ...]] = []
    used = [sorted(set(levels)) for levels in layers]
    current = -1
    for levels, later in zip(used, [*used[1:], []], strict=True):
        first = current if current in levels else next((each for each in levels if each not in later), levels[0])
        rest = [each for each in levels if each != first]
        last = next((each for each in rest if each in later), None)
        order = (first, *(each for each in rest if each != last), *([] if last is None else [last]))
        found.append(order)
        current = order[-1]
    return tuple(found)
