"""Figures that are not certain, as samples: the first is the stated figure, the others lie in its range."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.cost.carbon.absolute import FACTORS, amounts, lifecycle
from shoal.fleet import Device
from shoal.record import Band

F64 = NDArray[np.float64]
QUANTILES = (0.05, 0.95)


@dataclass(frozen=True)
class Draws:
    """Seeded samples, uniform over each range.

    Equal boards share what is not known: if making a Raspberry Pi emits more than stated, it does so for each of
    them, in both fleets. Likewise all devices share a factor such as kilograms per mm², and a grid of one range.
    """

    count: int = 4000
    seed: int = 0

    def of(self, device: Device, key: str, value: float) -> F64:
        """Samples of the figure `key` of a device."""
        ends = lifecycle(device).ranges.get(key, (value, value))
        whose = "any" if key == "grid" else device.board or device.name
        return self._samples(f"{whose} {key} {value} {ends}", value, *ends)

    def embodied_kg(self, device: Device) -> F64:
        """Samples of what its making emitted."""
        if device.carbon_kg is not None:
            return self.of(device, "carbon", device.carbon_kg)
        total = np.zeros(1 + self.count)
        for key, amount in amounts(device).items():
            factor = FACTORS[key]
            total += amount * self._samples(f"factor {key}", factor.value, factor.low, factor.high)
        return total

    def _samples(self, name: str, value: float, low: float, high: float) -> F64:
        source = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        return np.concatenate(([value], source.uniform(low, high, self.count)))


def band(samples: F64) -> Band:
    """Where nine tenths of the samples lie; the first, the stated figure, is none of them."""
    low, high = np.quantile(samples[1:], QUANTILES)
    return float(low), float(high)


def certain(device: Device) -> bool:
    """Whether no figure of a device has a range."""
    return device.carbon_kg is not None and not lifecycle(device).ranges
