"""Plaid's power and area: savings, what they hang on, and what is left of them without the idea."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shoal.machines.cgra import CELLS, EVENTS, Fabric, Silicon, mapped, on_array
from shoal.study._plaid_loops import Loops, mean, silicon
from shoal.study.contract import Cell, Finding, Shown, Table

Pair = tuple[Silicon, Silicon]  # conventional, other
CHANGES = (0.5, 2.0)  # of a row


def savings(every: Sequence[Loops], clock_hz: float) -> Iterator[Shown]:
    """Against both baselines, and with each row of the tables halved and doubled."""
    pairs = [silicon(each) for each in every]
    saved = [_power(pair, clock_hz) for pair in pairs]
    yield Finding(
        "power",
        _mean_saved(pairs, clock_hz),
        "simulated",
        len(pairs),
        (min(saved), max(saved)),
        "interval: all loops",
    )
    yield Finding("area", _area(pairs[0]), "computed")
    still = [_still(each) for each in every]
    yield Finding("spatial_area", 100 * (1 - pairs[0][1].area_mm2 / still[0].area_mm2), "computed")
    ratios = [pair[1].power_w(clock_hz) / other.power_w(clock_hz) for pair, other in zip(pairs, still, strict=True)]
    yield Finding(
        "spatial_power", mean(ratios), "simulated", len(ratios), (min(ratios), max(ratios)), "interval: all loops"
    )
    joules = mean([pair[1].iteration_j / pair[0].iteration_j for pair in pairs])
    yield Table("Savings against the conventional array", ("of", "saved, %"), [
        ("area", round(_area(pairs[0]), 1)), ("power", round(_mean_saved(pairs, clock_hz), 1)),
        ("energy of an iteration, without leakage", round(100 * (1 - joules), 1))])  # fmt: skip
    yield _areas(pairs[0], still[0])
    yield _sensitivity(pairs, clock_hz)


def without(every: Sequence[Loops], no_local: Fabric, separate: Fabric, iterations: int, rounds: int,
            clock_hz: float) -> Iterator[Shown]:  # fmt: skip
    """What is left of the savings without local routers, and with nothing shared."""
    rows = []
    for key, fabric in (("no_local", no_local), ("separate", separate)):
        mappings = [mapped(each.graph, fabric, rounds=rounds) for each in every]
        pairs = [
            (on_array(each.conventional), on_array(other)) for each, other in zip(every, mappings, strict=True)
        ]
        slower = mean([other.cycles(iterations) / each.conventional.cycles(iterations)
                       for each, other in zip(every, mappings, strict=True)])  # fmt: skip
        work = 100 * (1 - slower * pairs[0][1].area_mm2 / pairs[0][0].area_mm2)
        yield Finding(
            key, work, "simulated", len(every), why="area × cycles of the conventional array that are saved"
        )
        rows.append(
            (
                fabric.name,
                round(slower, 2),
                round(_area(pairs[0]), 1),
                round(_mean_saved(pairs, clock_hz), 1),
                round(work, 1),
            )
        )
    yield Table("Without the idea", ("array", "cycles over conventional", "area saved, %", "power saved, %",
                                     "area × cycles saved, %"), rows)  # fmt: skip


def _still(loops: Loops) -> Silicon:
    """Pieces one after another: events of all, an iteration in the intervals of all."""
    parts = [on_array(each) for each in loops.spatial.mappings]
    events = {name: sum(each.events.get(name, 0.0) for each in parts) for name in EVENTS}
    return Silicon(parts[0].cells, events, parts[0].bits, sum(each.ii for each in parts))


def _power(pair: Pair, clock_hz: float) -> float:
    return 100 * (1 - pair[1].power_w(clock_hz) / pair[0].power_w(clock_hz))


def _mean_saved(pairs: Sequence[Pair], clock_hz: float) -> float:
    return 100 * (1 - mean([other.power_w(clock_hz) / base.power_w(clock_hz) for base, other in pairs]))


def _area(pair: Pair) -> float:
    return 100 * (1 - pair[1].area_mm2 / pair[0].area_mm2)


def _areas(pair: Pair, still: Silicon) -> Table:
    parts = (*pair, still)
    rows: list[list[Cell]] = []
    for name in CELLS:
        of_one = [Silicon({name: each.cells[name]}, {}, each.bits, 1) for each in parts]
        rows.append([name, *(round(each.area_mm2 * 1e6) for each in of_one)])
    rows.append(["all", *(round(each.area_mm2 * 1e6) for each in parts)])
    return Table("Area, µm²", ("cells", "conventional", "Plaid", "spatial"), rows)


def _sensitivity(pairs: Sequence[Pair], clock_hz: float) -> Table:
    """Rows of energies change dynamic power alone, rows of areas the area alone."""
    rows: list[list[Cell]] = []
    base, other = pairs[0]
    for name in CELLS:
        left = [other.area_with({name: times}) / base.area_with({name: times}) for times in CHANGES]
        rows.append([f"area: {name}", *(round(100 * (1 - each), 1) for each in left)])
    for name in EVENTS:
        powers = [mean([_with(other, name, times, clock_hz) / _with(base, name, times, clock_hz) for base, other in pairs])
                  for times in CHANGES]  # fmt: skip
        rows.append([f"power: {name}", *(round(100 * (1 - each), 1) for each in powers)])
    head = ("row of the tables", *(f"saved with {times:g} of it, %" for times in CHANGES))
    return Table("What the savings hang on", head, rows)


def _with(each: Silicon, name: str, times: float, clock_hz: float) -> float:
    return each.energy_with({name: times}) * clock_hz / each.ii + each.static_w
