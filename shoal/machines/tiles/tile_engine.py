"""A tile engine for products in few bits, with a vector unit behind it: after the accelerator of QuartDepth, arXiv 2503.16709.

What it covers: partly filled tiles, twice the products where both operands have four bits, a vector unit that takes results
as they come, buffers that limit what stays on the chip, memory's rate beside computing, instructions of four kinds.
What it leaves out: conflicts of memory banks, refresh, and the order of transfers within a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from shoal.errors import InputError
from shoal.machines._energy import energy
from shoal.machines.tiles.contract import Group, Instruction, Ran, Widths, Work

NODE_NM = 28
SUM_BITS = 32  # of weights that are no product's: biases


@dataclass(frozen=True)
class TileEngine:
    """Sizes of the order of the publication's; energies are in `machines/energy.csv`."""

    rows: int = 16  # of multipliers: results at a time
    inner: int = 16  # what each of them sums over in a cycle
    places: int = 16  # at a time
    lanes: int = 256  # values a cycle of the vector unit
    clock_hz: float = 1e9
    dram_bytes_per_s: float = 25.6e9  # 64 bits of DDR4-3200
    weights_buffer_bytes: int = 256 << 10
    input_buffer_bytes: int = 256 << 10
    output_buffer_bytes: int = 256 << 10

    def compiled(self, groups: Sequence[Group], widths: Widths) -> tuple[tuple[Instruction, ...], ...]:
        """See `Tiles.compiled`."""
        self._rate(widths)
        return tuple(tuple(self._group(group, widths)) for group in groups)

    def run(self, groups: Sequence[Group], widths: Widths) -> Ran:
        """See `Tiles.run`. A group takes as long as its transfers, its products or its vector work, whatever is longest."""
        told = self.compiled(groups, widths)
        cycles = sum(self._cycles(part, widths) for part in told)
        instructions = [each for part in told for each in part]
        counts = self._counts(instructions, widths)
        return Ran(cycles, cycles / self.clock_hz, int(counts["dram"]), counts, self._energy_j(counts, widths))

    def _group(self, group: Group, widths: Widths) -> Iterator[Instruction]:
        for work in group.works:
            if work.weights:
                yield Instruction("LOAD", f"{work.name}.weights", self._weights_bytes(work, widths))
            for name, values in work.reads.items():
                if name not in group.made:
                    yield Instruction("LOAD", name, self._fitting(name, values, widths) * self._turns(work, widths))
            if work.rows:
                yield Instruction("GEMM", work.name, rows=work.rows, inner=work.inner, places=work.places)
            else:
                yield Instruction("VEC", work.name, values=sum(work.writes.values()))
        for name, values in group.works[-1].writes.items():
            yield Instruction("STORE", name, _bytes(values, widths.activations))

    def _turns(self, work: Work, widths: Widths) -> int:
        """How often an input is read: once for each part of the weights that fits into its buffer."""
        return max(1, ceil(self._weights_bytes(work, widths) / self.weights_buffer_bytes)) if work.rows else 1

    def _fitting(self, name: str, values: int, widths: Widths) -> int:
        size = _bytes(values, widths.activations)
        if size > self.input_buffer_bytes:
            raise InputError("a tensor does not fit into the engine's input buffer", where=name,
                             needed=f"at most {self.input_buffer_bytes} B", had=f"{size} B")  # fmt: skip
        return size

    def _weights_bytes(self, work: Work, widths: Widths) -> int:
        """Of a product: its matrix in few bits, its bias in full."""
        matrix = work.rows * work.inner if work.rows else 0
        matrix = min(matrix, work.weights)  # of convolutions in groups a row sums over its own group's channels
        return _bytes(matrix, widths.weights) + _bytes(work.weights - matrix, SUM_BITS)

    def _cycles(self, part: Sequence[Instruction], widths: Widths) -> int:
        moved = sum(each.bytes for each in part)
        products = sum(self._gemm_cycles(each, widths) for each in part if each.unit == "GEMM")
        vector = sum(ceil(each.values / self.lanes) for each in part if each.unit == "VEC")
        return max(ceil(moved / self.dram_bytes_per_s * self.clock_hz), products, vector)

    def _gemm_cycles(self, each: Instruction, widths: Widths) -> int:
        tiles = ceil(each.rows / self.rows) * ceil(each.inner / self.inner) * ceil(each.places / self.places)
        return ceil(tiles / self._rate(widths))

    def _rate(self, widths: Widths) -> float:
        """Products of a multiplier a cycle. It is one of four by eight bits; two of them make one of eight by eight."""
        known = {(4, 4, False): 2.0, (4, 8, False): 1.0, (8, 8, False): 0.5, (16, 16, True): 0.25}
        key = (widths.weights, widths.activations, widths.floating)
        if key not in known:
            raise InputError(f"there is no unit for {widths.name}", where="tile_engine",
                             needed=", ".join(Widths(*each).name for each in known))  # fmt: skip
        return known[key]

    def _counts(self, instructions: Sequence[Instruction], widths: Widths) -> dict[str, float]:
        """Events. Buffers: each way of main memory's bytes; operands of a tile once; sums once a tile of places."""
        moved = sum(each.bytes for each in instructions)
        macs, buffers, values = 0, float(moved), 0
        for each in instructions:
            macs += each.rows * each.inner * each.places
            values += each.values
            weights = each.rows * each.inner * ceil(each.places / self.places) * widths.weights
            inputs = each.inner * each.places * ceil(each.rows / self.rows) * widths.activations
            results = (each.rows * each.places + 2 * each.values) * widths.activations
            buffers += (weights + inputs + results) / 8
        return {"mac": macs, "vector": values, "sram": buffers, "dram": moved}

    def _energy_j(self, counts: dict[str, float], widths: Widths) -> dict[str, float]:
        multiplier = "float" if widths.floating else "int"
        of_one = {
            "mac": energy("tile engine", f"{multiplier} {widths.weights}×{widths.activations}", widths.activations, NODE_NM),
            "vector": energy("tile engine", "vector", 16, NODE_NM),
            "sram": energy("tile engine", "buffer", 8, NODE_NM),
            "dram": energy("tile engine", "dram", 8, NODE_NM),
        }  # fmt: skip
        return {name: count * of_one[name].energy_j for name, count in counts.items()}


def _bytes(values: int, bits: int) -> int:
    return ceil(values * bits / 8)
