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


@dataclass(frozen=True, eq=False)
class Chips:
    """Chips of equal area with the same work."""

    work: Attention
    machine: PhotonicAttention
    macs: Sequence[int]
    seed: int

    def headline(self) -> Iterator[Shown]:
        """The published split against eight bits and against digital squares."""
        macs, spent = self._best(self.machine, self._highs)
        digital = self.work.digital()
        perf, efficiency = spent.gains(self._whole)
        why = f"{macs} multipliers a core"
        yield Finding("perf", perf, "simulated", why=why)
        yield Finding("efficiency", efficiency, "simulated", why=why)
        for key, gain in zip(("digital_perf", "digital_efficiency"), spent.gains(digital), strict=True):
            yield Finding(key, gain, "simulated")
        yield Finding(
            "tops_w",
            2 * spent.macs / spent.joules * 1e-12,
            "simulated",
            why="with its buffer, without what is off the die",
        )
        large = self.work.drawn(self.machine, 1.0, self.seed)
        yield Finding("all_large", self._best(self.machine, large)[1].gains(self._whole)[0], "simulated")
        made = replace(self.machine, macs=macs)
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

    def sensitivity(self) -> Table:
        """One assumption after another, changed in both chips."""
        changes: dict[str, dict[str, object]] = {
            "as it is": {},
            "one scale a tile": {"scale_of": "tile"},
            **{f"converters: area by 2^({each:g} bits)": {"adc_area_exponent": each} for each in (0.5, 1.0)},
            **{f"converters: energy by 2^({each:g} bits)": {"adc_energy_exponent": each} for each in (0.5, 1.0)},
            "both by 2^bits": {"adc_area_exponent": 1.0, "adc_energy_exponent": 1.0},
            "both by 2^bits, one scale a tile": {"adc_area_exponent": 1.0, "adc_energy_exponent": 1.0, "scale_of": "tile"},
            "converters of Lightening-Transformer: energy by 2^(bits / 4), area by 2^bits":
                {"adc": "lightening", "adc_area_exponent": 1.0, "adc_energy_exponent": 0.25},
            "devices of Albireo": {"devices": "albireo"},
            "devices of Albireo, both by 2^bits, one scale a tile":
                {"devices": "albireo", "adc_area_exponent": 1.0, "adc_energy_exponent": 1.0, "scale_of": "tile"},
        }  # fmt: skip
        rows: list[tuple[str, int, float, float]] = []
        for name, change in changes.items():
            machine = replace(self.machine, **change)  # type: ignore[arg-type]
            whole = self._without_split(machine)
            highs = self._highs if "scale_of" not in change else self.work.highs(machine)
            macs, spent = self._best(machine, highs)
            rows.append((name, macs, *spent.gains(whole)))
        for share in SHARES:
            macs, spent = self._best(self.machine, self.work.drawn(self.machine, share, self.seed))
            rows.append((f"{100 * share:g} % of results large, drawn", macs, *spent.gains(self._whole)))
        for macs in self.macs:
            spent = self.work.spent(replace(self.machine, macs=macs), self._highs)
            rows.append((f"{macs} multipliers", macs, *spent.gains(self._whole)))
        return Table("What decides: split at 4 bits over converters of 8 bits, equal area",
                     ("assumption", "multipliers a core", "performance, ×", "energy efficiency, ×"), rows)  # fmt: skip

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
        """What free converters would gain."""
        area = replace(self.machine, low_bits=self.machine.high_bits).core_mm2
        joules = self._energy_uj(replace(self.machine, low_bits=self.machine.high_bits))
        least, spent = sum(area.values()) - area["adc"], sum(joules.values()) - joules["adc"]
        return Note(f"Converters without area or energy, and no large results, would make {sum(area.values()) / least:.2f} of "
                    f"performance an area and {sum(joules.values()) / spent:.2f} of energy efficiency: in a core of eight bits "
                    f"they occupy {100 * area['adc'] / sum(area.values()):.0f} % of the area and take "
                    f"{100 * joules['adc'] / sum(joules.values()):.0f} % of the energy of attention. Drivers occupy "
                    f"{100 * area['dac'] / sum(area.values()):.0f} % and take {100 * joules['dac'] / sum(joules.values()):.0f} %.")  # fmt: skip

    def _energy_uj(self, machine: PhotonicAttention) -> dict[str, float]:
        made = fitted(machine, self.work.area_mm2)
        highs = self._highs if made.conversion.split else self.work.drawn(made, 0.0, self.seed)
        found: dict[str, float] = {}
        for task, each in zip(self.work.tasks(made), highs, strict=True):
            for name, joules in made.taken(task, each).energy_j.items():
                found[name] = found.get(name, 0.0) + joules * 1e6
        return found


def _figures(spent: Spent) -> tuple[float, float, float, float]:
    return spent.seconds * 1e6, spent.joules * 1e6, 2 * spent.macs / spent.joules * 1e-12, 100 * spent.waited


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine >= its for mine, its in zip(one, other, strict=True))


def _parts(chips: Mapping[str, Mapping[str, float]], title: str, unit: str) -> Chart:
    names = list(dict.fromkeys(part for parts in chips.values() for part, value in parts.items() if value))
    series = tuple(Series(chip, names, [parts.get(name, 0.0) for name in names]) for chip, parts in chips.items())
    return Chart(title, "component", unit, series, kind="bars")
