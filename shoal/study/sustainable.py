"""Carbon of many accelerators against that of one reconfigurable array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import isfinite
from typing import TYPE_CHECKING

from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Chart,
    Claim,
    Finding,
    Holds,
    Note,
    Series,
    Shown,
    Source,
    Table,
    words,
)

if TYPE_CHECKING:
    from shoal.cost.carbon import Design, Kernel
    from shoal.study._sustainable_kernels import Circuits, Terms

ALPHAS = tuple(index / 10 for index in range(11))
JUDGED = (0.5, 0.6, 0.7, 0.8, 0.9)  # shares of embodied carbon
FEW, DOZEN = 3, 15  # a handful to a dozen, generously
BUFFERS_KIB = (0, 2, 8, 32)
RATIOS = ((0.5, 1.5), (2.0, 1.5), (8.0, 2.2), (8.0, 6.0))  # of areas and of energies, on which formulas are tried
FLEET = """
    [devices.new]
    board = "jetson-orin-nano-8gb"
    carbon = "60 kg"
    lifecycle = { lifetime = "5 years", grid = "400 g/kWh", utilisation = 0.5 }
    [devices.used]
    board = "laptop-i7-1165g7"
    carbon = "6 kg"
    lifecycle = { lifetime = "3 years", grid = "400 g/kWh", utilisation = 0.5 }
    [devices.small]
    board = "raspberry-pi-4b-4gb"
    carbon = "2 kg"
    lifecycle = { lifetime = "3 years", grid = "400 g/kWh", utilisation = 0.5 }
    [default_link]
    bandwidth = "1 Gbit/s"
    latency = "0.5 ms"
"""  # making: assumed; of used machines what their second life added


@dataclass(frozen=True)
class Sustainable:
    """Each kernel becomes a circuit of its own, a unit for each node of its graph, and is mapped to one array.

    Area and energy of both are counts of cells and events times the same tables at 45 nm. Accelerators and the array
    have a buffer of the same size; the array pays for being told each kernel, both for what leaks while they run,
    and accelerators that are switched off leak nothing.
    The carbon is a ratio: α times that of areas, the rest times that of energies (fixed work) or powers (fixed time),
    with as many iterations of each kernel and never two at once. N* is where one array begins to pay, for accelerators
    of the mean area and energy. Plans are made for a network over boards whose carbon is assumed.
    """

    kernels: str = "all"  # loops that arrays are tried on, or some of them, separated by +
    fabric: str = "plaid"  # or conventional
    buffer_kib: int = 8  # of each accelerator and of the array; the smallest memory in the table of energies
    iterations: int = 1000  # of a kernel, from configuration to configuration
    model: str = "resnet50"  # planned
    seed: int = 0  # of the mapper and of weights

    title = "Sustainable hardware specialization: one array for a sea of accelerators"
    source = Source(
        "Dangi, Bandara, Sheikhpour, Mitra, Eeckhout",
        "Sustainable Hardware Specialization",
        2024,
        arxiv="2411.09315",
        venue="ICCAD 2024",
    )
    quick = "kernels=gemm+fc+relu_add,model=squeezenet"
    claims = (
        Claim("kernels", "kernels compared", None, "", AtLeast(12)),
        Claim(
            "break_even", "shares α of 0.5 to 0.9 at which an array pays from 3 to 15 accelerators",
            "a handful to a dozen", "%", AtLeast(100),
        ),
        Claim("gain_most", "footprint of the sea over the array's, best α of 0.5 to 0.9", "2.5 to 7.6", "×", AtLeast(2.5)),
        Claim("gain_least", "footprint of the sea over the array's, worst α of 0.5 to 0.9", "2.5 to 7.6", "×", AtMost(7.6)),
        Claim("dark", "the sea takes less energy and has the larger footprint, at α = 0.8", None, "", Holds()),
        Claim("identities", "a design over itself is 1, in any units; and swapping converts α", None, "", Holds()),
        Claim("crossing", "N* by formula off the crossing found by halving, at most", None, "%", AtMost(1e-6)),
        Claim("plans", "the plan at α = 0.1 uses other boards than that at α = 0.9", None, "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Kernels, formulas, plans."""
        from shoal.machines.cgra import KERNELS
        from shoal.study._sustainable_kernels import FABRICS, Terms, circuits, kernels

        names = tuple(KERNELS) if self.kernels == "all" else words(self.kernels)
        terms = Terms(self.buffer_kib * 1024, self.iterations)
        made = {name: circuits(names, FABRICS[name](), self.seed) for name in bench.each(tuple(FABRICS), "array")}
        found = kernels(made[self.fabric], terms)
        yield Finding("kernels", len(found), "computed")
        yield from _paid(found)
        yield from _gained(found)
        yield _ratios(found)
        yield from _formulas()
        yield _elsewhere(made, terms)
        yield Note(
            "The size of the buffers was chosen after a first look without any: then the data's way to memory, the "
            "same on both sides, is missing, and energies differ five to eight times. The other rows of the last table "
            "show what each choice does. Nothing was set for a single kernel.",
        )
        yield from self._planned(bench)

    def _planned(self, bench: Bench) -> Iterator[Shown]:
        model, fleet = bench.model(self.model), bench.fleet(FLEET)
        rows, used = [], []
        for alpha in (0.1, 0.9):
            plan = bench.front(model, fleet, f"carbon:alpha={alpha}", profile=False).plan
            energy_j = sum(plan.prediction.energy_j.values())
            used.append({unit.partition("/")[0] for unit in plan.units})
            rows.append((alpha, plan.label, plan.prediction.period_s, energy_j))
        yield Finding("plans", used[0] != used[1], "predicted", 2, why="energy by the boards' stated power")
        yield Table(f"{self.model} over a new, a used and a small board", ("α", "plan", "s/item", "J/item"), rows)


def _paid(found: Sequence[Kernel]) -> Iterator[Shown]:
    from shoal.cost.carbon import pays_from

    area, energy = _means(found)
    numbers = {alpha: pays_from(alpha, area, energy) for alpha in JUDGED}
    told = ", ".join(f"{alpha:g}: {_shown(number)}" for alpha, number in numbers.items())
    within = sum(FEW <= number <= DOZEN for number in numbers.values())
    yield Finding("break_even", 100 * within / len(numbers), "modelled", len(numbers),
                  why=f"N* by α: {told}; area ratio {area:.2f}, energy ratio {energy:.2f}")  # fmt: skip


def _gained(found: Sequence[Kernel]) -> Iterator[Shown]:
    from shoal.cost.carbon import Common, best_moved, built, compare

    names = [kernel.name for kernel in found]
    sea, array = (built(found, moved, None, Common()) for moved in ((), names))
    gains = [_gain(found, alpha) for alpha in JUDGED]
    span = f"by area alone (α = 1) {_gain(found, 1.0):.2f}, by energy alone (α = 0) {_gain(found, 0.0):.2f}"
    yield Finding("gain_most", max(gains), "modelled", len(found), why=span)
    yield Finding("gain_least", min(gains), "modelled", len(found), why=span)
    at = compare(array, sea, 0.8)
    yield Finding("dark", sea.energy < array.energy and at.fixed_work < 1, "modelled", len(found),
                  why=f"energy ratio {array.energy / sea.energy:.2f}, footprint ratio {at.fixed_work:.2f}")  # fmt: skip
    rows = []
    for alpha in ALPHAS:
        both, best = compare(array, sea, alpha), best_moved(found, alpha)
        rows.append((alpha, both.fixed_work, both.fixed_time, both.verdict, len(best.names), best.fixed_work))
    heads = ("α", "fixed work", "fixed time", "class", "moved at best", "fixed work then")
    yield Table("The array over the sea", heads, rows, best_moved(found, 0.5).notes[0])
    yield Chart("Footprint of the array over that of the sea", "α", "ratio",
                (Series("fixed work", ALPHAS, [row[1] for row in rows]),
                 Series("fixed time", ALPHAS, [row[2] for row in rows])), kind="line")  # fmt: skip


def _ratios(found: Sequence[Kernel]) -> Table:
    rows = [
        (each.name, 1e3 * each.area, 1e12 * each.energy, each.fabric_area / each.area,
         each.fabric_energy / each.energy, each.fabric_time / each.time)
        for each in found
    ]  # fmt: skip
    heads = ("kernel", "circuit, 10⁻³ mm²", "pJ/iteration", "area ratio", "energy ratio", "delay ratio")
    return Table("Kernels on the array over circuits of their own", heads, rows)


def _means(found: Sequence[Kernel]) -> tuple[float, float]:
    """Area and energy of the array over those of a mean accelerator."""
    area = max(each.fabric_area for each in found) * len(found) / sum(each.area for each in found)
    return area, sum(each.fabric_energy for each in found) / sum(each.energy for each in found)


def _gain(found: Sequence[Kernel], alpha: float) -> float:
    """Of one array instead of all accelerators."""
    from shoal.cost.carbon import Common, built, compare

    sea, array = (built(found, moved, None, Common()) for moved in ((), [each.name for each in found]))
    return 1 / compare(array, sea, alpha).fixed_work


def _of(fabric: Design, alpha: float) -> Callable[[float], float]:
    """The footprint of a fabric over so many accelerators of area and energy 1."""
    from shoal.cost.carbon import Design, compare

    def footprint(count: float) -> float:
        busy = Design(fabric.area, count * fabric.energy, fabric.power)
        return compare(busy, Design(count, count, 1), alpha).fixed_work

    return footprint


def _shown(number: float) -> str:
    return f"{number:.1f}" if isfinite(number) else "–"


def _elsewhere(made: Mapping[str, Sequence[Circuits]], terms: Terms) -> Table:
    """The same with other arrays and buffers."""
    from shoal.cost.carbon import pays_from
    from shoal.study._sustainable_kernels import kernels

    rows: list[tuple[str | float, ...]] = []
    for (fabric, circuits), kib in product(made.items(), BUFFERS_KIB):
        found = kernels(circuits, replace(terms, buffer_bytes=kib * 1024))
        area, energy = _means(found)
        pays = [_shown(pays_from(alpha, area, energy)) for alpha in (0.5, 0.7, 0.9)]
        rows.append((fabric, kib, area, energy, *pays, *(_gain(found, alpha) for alpha in (0.5, 0.9, 1.0))))
    heads = ("array", "buffer, KiB", "area ratio", "energy ratio", "N* at 0.5", "N* at 0.7", "N* at 0.9",
             "gain at 0.5", "gain at 0.9", "gain at 1")  # fmt: skip
    return Table("Other arrays and buffers", heads, rows, "–: no number of accelerators makes the array pay")


def _formulas() -> Iterator[Shown]:
    """What must hold for any figures, on a grid of them."""
    from shoal.cost.carbon import Design, compare, crossing, pays_from, swapped

    cases = [(alpha, area, energy) for alpha in ALPHAS[1:] for area, energy in RATIOS]
    holds, off = True, 0.0
    for alpha, area, energy in cases:
        one, other = Design(1, 1, 1), Design(area, energy, energy)
        scaled = Design(7 * area, 3 * energy, 2 * energy)
        ratio = compare(other, one, alpha).fixed_work
        back = compare(one, other, swapped(alpha, other, one)).fixed_work
        same = (compare(other, other, alpha).fixed_work, compare(scaled, Design(7, 3, 2), alpha).fixed_work / ratio,
                ratio * back)  # fmt: skip
        holds &= max(abs(each - 1) for each in same) < 1e-12
        number = pays_from(alpha, area, energy)
        if isfinite(number):
            off = max(off, abs(crossing(_of(other, alpha)) / number - 1))
        else:
            holds &= not isfinite(crossing(_of(other, alpha)))
    yield Finding("identities", holds, "computed", len(cases))
    yield Finding("crossing", 100 * off, "computed", len(cases))
