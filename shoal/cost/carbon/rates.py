"""What plans need of a fleet's carbon, as rates."""

from __future__ import annotations

from shoal.cost.carbon.absolute import amortised_kg, lifecycle, operational_kg, power_w
from shoal.errors import FleetError
from shoal.fleet import Fleet
from shoal.record import CarbonRates


def carbon_rates(fleet: Fleet) -> CarbonRates | None:
    """A second of each device's making and a joule of each one's electricity; None if a device tells too little."""
    try:
        lives = {device.name: lifecycle(device) for device in fleet.devices}
        return CarbonRates(
            embodied_kg_per_s={device.name: amortised_kg(device, 1.0) for device in fleet.devices},
            operational_kg_per_j={name: operational_kg(1.0, life) for name, life in lives.items()},
            full_kg_per_s=sum(operational_kg(power_w(device), lives[device.name]) for device in fleet.devices),
        )
    except FleetError:
        return None
