"""What an item of a run emitted, by device: its share of the making, and the electricity; where the fleet tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shoal.record import Band, CarbonRates, Run
from shoal.report import figures
from shoal.report.charts import Chart, axis, label, layout
from shoal.report.palette import COLOURS, INK, MUTED
from shoal.report.text import in_unit

KILOGRAMS = "kg/item"
PREFIXES = ((1e-9, 1e12, "ng"), (1e-6, 1e9, "µg"), (1e-3, 1e6, "mg"), (1.0, 1e3, "g"))


@dataclass(frozen=True)
class Emitted:
    """Kilograms an item, by device."""

    rates: CarbonRates
    period_s: float
    energy_j: Mapping[str, float]  # an item

    @cached_property
    def making_kg(self) -> dict[str, float]:
        """Of the devices' making, what falls on the time between two items."""
        return self.rates.making_kg(self.period_s, self.energy_j)

    @cached_property
    def running_kg(self) -> dict[str, float]:
        """Of their electricity."""
        return self.rates.running_kg(self.energy_j)

    @property
    def parts(self) -> dict[str, tuple[dict[str, float], dict[str, Band]]]:
        """Both, with the bands of devices that give ranges."""
        making = {name: _scaled(band, self.period_s) for name, band in self.rates.embodied_bands.items()}
        running = {
            name: _scaled(self.rates.operational_bands[name], joules)
            for name, joules in self.energy_j.items()
            if name in self.rates.operational_bands
        }
        return {"making": (self.making_kg, making), "electricity": (self.running_kg, running)}

    @property
    def whole_kg(self) -> float:
        """All of it."""
        return sum(self.making_kg.values()) + sum(self.running_kg.values())

    def share_of(self, name: str) -> float:
        """What the making is of all that one device emits for an item."""
        whole_kg = self.making_kg[name] + self.running_kg[name]
        return self.making_kg[name] / whole_kg if whole_kg else 0.0

    @property
    def making_share(self) -> float:
        """What the making is of all."""
        return sum(self.making_kg.values()) / self.whole_kg


def emitted(run: Run) -> Emitted | None:
    """What an item of `run` emitted; None if the fleet does not tell, or the run ended early."""
    rates = run.prediction.carbon if run.prediction else None
    if rates is None or not run.period_s or not run.devices or len(run.latencies_s) < run.items:
        return None
    found = Emitted(rates, run.period_s, {name: each.energy_j / run.items for name, each in run.devices.items()})
    return found if found.whole_kg > 0 else None


def told(run: Run, found: Emitted) -> str:
    """The sum in words."""
    plan, how = run.prediction, figures.provenance(run, "energy_j")
    before = Emitted(found.rates, plan.period_s, plan.energy_j).whole_kg if plan else None
    return (
        f"{in_unit(found.whole_kg, KILOGRAMS)}, {found.making_share:.0%} of it for making the devices (predicted "
        f"{in_unit(before, KILOGRAMS)}). A device's making is spread over its working life and charged for the time "
        f"between two items; its joules are {how or 'derived'}. Whiskers: nine tenths of what the fleet's ranges allow."
    )


def carbon(run: Run, found: Emitted) -> Chart:
    """For each device a bar of its making and one of its electricity."""
    ends = [
        kg
        for parts, bands in found.parts.values()
        for kg in (*parts.values(), *(high for _, high in bands.values()))
    ]
    factor, unit = next(((by, unit) for limit, by, unit in PREFIXES if max(ends) < limit), (1e3, "g"))
    tones = dict(zip(found.parts, (MUTED, COLOURS[4]), strict=True))
    names = {name: f"{label(name, 20)}: {found.share_of(name):.0%} making" for name in run.devices}
    data = [_bars(part, names, tones[part], factor, *kg) for part, kg in found.parts.items()]
    frame = layout(
        90 + 56 * len(run.devices),
        barmode="group",
        bargap=0.3,
        xaxis=axis(f"CO₂e, {unit} an item", rangemode="tozero"),
        yaxis=axis(autorange="reversed"),
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return {"data": data, "layout": frame}


def _bars(
    part: str,
    names: Mapping[str, str],
    colour: str,
    factor: float,
    kg: Mapping[str, float],
    bands: Mapping[str, Band],
) -> dict[str, Any]:
    spread = {name: bands.get(name, (each, each)) for name, each in kg.items()}
    hover = [
        f"<b>{label(name)}</b>, {part}: {in_unit(each, KILOGRAMS)}<br>"
        f"{in_unit(spread[name][0], KILOGRAMS)} to {in_unit(spread[name][1], KILOGRAMS)}"
        for name, each in kg.items()
    ]
    return {
        "type": "bar",
        "orientation": "h",
        "name": part,
        "x": [factor * each for each in kg.values()],
        "y": [names[name] for name in kg],
        "hovertext": hover,
        "hoverinfo": "text",
        "marker": {"color": colour},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [factor * (spread[name][1] - each) for name, each in kg.items()],
            "arrayminus": [factor * (each - spread[name][0]) for name, each in kg.items()],
            "color": INK,
            "thickness": 1.5,
            "width": 4,
        },
    }


def _scaled(band: Band, factor: float) -> Band:
    return factor * band[0], factor * band[1]
