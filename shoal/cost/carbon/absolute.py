"""Kilograms of CO2e: what making a device emitted, and what running it does.

Embodied carbon by die area, memory and storage as in Gupta et al., "ACT: Designing sustainable computer systems with
an architectural carbon modeling tool", ISCA 2022; a figure for the whole device replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from shoal.errors import FleetError
from shoal.fleet import Device, Lifecycle


@dataclass(frozen=True)
class Factor:
    """What a unit of something emits while it is made."""

    value: float
    low: float
    high: float
    source: str


FACTORS = MappingProxyType(
    {
        "die": Factor(0.015, 0.0075, 0.0225,
                      "kg/mm²; assumed 1.5 kg/cm² ± 50 %, which spans 28 nm (1.3) to 7 nm (2.2) by ACT's tables with "
                      "0.5 kg/kWh in the fab and a yield of 0.875"),
        "memory": Factor(0.065e-9, 0.048e-9, 0.23e-9,
                         "kg/B; ACT, table 1: DDR4 of 10 nm; LPDDR4 to DDR3 of 30 nm"),
        "storage": Factor(0.0107e-9, 0.0056e-9, 0.031e-9,
                          "kg/B; ACT, table 1: Western Digital 2019; 1z TLC to NAND of 30 nm"),
        "packages": Factor(0.15, 0.075, 0.3, "kg each; ACT: 0.15 kg a package, here ± a factor of two"),
    }
)  # fmt: skip


def amounts(device: Device) -> Mapping[str, float]:
    """How much of each of FACTORS a device without a figure for the whole is made of: mm², bytes, pieces.

    Raises:
        FleetError: it does not say.
    """
    life = lifecycle(device)
    if life.die_mm2 is None:
        raise FleetError("its embodied carbon is not stated", where=f"devices.{device.name}",
                         needed="carbon, or lifecycle.die_area", hint='carbon = "20 kg"')  # fmt: skip
    packages = 2 + (life.storage_bytes > 0)  # processor, memory, storage
    return {"die": life.die_mm2, "memory": device.memory_bytes, "storage": life.storage_bytes, "packages": packages}


def embodied_parts_kg(device: Device) -> Mapping[str, float]:
    """What its making emitted, by FACTORS; a figure for the whole is one part.

    Raises:
        FleetError: it does not say.
    """
    if device.carbon_kg is not None:
        return {"stated": device.carbon_kg}
    return {key: FACTORS[key].value * amount for key, amount in amounts(device).items()}


def embodied_kg(device: Device) -> float:
    """What its making emitted.

    Raises:
        FleetError: it does not say.
    """
    return sum(embodied_parts_kg(device).values())


def operational_kg(energy_j: float, life: Lifecycle) -> float:
    """What the electricity for `energy_j` at the device emits, its site's share included."""
    return energy_j * life.grid_kg_per_j * life.pue


def amortised_kg(device: Device, busy_s: float) -> float:
    """The share of its making that falls on `busy_s` seconds, of all those in which it will ever work.

    Raises:
        FleetError: it does not say.
    """
    life = lifecycle(device)
    return embodied_kg(device) * busy_s / (life.lifetime_s * life.utilisation)


def power_w(device: Device, utilisation: float = 1.0) -> float:
    """Mean power of a device whose units are busy for so much of the time."""
    return device.idle_w + utilisation * sum(unit.busy_w for unit in device.units)


def lifecycle(device: Device) -> Lifecycle:
    """Its life.

    Raises:
        FleetError: nothing is told of it.
    """
    if device.lifecycle is None:
        raise FleetError("nothing is told of its life", where=f"devices.{device.name}",
                         needed="lifetime and grid under lifecycle",
                         hint='lifecycle = { lifetime = "5 years", grid = "400 g/kWh" }')  # fmt: skip
    return device.lifecycle
