"""Carbon dioxide of one item: the making of the devices that it occupies, and the electricity that they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shoal.cost.carbon import weighed
from shoal.errors import InputError, PlanError
from shoal.record import CarbonRates, Prediction, Run


@dataclass(frozen=True)
class Carbon:
    """Carbon dioxide of one item, over what the whole fleet emits in a second of full work.

    A device in use is occupied for the period between two items, and that share of its working life is charged to the
    item. `alpha` is the share of the making in the whole fleet's footprint; that of the kilograms stated if not given.
    """

    alpha: float | None = None  # 0: only electricity counts; 1: only the making

    unit = "s of the fleet/item"

    def __post_init__(self) -> None:
        if self.alpha is not None:
            weighed(self.alpha, 0.0, 0.0)  # refuses what is no share

    def predicted(self, prediction: Prediction) -> float:
        """Its value in a plan's estimate; smaller is better."""
        return self._value(prediction.carbon, prediction.period_s, prediction.energy_j)

    def obtained(self, run: Run) -> float:
        """Its value in a run; smaller is better."""
        energy_j = {name: device.energy_j / run.items for name, device in run.devices.items()}
        return self._value(run.prediction.carbon if run.prediction else None, run.period_s, energy_j)

    def _value(self, rates: CarbonRates | None, period_s: float, energy_j: Mapping[str, float]) -> float:
        if rates is None:
            raise PlanError(
                "a device of the fleet does not say what its making and its electricity emit",
                needed="of every device carbon or lifecycle.die_area, and lifecycle with lifetime and grid",
                hint='carbon = "20 kg" and lifecycle = { lifetime = "5 years", grid = "400 g/kWh" }',
            )
        embodied_kg = period_s * sum(rates.embodied_kg_per_s[name] for name in energy_j)
        operational_kg = sum(rates.operational_kg_per_j[name] * joules for name, joules in energy_j.items())
        making_kg_per_s, running_kg_per_s = sum(rates.embodied_kg_per_s.values()), rates.full_kg_per_s
        if not (making_kg_per_s > 0 and running_kg_per_s > 0):
            raise InputError("the fleet emits nothing to be made, or nothing to be run", needed="both above 0 kg")
        alpha = making_kg_per_s / (making_kg_per_s + running_kg_per_s) if self.alpha is None else self.alpha
        return weighed(alpha, embodied_kg / making_kg_per_s, operational_kg / running_kg_per_s)
