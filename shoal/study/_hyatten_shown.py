"""Chips of equal area, as findings, tables and charts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from shoal.machines.accelerators import Array
from shoal.machines.accelerators.photonic_attention import PhotonicAttention
from shoal.study import Chart, Finding, Note, Series, Shown, Table
from shoal.study._hyatten_area import Attention, Spent, fitted
from shoal.study.contract import Cell

SHARES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)  # of large results, drawn
EXPONENTS = (0.5, 1.0, 1.5, 2.0)  # of two, a bit of a converter
PUBLISHED_GAIN = 9.8  # of performance an area
PUBLISHED_TOPS_W = 42.0
Gained = tuple[
    int, float, float
]  # multipliers a core; performance and energy efficiency, times those of eight bits


CHANGES: Mapping[str, Mapping[str, str | float]] = {
    "as it is": {},
    "one scale a tile": {"scale_of": "tile"},
    "converters: both by 2^bits": {"adc_area_exponent": 1.0, "adc_energy_exponent": 1.0},
    "both by 2^bits, one scale a tile": {"adc_area_exponent": 1.0, "adc_energy_exponent": 1.0, "scale_of": "tile"},
    "converters of Lightening-Transformer: energy by 2^(bits / 4), area by 2^bits":
        {"adc": "lightening", "adc_area_exponent": 1.0, "adc_energy_exponent": 0.25},
    "devices of Albireo": {"devices": "albireo"},
    "devices of Albireo, both by 2^bits, one scale a tile":
        {"devices": "albireo", "adc_area_exponent": 1.0, "adc_energy_exponent": 1.0, "scale_of": "tile"},
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Chips:
    """Chips of equal area with the same work."""

    work: Attention
    machine: PhotonicAttention
    macs: Sequence[int]
    seed: int

    def headline(self) -> Iterator[Shown]:
        """The published split against eight bits and against digital squares, with what keeps it from more."""
        macs, spent = self._best(self.machine, self._highs)
        made = replace(self.machine, macs=macs)
        digital, joules = self.work.digital(), self._energy_uj(made)
        for key, gain, free, share in zip(
            ("perf", "efficiency"), spent.gains(self._whole), self._free, ("area", "energy"), strict=True
        ):
            yield Finding(key, gain, "simulated",
                          why=f"{macs} multipliers a core; converters of 8 bits take {100 * (1 - 1 / free):.0f} % of the {share}, so "
                              f"that free ones, with nothing large, would give {free:.2f} ×")  # fmt: skip
        taken = _taken(joules, spent.macs)
        for key, gain, why in zip(("digital_perf", "digital_efficiency"), spent.gains(digital),
                                  ("", f"a multiply-add takes {_pj(digital):.2g} pJ there; here {taken}"), strict=True):  # fmt: skip
            yield Finding(key, gain, "simulated", why=why)
        yield Finding("tops_w", _tops_w(spent), "simulated",
                      why=f"with its buffer, without what is off the die; a multiply-add may take {2 / PUBLISHED_TOPS_W:.2g} pJ for the "
                          f"published figure, it takes {taken}")  # fmt: skip
        large = self.work.drawn(self.machine, 1.0, self.seed)
        yield Finding("all_large", self._best(self.machine, large)[1].gains(self._whole)[0], "simulated")
        chips = {"converters of 8 bits": (replace(made, low_bits=8), self._whole), "split at 4 bits": (made, spent)}
        rows: list[tuple[Cell, ...]] = [(name, fitted(each, self.work.area_mm2).cores, sum(each.core_mm2.values()), *_figures(found))
                for name, (each, found) in chips.items()]  # fmt: skip
        yield Table(f"Chips of {self.work.area_mm2:g} mm²", ("chip", "cores", "mm² a core", "µs", "µJ", "TOPS/W", "waiting, %"),
                    [*rows, ("digital squares of 32 × 32", None, None, *_figures(digital))],
                    note="TOPS: two operations a multiply-add, on every chip")  # fmt: skip
        yield _parts({name: each.core_mm2 for name, (each, _) in chips.items()}, "Area of a core", "mm²")
        yield _parts(
            {name: self._energy_uj(each) for name, (each, _) in chips.items()}, "Energy of attention", "µJ"
        )

    def sensitivity(self) -> Iterator[Shown]:
        """One assumption after another, changed in both chips; those that are numbers as curves too."""
        rows = [(name, *self._changed(change)) for name, change in CHANGES.items()]
        area = {each: self._changed({"adc_area_exponent": each}) for each in EXPONENTS}
        energy = {each: self._changed({"adc_energy_exponent": each}) for each in EXPONENTS}
        shares = {100 * each: self._gained(*self._best(self.machine, self.work.drawn(self.machine, each, self.seed)))
                  for each in SHARES}  # fmt: skip
        macs = {
            each: self._gained(each, self.work.spent(replace(self.machine, macs=each), self._highs))
            for each in self.macs
        }
        for words, swept in (("converters: area by 2^({:g} bits)", area), ("converters: energy by 2^({:g} bits)", energy),
                             ("{:g} % of results large, drawn", shares), ("{:g} multipliers", macs)):  # fmt: skip
            rows += [(words.format(at), *gained) for at, gained in swept.items()]
        yield Table("What decides: split at 4 bits over converters of 8 bits, equal area",
                    ("assumption", "multipliers a core", "performance, ×", "energy efficiency, ×"), rows)  # fmt: skip
        yield Chart("What decides: how converters grow with bits", "exponent of two, a bit", "gain over converters of 8 bits, ×",
                    (Series("of area: performance", list(area), [each[1] for each in area.values()]),
                     Series("of energy: energy efficiency", list(energy), [each[2] for each in energy.values()])),
                    note="a chip has whole cores, and a product whole shots: performance goes in steps")  # fmt: skip
        yield _gains("What decides: large results", "results that are large, drawn, %", shares)
        yield _gains("What decides: multipliers", "multipliers a core", macs, log_x=True)

    def _changed(self, change: Mapping[str, str | float]) -> Gained:
        """Multipliers and gains under another assumption; the same operands unless their scales change."""
        machine = replace(self.machine, **change)  # type: ignore[arg-type]
        macs, spent = self._best(machine, self.work.highs(machine) if "scale_of" in change else self._highs)
        return macs, *spent.gains(self._without_split(machine))

    def _gained(self, macs: int, spent: Spent) -> Gained:
        return macs, *spent.gains(self._whole)

    def pareto(self, bits: Sequence[int], wavelengths: Sequence[int]) -> Iterator[Shown]:
        """Every split with every number of wavelengths; those that no other beats in both."""
        found: dict[tuple[int, int, int], tuple[float, float]] = {}
        for each in wavelengths:
            for low in bits:
                machine = replace(self.machine, low_bits=low, wavelengths=each)
                highs = self.work.highs(machine)
                for macs in self.macs:
                    found[low, macs, each] = self.work.spent(replace(machine, macs=macs), highs).gains(self._whole)
        unlike = {
            tuple(round(gain, 3) for gain in gains): key for key, gains in reversed(found.items())
        }  # fewest multipliers
        kept = [key for gains, key in unlike.items() if not any(_beats(other, gains) for other in unlike)]
        fixed = [key for key in found if key[2] == self.machine.wavelengths] or list(found)
        best = max(fixed, key=lambda key: found[key])
        why = f"{best[0]} bits, {best[1]} multipliers, {best[2]} wavelengths as in the chip of 8 bits"
        yield Finding("best_perf", found[best][0], "simulated", len(found), why=why)
        yield Finding("best_efficiency", found[best][1], "simulated", len(found), why=why)
        yield Table("No other of these is better in both", ("bits", "multipliers a core", "wavelengths", "performance, ×",
                    "energy efficiency, ×"), [(*key, *found[key]) for key in sorted(kept)],
                    note=f"of {len(found)}; over converters of 8 bits with {self.machine.wavelengths} wavelengths, equal area. "
                         "More wavelengths are more work a conversion in either chip, and a coarser step")  # fmt: skip
        series = tuple(Series(f"{low} bits", [found[key][0] for key in found if key[0] == low],
                              [found[key][1] for key in found if key[0] == low]) for low in bits)  # fmt: skip
        yield Chart("Splits, multipliers and wavelengths", "performance an area, ×", "energy efficiency an area, ×", series,
                    kind="points")  # fmt: skip
        yield self._bound()

    def _best(self, machine: PhotonicAttention, highs: Sequence[Array]) -> tuple[int, Spent]:
        return self.work.best(machine, highs, self.macs)

    @cached_property
    def _highs(self) -> list[Array]:
        return self.work.highs(self.machine)

    @cached_property
    def _whole(self) -> Spent:
        return self._without_split(self.machine)

    def _without_split(self, machine: PhotonicAttention) -> Spent:
        """Converters of all bits, no large results."""
        whole = replace(machine, low_bits=machine.high_bits)
        return self.work.spent(whole, self.work.drawn(whole, 0.0, self.seed))

    def _bound(self) -> Note:
        """What free converters would gain, and what the published gain would take."""
        area = self._eight.core_mm2
        joules = self._energy_uj(self._eight)
        rest = sum(area.values()) - area["adc"]
        return Note(f"Converters without area or energy, and no large results, would make {self._free[0]:.2f} of performance an "
                    f"area and {self._free[1]:.2f} of energy efficiency: in a core of eight bits they occupy "
                    f"{100 * area['adc'] / sum(area.values()):.0f} % of the area and take "
                    f"{100 * joules['adc'] / sum(joules.values()):.0f} % of the energy of attention. Drivers occupy "
                    f"{100 * area['dac'] / sum(area.values()):.0f} % and take {100 * joules['dac'] / sum(joules.values()):.0f} %. "
                    f"For {PUBLISHED_GAIN:g} × converters of eight bits have to occupy at least "
                    f"{100 * (1 - 1 / PUBLISHED_GAIN):.0f} % of a core, {(PUBLISHED_GAIN - 1) * rest / area['adc']:.0f} times what the "
                    "table has, whatever the exponents, the share of large results and the multipliers.")  # fmt: skip

    @property
    def _eight(self) -> PhotonicAttention:
        return replace(self.machine, low_bits=self.machine.high_bits)

    @cached_property
    def _free(self) -> tuple[float, float]:
        """Gains in performance and efficiency if converters took no area and no energy, and nothing were large."""
        shares = [
            parts["adc"] / sum(parts.values()) for parts in (self._eight.core_mm2, self._energy_uj(self._eight))
        ]
        return 1 / (1 - shares[0]), 1 / (1 - shares[1])

    def _energy_uj(self, machine: PhotonicAttention) -> dict[str, float]:
        made = fitted(machine, self.work.area_mm2)
        highs = self._highs if made.conversion.split else self.work.drawn(made, 0.0, self.seed)
        found: dict[str, float] = {}
        for task, each in zip(self.work.tasks(made), highs, strict=True):
            for name, joules in made.taken(task, each).energy_j.items():
                found[name] = found.get(name, 0.0) + joules * 1e6
        return found


def _figures(spent: Spent) -> tuple[float, float, float, float]:
    return spent.seconds * 1e6, spent.joules * 1e6, _tops_w(spent), 100 * spent.waited


def _tops_w(spent: Spent) -> float:
    return 2 * spent.macs / spent.joules * 1e-12


def _pj(spent: Spent) -> float:
    return spent.joules / spent.macs * 1e12


def _taken(joules_uj: Mapping[str, float], macs: int) -> str:
    """Of a multiply-add, component by component, the largest first."""
    ordered = sorted(joules_uj.items(), key=lambda each: -each[1])[:4]
    parts = ", ".join(f"{name} {uj / macs * 1e6:.2g}" for name, uj in ordered)
    return f"{sum(joules_uj.values()) / macs * 1e6:.2g} pJ ({parts})"


def _gains(
    title: str, axis: str, found: Mapping[int, Gained] | Mapping[float, Gained], log_x: bool = False
) -> Chart:
    series = [Series(name, list(found), [each[at] for each in found.values()])
              for at, name in ((1, "performance an area"), (2, "energy efficiency an area"))]  # fmt: skip
    return Chart(title, axis, "gain over converters of 8 bits, ×", tuple(series), log_x=log_x)


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine >= its for mine, its in zip(one, other, strict=True))


def _parts(chips: Mapping[str, Mapping[str, float]], title: str, unit: str) -> Chart:
    names = list(dict.fromkeys(part for parts in chips.values() for part, value in parts.items() if value))
    series = tuple(Series(chip, names, [parts.get(name, 0.0) for name in names]) for chip, parts in chips.items())
    return Chart(title, "component", unit, series, kind="bars")
