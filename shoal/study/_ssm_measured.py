"""What the study of state-space models measures here: latency over lengths, shares of operations, memory and its limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log
from statistics import median
from typing import TYPE_CHECKING

from shoal.study import Chart, Finding, Note, Series, Shown, Table

if TYPE_CHECKING:
    from shoal.llm.profile import Machine, Peak, Shares, Subject, Timed, Trial

ATTENDING, STOCK, QUICK = "llama", "mamba2", "mamba2-chunked"
BELOW, ABOVE = 0.85, 1.15  # of the longest prompt that should fit: the share that the model of memory may be off
PREFILL, DECODE = "time to the first token, s", "time of a token, ms"


@dataclass(frozen=True)
class Measured:
    """All models at all lengths, each time in the order of `lengths`."""

    subjects: tuple[Subject, ...]
    lengths: tuple[int, ...]
    timed: tuple[Timed, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models."""
        return tuple(each.name for each in self.subjects)

    def prefill_s(self, name: str) -> list[float]:
        """Medians."""
        return [each.prefill.median_s for each in self._of(name) if each.prefill]

    def decode_s(self, name: str) -> list[float]:
        """Medians."""
        return [each.decode.median_s for each in self._of(name) if each.decode]

    def joules(self, name: str) -> list[float]:
        """Of a prefill."""
        return [each.prefill_j for each in self._of(name)]

    def _of(self, name: str) -> list[Timed]:
        return [each for each in self.timed if each.subject == name]

    def slope(self, name: str) -> float:
        """Of the time over the tokens between the two longest, on logarithmic scales."""
        (first, last), seconds = self.lengths[-2:], self.prefill_s(name)
        return log(seconds[-1] / seconds[-2]) / log(last / first)


def sizes(subjects: Sequence[Subject]) -> Finding:
    """How far numbers of weights are apart."""
    counts = [each.architecture.parameters for each in subjects]
    apart = 100 * (max(counts) / min(counts) - 1)
    return Finding("matched", apart, "computed", len(counts), why=", ".join(f"{each:,}" for each in counts))


def latency(found: Measured) -> Iterator[Shown]:
    """Slopes, what decode does with length, tables and pictures."""
    yield Finding("slope_attention", found.slope(ATTENDING), "measured", 2)
    scans = [found.slope(name) for name in found.names if name.startswith(STOCK)]
    yield Finding(
        "slope_scan", max(scans), "measured", len(scans), (min(scans), max(scans)), "interval: both scans"
    )
    yield Finding("short", found.prefill_s(QUICK)[0] / found.prefill_s(ATTENDING)[0], "measured", 1,
                  why=f"at {found.lengths[0]} tokens, with the quicker scan")  # fmt: skip
    yield Finding("long", found.prefill_s(ATTENDING)[-1] / found.prefill_s(QUICK)[-1], "measured", 1,
                  why=f"at {found.lengths[-1]} tokens, with the quicker scan")  # fmt: skip
    kept = found.decode_s(ATTENDING)
    yield Finding("decode_attention", kept[-1] / kept[0], "measured", len(kept))
    flat = [100 * abs(each / median(times) - 1) for times in map(found.decode_s, (STOCK, QUICK)) for each in times]
    yield Finding(
        "decode_scan", max(flat), "measured", len(flat), why="each length from the median of all, both scans"
    )
    yield _table("Time to the first token", found, {name: found.prefill_s(name) for name in found.names}, "s")
    yield _table("Time of a token after the prompt", found, {name: [1e3 * each for each in found.decode_s(name)] for name
                 in found.names}, "ms")  # fmt: skip
    yield _table("Energy of a prompt", found, {name: found.joules(name) for name in found.names}, "J")
    yield _energy_note(found)
    yield _chart("Time to the first token", PREFILL, found, {name: found.prefill_s(name) for name in found.names})
    yield _chart("Time of a token after the prompt", DECODE, found,
                 {name: [1e3 * each for each in found.decode_s(name)] for name in found.names})  # fmt: skip


def crossings(found: Measured, shares: Sequence[Shares]) -> Iterator[Shown]:
    """Where state-space models overtake: measured, and solved from a roofline fitted at one length."""
    from shoal.llm.profile import UNBOUND, between, crossing, fitted

    low, high = float(found.lengths[0]), float(found.lengths[-1])
    middle = {each.subject: each for each in reversed(shares)}  # of the length that comes first
    at = found.lengths.index(shares[0].point.context)
    machines = {each.name: fitted(each.name, each, middle[each.name], found.prefill_s(each.name)[at]) for each in
                found.subjects}  # fmt: skip
    measured = {name: between(found.lengths, found.prefill_s(name)) for name in found.names}
    solved = {each.name: _predicted(machines[each.name], each) for each in found.subjects}
    rows = [
        (name, crossing(measured[ATTENDING], measured[name], low, high),
         crossing(solved[ATTENDING], solved[name], low, high))
        for name in found.names[1:]
    ]  # fmt: skip
    yield from _crossed(rows)
    yield Table("Where models overtake Llama", ("model", "tokens, measured", "tokens, solved"), rows,
                note=f"the roofline's efficiencies are fitted at {shares[0].point.context} tokens")  # fmt: skip
    yield Table("Efficiencies fitted", ("model", "class", "of the products' rate, %", "of the bandwidth, %"),
                [(name, kind, *(100 * share if share < UNBOUND else None for share in (each.arithmetic, each.bandwidth)))
                 for name, machine in machines.items() for kind, each in machine.efficiency.items()
                 if min(each.arithmetic, each.bandwidth) < UNBOUND])  # fmt: skip


def _predicted(machine: Machine, subject: Subject) -> Callable[[float], float]:
    from shoal.llm.profile import Point

    return lambda at: machine.total_s(subject, Point(round(at)))


def _crossed(rows: Sequence[tuple[str, float | None, float | None]]) -> Iterator[Shown]:
    measured = {name: each for name, each, _ in rows}[QUICK]
    yield Finding("crossover", measured is not None, "measured", len(rows),
                  why=f"{measured:,.0f} tokens with the quicker scan" if measured else "none within the lengths")  # fmt: skip
    off = {name: solved / each for name, each, solved in rows if each and solved}
    if off:
        worst = max(off, key=lambda name: abs(log(off[name])))
        yield Finding("solved", off[worst], "modelled", len(off), (min(off.values()), max(off.values())),
                      f"the worst, {worst}; interval: all that cross")  # fmt: skip
    else:
        yield Finding("solved", None, why="nothing crosses within the lengths")


def operations(subjects: Sequence[Subject], shares: Sequence[Shares]) -> Iterator[Shown]:
    """Shares by class, and what the scans take."""
    whole = [abs(100 - sum(each.percent.values())) for each in shares]
    yield Finding("shares", max(whole), "measured", len(whole))
    last = {each.subject: each.scan for each in shares}  # of the longest, which come last
    yield Finding(
        "scan_share", last[STOCK], "measured", 1, why="Mamba-2 with the scan of transformers, longest prompt"
    )
    yield Finding("scan_change", last[QUICK] - last[STOCK], "measured", 1,
                  why=f"{last[QUICK]:.0f} % with products of chunks")  # fmt: skip
    classes = list(shares[0].percent)
    yield Table("Shares of a prefill", ("model", "tokens", *(f"{each}, %" for each in classes)),
                [(each.subject, each.point.context, *each.percent.values()) for each in shares])  # fmt: skip


def memory_of(subjects: Sequence[Subject], lengths: Sequence[int], limit_bytes: int) -> Iterator[Shown]:
    """Peaks against the formula, and prompts on both sides of a limit."""
    from shoal.llm.profile import Point, Trial, longest, peaks

    most = {each.name: longest(each, limit_bytes) for each in subjects}
    free = [Trial(each, Point(length)) for each in subjects for length in lengths]
    sides = [Trial(each, Point(round(share * most[each.name])), limit_bytes) for each in subjects for share in
             (BELOW, ABOVE)]  # fmt: skip
    found = peaks(free + sides)
    yield from _weighed(free, found[: len(free)])
    below, above = found[len(free) :: 2], found[len(free) + 1 :: 2]
    held = all(not fits.fault and refused.fault for fits, refused in zip(below, above, strict=True))
    yield Finding("fits", held, "measured", len(subjects),
                  why=f"limit of {limit_bytes / 1e6:.0f} MB kept by the system; {above[0].fault}")  # fmt: skip
    yield Table("Prompts at a limit", ("model", "most, predicted", "tokens", "fits", "tokens more", "told"),
                [(fits.subject, most[fits.subject], fits.point.context, not fits.fault, refused.point.context, refused.fault)
                 for fits, refused in zip(below, above, strict=True)])  # fmt: skip


def _weighed(trials: Sequence[Trial], found: Sequence[Peak]) -> Iterator[Shown]:
    """Without a limit."""
    from shoal.llm.profile import memory

    rows, constant = [], []
    for trial, peak in zip(trials, found, strict=True):
        predicted = memory(trial.subject, trial.point).bytes
        rows.append((peak.subject, peak.point.context, peak.peak_bytes / 1e6, predicted / 1e6,
                     100 * (predicted / peak.peak_bytes - 1)))  # fmt: skip
        constant.append(peak.cache_bytes == trial.subject.architecture.cache_bytes(peak.point.context + 1, 4))
    off = [abs(row[-1]) for row in rows]
    yield Finding(
        "memory", max(off), "measured", len(off), (min(off), max(off)), "interval: all models and lengths"
    )
    yield Finding("cache", all(constant), "measured", len(constant))
    yield Table("Memory at the most", ("model", "tokens", "measured, MB", "predicted, MB", "off, %"), rows)


def _energy_note(found: Measured) -> Note:
    how = "the processor's counters" if all(each.metered for each in found.timed) else "stated watts, modelled"
    return Note(f"Energy: {how}.")


def _table(title: str, found: Measured, columns: dict[str, list[float]], unit: str) -> Table:
    heads = ("tokens", *(f"{name}, {unit}" for name in columns))
    return Table(title, heads, list(zip(found.lengths, *columns.values(), strict=True)))


def _chart(title: str, unit: str, found: Measured, lines: dict[str, list[float]]) -> Chart:
    series = tuple(Series(name, found.lengths, each) for name, each in lines.items())
    return Chart(title, "tokens of the prompt", unit, series, log_x=True, log_y=True)
