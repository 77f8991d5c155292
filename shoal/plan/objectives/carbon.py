"""Carbon dioxide of one item: the making of the devices that it occupies, and the electricity that they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shoal.cost.carbon import weighed
from shoal.errors import InputError, PlanError
from shoal.record import CarbonRates, Prediction, Run


@dataclass(frozen=True)
class Carbon:
    """Carbon dioxide of one item: a device in use is occupied for the period between two, and that share of its making counts.

    With `alpha`, the share that the making is to have in the whole fleet's footprint, both parts are counted over what
    the whole fleet emits in a second of full work; without it, in the kilograms stated.
    """

    alpha: float | None = None  # 0: only electricity counts; 1: only the making; none: kilograms

    figure = "energy_j"

    def __post_init__(self) -> None:
        if self.alpha is not None:
            weighed(self.alpha, 0.0, 0.0)  # refuses what is no share

    @property
    def unit(self) -> str:
        """Of its values."""
        return "kg/item" if self.alpha is None else "fleet-s/item"

    def predicted(self, prediction: Prediction) -> float:
        """Its value in a plan's estimate; smaller is better.

        Raises:
            PlanError: the fleet does not say what it emits.
        """
        if prediction.carbon is None:
            raise PlanError(
                "a device of the fleet does not say what its making and its electricity emit",
                needed="of every device carbon or lifecycle.die_area, and lifecycle with lifetime and grid",
                hint='carbon = "20 kg" and lifecycle = { lifetime = "5 years", grid = "400 g/kWh" }',
            )
        return self._value(prediction.carbon, prediction.period_s, prediction.energy_j)

    def obtained(self, run: Run) -> float | None:
        """Its value in a run; None: the run cannot tell."""
        rates = run.prediction.carbon if run.prediction else None
        if rates is None or not run.devices or not run.period_s:
            return None
        energy_j = {name: device.energy_j / run.items for name, device in run.devices.items()}
        return self._value(rates, run.period_s, energy_j)

    def _value(self, rates: CarbonRates, period_s: float, energy_j: Mapping[str, float]) -> float:
        embodied_kg = sum(rates.making_kg(period_s, energy_j).values())
        operational_kg = sum(rates.running_kg(energy_j).values())
        if self.alpha is None:
            return embodied_kg + operational_kg
        making_kg_per_s, running_kg_per_s = sum(rates.embodied_kg_per_s.values()), rates.full_kg_per_s
        if not (making_kg_per_s > 0 and running_kg_per_s > 0):
            raise InputError("the fleet emits nothing to be made, or nothing to be run", needed="both above 0 kg")
        return weighed(self.alpha, embodied_kg / making_kg_per_s, operational_kg / running_kg_per_s)
