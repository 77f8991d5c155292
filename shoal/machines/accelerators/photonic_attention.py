"""Attention in light with small converters: results near zero are converted by few bits, the large ones are multiplied out.

A core is a crossbar of dot products in light (Zhu et al., Lightening-Transformer, arXiv 2305.19533): a shot gives the
sums over some wavelengths for a tile of results. HyAtten (Li, Chen, Mitra, arXiv 2501.11286) converts them by few bits
at the step of many, and has digital multipliers for those that do not fit.

What it covers: operands as whole numbers with a scale for each row and column or tile, noise of encoding and of receivers, both converters,
the queue between light and multipliers cycle by cycle, parts of tiles that are empty, laser and modulators that are on
while light waits, weights that stream from memory beside computing.
What it leaves out: conflicts of the buffer's banks, filling the pipeline, drift and its calibration. Activations are in
the buffer when an op starts and stay there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from pathlib import Path
from zlib import crc32

import numpy as np

from shoal.errors import InputError, ModelError
from shoal.machines._bill import bill
from shoal.machines._checks import check_above_zero, check_fits
from shoal.machines._described import described
from shoal.machines.accelerators._photonic_parts import (
    ENTRY_BYTES,
    Parts,
    comparator_mm2,
    laser_w,
    mac_mm2,
    registers_mm2,
    sram_mm2,
)
from shoal.machines.accelerators._photonic_values import Conversion, Sums, sums
from shoal.machines.accelerators._products import Product, product
from shoal.machines.accelerators._standing import standing_in
from shoal.machines.accelerators.contract import Array, Arrays, Call, Operand, Ran, Span

FILE = Path(__file__).with_suffix(".toml")
KINDS = ("Gemm", "MatMul")
WHERE = "photonic_attention"
SCALES = ("row", "tile")
SUM_BYTES = 4
ABOVE_ZERO = ("cores", "rows", "columns", "wavelengths", "clock_hz", "macs", "mac_every", "queue_entries", "operand_bytes",
              "buffer_bytes", "memory_bytes", "memory_bytes_per_s", "detector_w", "laser_percent")  # fmt: skip


@dataclass(frozen=True)
class PhotonicAttention:
    """Its figures are those of `photonic_attention.toml`, with their sources.

    With `low_bits` equal to `high_bits` it is Lightening-Transformer's core: no comparators, no multipliers, no queue.

    Raises:
        InputError: a size or rate that is not above zero, more bits for small results than for all, or negative noise.
    """

    cores: int = described(FILE, "cores")  # take shots together
    rows: int = described(FILE, "rows")  # results of a shot, one way
    columns: int = described(FILE, "columns")  # and the other
    wavelengths: int = described(FILE, "wavelengths")  # products that a shot sums
    clock_hz: float = described(FILE, "clock_hz")  # of shots
    operand_bits: int = described(FILE, "operand_bits")
    low_bits: int = described(FILE, "low_bits")  # of the converters that are there
    high_bits: int = described(FILE, "high_bits")  # of those whose step they have
    encoding_noise: float = 0.0  # standard deviation of a sum, as a share of it
    additive_noise: float = 0.0  # standard deviation of a sum, as a share of full scale
    scale_of: str = "row"  # what shares one scale of whole operands: a "row" (or column), or all of a "tile"
    macs: int = described(FILE, "macs")  # digital multiply-adds of a core
    mac_every: int = described(FILE, "mac_every")  # shots in one cycle of theirs
    queue_entries: int = described(FILE, "queue_entries")  # of a core
    operand_bytes: int = described(FILE, "operand_bytes")  # of a core, in front of its modulators
    buffer_bytes: int = described(FILE, "buffer_bytes")
    memory_bytes: int = described(FILE, "memory_bytes")
    memory_bytes_per_s: float = described(FILE, "memory_bytes_per_s")
    detector_w: float = described(FILE, "detector_w")  # light that a detector can tell from none
    modulator_loss_mdb: int = described(FILE, "modulator_loss_mdb")  # thousandths of a dB
    filter_loss_mdb: int = described(FILE, "filter_loss_mdb")
    splitter_loss_mdb: int = described(FILE, "splitter_loss_mdb")
    shifter_loss_mdb: int = described(FILE, "shifter_loss_mdb")
    coupler_loss_mdb: int = described(FILE, "coupler_loss_mdb")
    laser_percent: int = described(FILE, "laser_percent")  # of its power that is light
    start_s: float = described(FILE, "start_s")  # of an op
    static_w: float = described(FILE, "static_w")  # of all but devices for light
    devices: str = "lightening"  # whose modulators, receivers and their drivers: "lightening" or "albireo"
    adc: str = "survey"  # whose converters: "survey" or "lightening"
    adc_energy_exponent: float = 0.0  # of two, for each bit from eight; 0: the table's row of each width
    adc_area_exponent: float = 0.0  # likewise
    seed: int = 0  # of the noise

    def __post_init__(self) -> None:
        check_above_zero(self, ABOVE_ZERO, WHERE)
        if not 2 <= self.low_bits <= self.high_bits:
            raise InputError("converters of small results have no more bits than all results need", where=WHERE,
                             needed=f"low_bits from 2 to {self.high_bits}", had=str(self.low_bits))  # fmt: skip
        if self.operand_bits < 2:
            raise InputError("operands without a value beside their sign", where=WHERE, needed="2 bits",
                             had=str(self.operand_bits))  # fmt: skip
        for name in ("encoding_noise", "additive_noise"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} {getattr(self, name)}", where=WHERE, needed="zero or more")
        if self.scale_of not in SCALES:
            raise InputError(f"no scale of a '{self.scale_of}'", where=WHERE, needed=" or ".join(SCALES))
        _ = self._parts  # which refuses unknown ones

    def compiled(self, call: Call) -> Product:
        """See `Accelerator.compiled`."""
        if call.kind not in KINDS:
            raise ModelError(
                f"no unit for '{call.kind}'", where=f"{WHERE}, op '{call.name}'", needed=", ".join(KINDS)
            )
        found = product(call, WHERE)
        for each in call.inputs:
            if each is not None:
                self._check_fits(each)
        return found

    def run(self, task: Product, data: Arrays | None = None) -> Ran:
        """See `Accelerator.run`."""
        given = standing_in(task.call) if data is None else data
        found = self.sums(task, given)
        return replace(self.taken(task, found.highs), outputs=task.finished(found.values, given))

    def sums(self, task: Product, data: Arrays) -> Sums:
        """What light and multipliers make of the operands."""
        seed = (self.seed, crc32(task.call.name.encode()))
        return sums(task.left(data), task.right(data), (self.rows, self.columns), self.conversion, seed)

    def taken(self, task: Product, highs: Array) -> Ran:
        """What a product takes of which so many results are large; it gives no values.

        Args:
            task: the product.
            highs: large results of each shot, shape (tiles, shots of a tile).
        """
        from shoal.machines.accelerators._photonic_queue import played

        queue = played(self._together(highs), self.wavelengths, self.macs * self.cores, self.mac_every,
                       self.queue_entries * self.cores)  # fmt: skip
        computing, light, stalls, busy, longest = (int(each) for each in queue)
        port = ceil(self._streamed_bytes(task) / self.memory_bytes_per_s * self.clock_hz)
        cycles = max(computing, port)
        seconds = cycles / self.clock_hz + self.start_s
        counters = {**self._counters(task, highs, seconds), "laser": self.cores * seconds}
        prices = {
            **self._parts.prices(self.operand_bits, self.low_bits),
            "laser": (),
        }  # of its budget, not the table
        joules = bill(counters, prices, self.static_w, seconds) | {"laser": counters["laser"] * self.laser_w}
        name = task.call.name
        spans = (Span("light", f"{name}, waited {stalls}", 0, light),
                 Span("multipliers", f"{name}, at most {longest} in the queue", 0, busy * self.mac_every),
                 Span("port", name, 0, port))  # fmt: skip
        return Ran({}, cycles, seconds, joules, counters, spans)

    @property
    def conversion(self) -> Conversion:
        """How sums become numbers."""
        return Conversion(self.operand_bits, self.low_bits, self.high_bits, self.wavelengths, self.encoding_noise,
                          self.additive_noise, self.scale_of)  # fmt: skip

    @property
    def laser_w(self) -> float:
        """Of one core, from its supply."""
        losses = {name: getattr(self, f"{name}_loss_mdb") for name in
                  ("modulator", "filter", "splitter", "shifter", "coupler")}  # fmt: skip
        return laser_w(self.rows * self.columns, max(self.rows, self.columns), 2**self.high_bits, self.detector_w,
                       losses, self.laser_percent / 100)  # fmt: skip

    @property
    def core_mm2(self) -> Mapping[str, float]:
        """What a core occupies, by component."""
        engines, modulators, parts = self.rows * self.columns, self._modulators, self._parts
        found = {
            "dac": modulators * parts.device_mm2("dac"),
            "modulator": modulators * parts.device_mm2("modulator"),
            "engine": engines * (parts.device_mm2("engine") + parts.device_mm2("amplifier")),
            "laser": parts.device_mm2("laser"),
            "adc": engines * parts.conversion_mm2(self.low_bits),
            "operand": sram_mm2(self.operand_bytes),
        }
        if self.conversion.split:
            found["comparator"] = 2 * engines * comparator_mm2()
            found["mac"] = self.macs * mac_mm2() + registers_mm2(self._modulators * self.operand_bits)
            found["queue"] = sram_mm2(self.queue_entries * ENTRY_BYTES)
        return found

    @property
    def area_mm2(self) -> float:
        """All cores and the buffer."""
        return self.cores * sum(self.core_mm2.values()) + sram_mm2(self.buffer_bytes)

    def results(self, task: Product) -> int:
        """Sums over one shot that a product asks for; empty places of tiles do not count."""
        return task.batch * task.rows * task.columns * ceil(task.inner / self.wavelengths)

    @cached_property
    def _parts(self) -> Parts:
        return Parts(self.devices, self.adc, self.adc_energy_exponent, self.adc_area_exponent)

    @property
    def _modulators(self) -> int:
        return (self.rows + self.columns) * self.wavelengths

    def _together(self, highs: Array) -> Array:
        """Large results of each step, in which every core takes a shot of a tile of its own."""
        tiles, shots = highs.shape
        idle = -tiles % self.cores
        dealt: Array = np.pad(highs, ((0, idle), (0, 0))).reshape(-1, self.cores, shots)
        steps: Array = dealt.sum(1, dtype=np.int64).reshape(-1)
        return steps

    def _counters(self, task: Product, highs: Array, seconds: float) -> dict[str, float]:
        """Events. Cores work on whole tiles; what is on, is on in all cores for as long as the op takes.

        The buffer is read for all cores at once: left operands once, right ones once if half of a core's own memory
        holds them, else once for each row of tiles.
        """
        left, right = self._operands_bytes(task)
        again = 1 if right / task.batch <= self.operand_bytes / 2 else ceil(task.rows / self.rows)
        shots, large, engines = highs.size, int(highs.sum()), self.rows * self.columns
        on_ns = self.cores * seconds * 1e9
        symbols = float(shots * self._modulators)
        found = {
            "dac": symbols,
            "modulator": symbols,
            "modulators_ns": on_ns * self._modulators,
            "receiver": float(shots * engines),
            "receivers_ns": on_ns * engines,
            "adc": float(shots * engines - large),
            "sum": float(shots * engines),
            "operand": symbols * self._operand_bytes,
            "buffer": left + right * again + task.batch * task.rows * task.columns * SUM_BYTES,
            "dram": self._streamed_bytes(task),
        }
        if self.conversion.split:
            found["comparator"] = 2.0 * shots * engines
            found["mac"] = float(large * self.wavelengths)
            found["queue"] = float(large)
            read = np.minimum(2 * highs, self.rows + self.columns).sum()  # rows and columns, each once a shot
            found["operand"] += float(read) * self.wavelengths * self._operand_bytes
        return found

    @property
    def _operand_bytes(self) -> float:
        return self.operand_bits / 8

    def _operands_bytes(self, task: Product) -> tuple[float, float]:
        return (task.batch * task.rows * task.inner * self._operand_bytes,
                task.batch * task.inner * task.columns * self._operand_bytes)  # fmt: skip

    def _streamed_bytes(self, task: Product) -> float:
        """Weights do not stay: they come once, or once for each row of tiles if half of the buffer cannot hold them."""
        streamed = 0.0
        for each, size_bytes in zip(task.call.inputs, self._operands_bytes(task), strict=False):
            if each is not None and each.constant:
                again = 1 if size_bytes <= self.buffer_bytes / 2 else ceil(task.rows / self.rows)
                streamed += size_bytes * again
        return streamed

    def _check_fits(self, operand: Operand) -> None:
        """Weights have to fit into memory, what is made while running into the buffer."""
        had = self.memory_bytes if operand.constant else self.buffer_bytes
        needed = ceil(operand.elements * self._operand_bytes)
        place = f"into the machine's {'memory' if operand.constant else 'buffer'}"
        check_fits(operand.name, needed, had, WHERE, place=place)
