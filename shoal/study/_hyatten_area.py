"""The same attention on chips of equal area: what converters of few bits gain, and what decides it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np

from shoal.machines.accelerators import Array, Call, Product
from shoal.machines.accelerators._photonic_parts import mac_mm2, sram_mm2
from shoal.machines.accelerators.photonic_attention import PhotonicAttention
from shoal.machines.accelerators.systolic import Systolic
from shoal.study._hyatten_network import names

DIGITAL_HZ = 1e9  # as the multipliers beside the light
SIDE = 32  # of a square of the digital chip
FREE = 1e18  # bytes/s of a port that never decides


@dataclass(frozen=True)
class Spent:
    """What all of attention takes on a chip."""

    seconds: float
    joules: float
    macs: int
    waited: float = 0.0  # share of the time in which no light was sent

    def gains(self, other: Spent) -> tuple[float, float]:
        """Times as fast as `other`, and times as much work a joule."""
        return other.seconds / self.seconds, other.joules / self.joules


@dataclass(frozen=True, eq=False)
class Attention:
    """Products of attention with their operands, as one batch an op."""

    calls: Mapping[str, Call]
    operands: Mapping[str, Sequence[tuple[Array, Array]]]
    area_mm2: float

    def tasks(self, machine: PhotonicAttention) -> list[Product]:
        """One an op, with all sentences in its batch."""
        found = []
        for name, pairs in self.operands.items():
            task = machine.compiled(self.calls[name])
            found.append(replace(task, batch=task.batch * len(pairs)))
        return found

    def highs(self, machine: PhotonicAttention) -> list[Array]:
        """Large results of each shot, for each of `tasks`."""
        found = []
        for name, pairs in self.operands.items():
            task, inputs = machine.compiled(self.calls[name]), names(self.calls[name])
            parts = [machine.sums(task, dict(zip(inputs, pair, strict=True))).highs for pair in pairs]
            found.append(np.concatenate(parts))
        return found

    def drawn(self, machine: PhotonicAttention, share: float, seed: int) -> list[Array]:
        """As many large results as `share` says, wherever they fall."""
        source = np.random.default_rng(seed)
        engines = machine.rows * machine.columns
        return [source.binomial(engines, share, each.shape) for each in self._shapes(machine)]

    def spent(self, machine: PhotonicAttention, highs: Iterable[Array]) -> Spent:
        """On as many cores as the area has place for."""
        made = fitted(machine, self.area_mm2)
        ran = [made.taken(task, each) for task, each in zip(self.tasks(made), highs, strict=True)]
        sent = sum(ceil(len(each) / made.cores) * each.shape[1] for each in self._shapes(made))
        cycles = sum(each.cycles for each in ran)
        return Spent(
            sum(each.seconds for each in ran), sum(each.joules for each in ran), self.macs, 1 - sent / cycles
        )

    def best(self, machine: PhotonicAttention, highs: Sequence[Array], macs: Iterable[int]) -> tuple[int, Spent]:
        """The number of multipliers with which it is fastest, and that."""
        tried = [(each, self.spent(replace(machine, macs=each), highs)) for each in macs]
        return min(tried, key=lambda found: found[1].seconds)

    def digital(self) -> Spent:
        """On squares of multiply-adds of eight bits, energy of the buffer as for light; operands are there at once."""
        square = Systolic(SIDE, SIDE, DIGITAL_HZ, memory_bytes_per_s=FREE, start_s=0.0)
        squares = int((self.area_mm2 - sram_mm2(2 * square.buffer_bytes)) / (SIDE * SIDE * mac_mm2()))
        seconds = joules = 0.0
        for name, pairs in self.operands.items():
            ran = square.run(square.compiled(self.calls[name]))
            op_s = ceil(ran.cycles * len(pairs) / squares) / DIGITAL_HZ
            seconds += op_s
            joules += (ran.energy_j["mac"] + ran.energy_j["buffer"]) * len(pairs) + square.static_w * op_s
        return Spent(seconds, joules, self.macs)

    @cached_property
    def macs(self) -> int:
        """Multiply-adds that are asked for, the same on every chip."""
        return sum(task.macs for task in self.tasks(PhotonicAttention()))

    def _shapes(self, machine: PhotonicAttention) -> list[Array]:
        return [np.zeros(_shape(task, machine), np.int64) for task in self.tasks(machine)]


def fitted(machine: PhotonicAttention, area_mm2: float) -> PhotonicAttention:
    """As many cores as an area has place for beside the buffer; nothing before the first shot."""
    cores = int((area_mm2 - sram_mm2(machine.buffer_bytes)) / sum(machine.core_mm2.values()))
    return replace(machine, cores=cores, start_s=0.0)


def _shape(task: Product, machine: PhotonicAttention) -> tuple[int, int]:
    tiles = task.batch * ceil(task.rows / machine.rows) * ceil(task.columns / machine.columns)
    return tiles, ceil(task.inner / machine.wavelengths)
