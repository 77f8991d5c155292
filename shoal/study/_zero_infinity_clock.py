"""Steps against the clock, on a disk that is held to a rate: what fetching ahead hides, and what the formula says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from shoal import catalog
from shoal.cost.offload import efficiency
from shoal.llm.offload.timed import Job, Steps, run_all
from shoal.sim.storage import replayed
from shoal.sim.tiers import known, on_each
from shoal.store import POLICIES, Read
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
        """Of a step."""
        return _step_s(self.steps)

    @property
    def read_s(self) -> float:
        """Of a step but the first, by the tier's figures."""
        tier = self.steps.told.tier
        return sum(tier.read_s(each.bytes) for each in self._later) / (len(self.steps.seconds) - 1)

    @property
    def took_s(self) -> float:
        """Likewise, by the clock: more, where the disk itself is slower than what it is held to."""
        return sum(each.ended_s - each.begun_s for each in self._later) / (len(self.steps.seconds) - 1)

    @property
    def _later(self) -> list[Read]:
        return [each for each in self.steps.told.reads if each.begun_s >= self.steps.ended_s[0]]


@dataclass(frozen=True)
class Wanted:
    """Steps that are timed."""

    scored: int  # tokens of a step that scores them all: every matrix is multiplied by all of them
    last: int  # of one that asks for the last logits: the vocabulary is read, and multiplied by one token
    repeats: int  # beside the first


def clocked(found: Subject, budget_bytes: int, wanted: Wanted, rates: str, bench: Bench) -> Iterator[Shown]:
    """All distances at a rate as quick as arithmetic, for both kinds of step; then all rates without overlap."""
    ways = [(ahead, 1.0) for ahead in DISTANCES]
    slower = [(0, float(each)) for each in words(rates)]
    kinds = ((wanted.scored, True), (wanted.last, False))
    bench.say("arithmetic alone")
    alone = run_all([_job(found, found.bytes, wanted, kind, 1) for kind in kinds])
    compute_s = [_step_s(each) for each in alone]
    missed = _missed(found, budget_bytes)
    asked = [(0, *way) for way in (*ways, *slower)] + [(1, *way) for way in ways]
    bench.say("on a disk that is held to a rate")
    done = run_all([
        _job(found, budget_bytes, wanted, kinds[kind], ahead, missed / compute_s[kind] / rate)
        for kind, ahead, rate in asked
    ])  # fmt: skip
    runs = [Timed(ahead, rate, each) for (_, ahead, rate), each in zip(asked, done, strict=True)]
    scored, lasts = runs[: len(ways) + len(slower)], runs[-len(ways) :]
    yield from _distances(found, scored[: len(ways)], compute_s[0])
    yield from _formula(scored[len(ways) :], compute_s[0])
    yield _table(f"{found.name}: a step of {wanted.last} tokens that asks for the last logits", lasts, compute_s[1],
                 "while the vocabulary is read there is nothing to compute, and the budget keeps little of it")  # fmt: skip
    yield from _replays(runs)
    yield _tiers(runs[1], wanted.repeats)


def _step_s(steps: Steps) -> float:
    """The median but for the first, which finds an empty store."""
    return median(steps.seconds[1:])


def _job(
    found: Subject, budget_bytes: int, wanted: Wanted, kind: tuple[int, bool], ahead: int, rate: float = 0.0
) -> Job:
    tokens, every = kind
    symbols = (found.prompt * tokens)[:tokens]
    return found.job(budget_bytes, ahead, symbols, repeats=wanted.repeats + 1, read_bytes_per_s=rate, every=every)


def _missed(found: Subject, budget_bytes: int) -> int:
    """Bytes that a step reads at least: all that the budget cannot keep."""
    return max(found.bytes - budget_bytes, *found.sizes.values())


def _distances(found: Subject, runs: list[Timed], compute_s: float) -> Iterator[Shown]:
    yield _table(f"{found.name}: a text scored, reading as long as arithmetic", runs, compute_s,
                 "the disk is held to a rate (emulated), where it is quicker itself; medians of steps after the first, means of reading")  # fmt: skip
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


def _table(title: str, runs: list[Timed], compute_s: float, note: str) -> Table:
    rows = [(each.ahead, each.step_s, each.read_s, each.took_s, compute_s, 100 * max(each.read_s, compute_s) / each.step_s,
             100 * each.steps.told.hit_rate, 100 * each.steps.told.late_rate) for each in runs]  # fmt: skip
    heads = ("records ahead", "step, s", "reading, s", "it took, s", "arithmetic, s", "longer of both, %", "there, %",
             "on their way, %")  # fmt: skip
    return Table(title, heads, rows, note=note)


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
