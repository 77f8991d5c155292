"""What plans need of a fleet's carbon, as rates."""

from __future__ import annotations

from shoal.cost.carbon.absolute import amortised_kg, lifecycle, operational_kg, power_w
from shoal.cost.carbon.draws import F64, Draws, band, certain
from shoal.errors import FleetError
from shoal.fleet import Device, Fleet
from shoal.record import CarbonRates

SAMPLES = Draws(count=1000)  # enough for two digits of a band; taken once for each plan that is weighed


def carbon_rates(fleet: Fleet) -> CarbonRates | None:
    """A second of each device's making and a joule of each one's electricity; None if a device tells too little."""
    try:
        lives = {device.name: lifecycle(device) for device in fleet.devices}
        return CarbonRates(
            embodied_kg_per_s={device.name: amortised_kg(device, 1.0) for device in fleet.devices},
            operational_kg_per_j={name: operational_kg(1.0, life) for name, life in lives.items()},
            full_kg_per_s=sum(operational_kg(power_w(device), lives[device.name]) for device in fleet.devices),
            embodied_bands={each.name: band(_embodied(each)) for each in fleet.devices if not certain(each)},
            operational_bands={each.name: band(_operational(each)) for each in fleet.devices if not certain(each)},
        )
    except FleetError:
        return None


def _embodied(device: Device) -> F64:
    life = lifecycle(device)
    works_s = SAMPLES.of(device, "lifetime", life.lifetime_s) * SAMPLES.of(device, "utilisation", life.utilisation)
    return SAMPLES.embodied_kg(device) / works_s


def _operational(device: Device) -> F64:
    life = lifecycle(device)
    return SAMPLES.of(device, "grid", life.grid_kg_per_j) * life.pue
