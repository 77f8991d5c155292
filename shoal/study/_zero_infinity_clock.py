"""Steps against the clock, on a disk that is held to a rate: what fetching ahead hides, and what the formula says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal import catalog
from shoal.cost.offload import efficiency
from shoal.llm.offload.timed import Steps, run_all
from shoal.sim.storage import replayed
from shoal.sim.tiers import known, on_each
from shoal.store import POLICIES
from shoal.study import Bench, Chart, Finding, Series, Shown, Table, words
from shoal.study._reading import reading

if TYPE_CHECKING:
    from shoal.study._zero_infinity_text import Subject

DISTANCES = (0, 1, 2, 3)


@dataclass(frozen=True)
class Timed:
    """Steps at a distance and a rate."""

    ahead: int
    rate: float  # of reading over arithmetic
    steps: Steps

    @property
    def step_s(self) -> float:
        """Of a step but the first, which finds an empty store."""
        return sum(self.steps.seconds[1:]) / (len(self.steps.seconds) - 1)

    @property
    def read_s(self) -> float:
        """Of a step but the first, by the tier's figures."""
        told = self.steps.told
        later = [each for each in told.reads if each.begun_s >= self.steps.ended_s[0]]
        return sum(told.tier.read_s(each.bytes) for each in later) / (len(self.steps.seconds) - 1)


def clocked(
    found: Subject, budget_bytes: int, tokens: int, steps: int, rates: str, bench: Bench
) -> Iterator[Shown]:
    """All distances at a rate as quick as arithmetic, then all rates without overlap."""
    symbols = (found.prompt * tokens)[:tokens]
    bench.say("arithmetic alone")
    (alone,) = run_all([found.job(found.bytes, 1, symbols, repeats=steps + 1)])
    compute_s = min(alone.seconds[1:])
    even = _missed(found, budget_bytes) / compute_s
    ways = [(ahead, 1.0) for ahead in DISTANCES] + [(0, float(each)) for each in words(rates)]
    bench.say("on a disk that is held to a rate")
    jobs = [
        found.job(budget_bytes, ahead, symbols, repeats=steps + 1, read_bytes_per_s=even / rate)
        for ahead, rate in ways
    ]
    runs = [Timed(*way, done) for way, done in zip(ways, run_all(jobs), strict=True)]
    yield from _distances(found, runs[: len(DISTANCES)], compute_s)
    yield from _formula(runs[len(DISTANCES) :], compute_s)
    yield from _replays(runs)
    yield _tiers(runs[1], steps)


def _missed(found: Subject, budget_bytes: int) -> int:
    """Bytes that a step reads at least: all that the budget cannot keep."""
    return max(found.bytes - budget_bytes, *found.sizes.values())


def _distances(found: Subject, runs: list[Timed], compute_s: float) -> Iterator[Shown]:
    rows = [(ahead, each.step_s, each.read_s, compute_s, 100 * max(each.read_s, compute_s) / each.step_s,
             100 * each.steps.told.hit_rate, 100 * each.steps.told.late_rate) for ahead, each in enumerate(runs)]  # fmt: skip
    yield Table(
        f"{found.name}: a step, reading as long as arithmetic",
        ("records ahead", "step, s", "reading, s", "arithmetic, s", "longer of both, %", "there, %", "on their way, %"),
        rows, note="the disk is held to a rate (emulated); means of steps after the first",
    )  # fmt: skip
    one = runs[1]
    yield Finding("overlap", 100 * max(one.read_s, compute_s) / one.step_s, "emulated", len(one.steps.seconds) - 1)
    yield Finding("ahead", runs[0].step_s / one.step_s, "emulated", len(one.steps.seconds) - 1)
    for each in runs[:2]:
        begun_s, ended_s = each.steps.ended_s[-2:]
        yield reading(
            f"The last step, {each.ahead} records ahead", each.steps.told, (begun_s, ended_s),
            "the disk is held to a rate (emulated); names are keys of records",
        )  # fmt: skip
    yield Chart("Time of a step by records ahead", "records ahead", "s",
                (Series("taken", DISTANCES, [each.step_s for each in runs]),
                 Series("longer of reading and arithmetic", DISTANCES,
                        [max(each.read_s, compute_s) for each in runs])))  # fmt: skip


def _formula(others: list[Timed], compute_s: float) -> Iterator[Shown]:
    """Arithmetic's share of a step against intensity · bandwidth / (intensity · bandwidth + peak)."""
    shares = [100 * compute_s / each.step_s for each in others]
    said = [
        100 * efficiency(1.0, 1 / each.read_s, 1 / compute_s) for each in others
    ]  # a step's work, a step's bytes
    off = max(abs(share / should - 1) for share, should in zip(shares, said, strict=True))
    yield Finding("efficiency", 100 * off, "emulated", len(others), why="the most of all rates")
    ratios = [each.rate for each in others]
    yield Chart("Share of arithmetic without overlap", "reading over arithmetic", "%",
                (Series("taken", ratios, shares), Series("formula", ratios, said)))  # fmt: skip


def _replays(runs: list[Timed]) -> Iterator[Shown]:
    policy = catalog.make(POLICIES, "cyclic")
    offs = [100 * abs(replayed(each.steps.told, policy).seconds / each.steps.told.seconds - 1) for each in runs]
    yield Finding("replayed", max(offs), "emulated", len(runs), why="the most of all runs; simulated over emulated")


def _tiers(run: Timed, steps: int) -> Table:
    """The same steps from other places."""
    found = on_each(run.steps.told, catalog.make(POLICIES, "cyclic"), known())
    rows = [(each.tier.name, (each.tier.read_bytes_per_s or 0) / 1e6, 1e6 * each.tier.latency_s, each.seconds / (steps + 1),
             100 * each.stall_s / each.seconds, each.read_j / (steps + 1), each.tier.energy_source) for each in found]  # fmt: skip
    columns = (
        "tier",
        "MB/s",
        "latency, µs",
        "step, s",
        "waiting, %",
        "reading, J a step",
        "who says what a byte takes",
    )
    return Table("The same steps, one record ahead, from other tiers", columns, rows,
                 note="replayed in simulated time from the record of the emulated run; arithmetic as it took here")  # fmt: skip
