"""A model within less and less memory of its own, its weights in a slow tier, against the schedule's model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shoal import catalog
from shoal.errors import LimitError
from shoal.llm.offload.laid import STAYS
from shoal.llm.offload.layers import offloaded
from shoal.llm.offload.timed import Steps, run_all
from shoal.sim.paging import Op, Tensor, Xpu, paged
from shoal.store import POLICIES, FileTier, TensorStore, Told, Use, pages
from shoal.store.values import PAGE
from shoal.study import Bench, Chart, Finding, Series, Shown, Table, words
from shoal.study._zero_infinity_text import Subject

SLOWER = 2.0  # reading all the weights, against the arithmetic of a step
WAYS = (("cyclic", 1), ("cyclic", 0), ("lru", 1), ("lru", 0))  # policy, records ahead


@dataclass(frozen=True)
class Budgeted:
    """Steps in a budget, each way."""

    share: float  # asked for, of all weights
    bytes: int
    steps: dict[tuple[str, int], Steps]

    def step_s(self, way: tuple[str, int]) -> float:
        """Of a step but the first, which finds an empty store."""
        seconds = self.steps[way].seconds[1:]
        return sum(seconds) / len(seconds)

    def read_bytes(self, way: tuple[str, int]) -> int:
        """In all steps."""
        return self.steps[way].told.read_bytes


def paging(found: Subject, shares: str, tokens: int, steps: int, bench: Bench) -> Iterator[Shown]:
    """The smallest budget, then all budgets on a tier that is held to a rate."""
    bench.say("smallest budget")
    yield from _smallest(found)
    symbols = (found.prompt * tokens)[:tokens]
    resident, runs = _runs(found, shares, symbols, steps, bench)
    rate = runs[0].steps[WAYS[0]].told.tier.read_bytes_per_s
    assert rate is not None
    yield from _answers(resident, runs)
    yield from _policies(runs)
    yield from _predicted(found, resident, runs, rate)


def _runs(
    found: Subject, shares: str, symbols: tuple[int, ...], steps: int, bench: Bench
) -> tuple[Steps, list[Budgeted]]:
    """All resident, then all budgets."""
    least = found.stored.laid.least_bytes(found.sizes)
    budgets = {
        share: max(least, round(share * found.bytes)) for share in (float(each) / 100 for each in words(shares))
    }
    bench.say(f"{len(budgets)} budgets, {len(WAYS)} ways each")
    jobs = [found.job(found.bytes, 1, symbols, repeats=steps + 1)]
    jobs += [found.job(each, ahead, symbols, repeats=steps + 1, policy=policy, slower=SLOWER)
             for each in budgets.values() for policy, ahead in WAYS]  # fmt: skip
    resident, *others = run_all(jobs)
    done = iter(others)
    return resident, [Budgeted(share, each, {way: next(done) for way in WAYS}) for share, each in budgets.items()]


def _smallest(found: Subject) -> Iterator[Shown]:
    """One budget is refused, and a page more is enough: from the one foreseen on, by halves where it is not that."""
    said = found.stored.laid.least_bytes(found.sizes)
    low, high = max(found.sizes.values()) - PAGE, pages(found.bytes)
    faults, first = dict[int, str](), [said, said - PAGE]  # where it should be, then by halves
    while high - low > PAGE:
        middle = first.pop() if first else pages((low + high) // 2)
        if low < middle < high:
            faults[middle] = _refusal(found, middle)
            low, high = (middle, high) if faults[middle] else (low, middle)
    yield Finding("least", high / said, "measured", len(faults),
                  why=f"{high} bytes of {found.bytes}; said {said}")  # fmt: skip
    short = faults.get(said - PAGE, "")
    yield Finding("short", f"needed {said} bytes" in short, "measured", 1, why=short)


def _refusal(found: Subject, budget_bytes: int) -> str:
    """Why a budget is too small, if it is; the model answers one token."""
    import torch

    laid, facts = found.stored.laid, found.stored.facts
    try:
        with (
            TensorStore(FileTier(found.stored.path), budget_bytes, catalog.make(POLICIES, "cyclic")) as store,
            offloaded(facts.config, laid, store, 0) as model,
            torch.no_grad(),
        ):
            model(torch.tensor([found.prompt[:1]]), use_cache=False)
    except LimitError as fault:
        return fault.message
    return ""


def _answers(resident: Steps, runs: list[Budgeted]) -> Iterator[Shown]:
    all_ = [(run, steps) for run in runs for steps in run.steps.values()]
    yield Finding("same", all(steps.logits == resident.logits for _, steps in all_), "measured", len(all_))
    yield Finding("held", max(steps.told.peak_bytes / run.bytes for run, steps in all_), "measured", len(all_))


def _policies(runs: list[Budgeted]) -> Iterator[Shown]:
    """By schedule against by last use: on demand, and a layer ahead."""
    gains = [run.read_bytes(("lru", 0)) / run.read_bytes(("cyclic", 0)) for run in runs]
    yield Finding("schedule", min(gains), "measured", len(runs), (min(gains), max(gains)),
                  "bytes read with lru over cyclic; interval: all budgets")  # fmt: skip
    ahead = [run.read_bytes(("lru", 1)) / run.read_bytes(("cyclic", 1)) for run in runs]
    yield Finding("layer_ahead", min(ahead), "measured", len(runs), (min(ahead), max(ahead)),
                  "bytes read a layer ahead with lru over cyclic; interval: all budgets")  # fmt: skip
    short = [run for run in runs if run.steps["lru", 0].told.budget_bytes < 0.95 * _total(run)]
    hits = [_layer_hits(run.steps["lru", 0]) for run in short]
    yield Finding(
        "lru", 100 * max(hits, default=0.0), "measured", len(short), why="layers, after the first step; the most"
    )
    yield Table(
        "Reading on demand by budget",
        ("budget, %", "budget, MB", "read by schedule, MB", "read by last use, MB", "by schedule, s", "by last use, s",
         "by schedule, one ahead, s", "by last use, one ahead, s"),
        [(100 * run.share, run.bytes / 1e6, run.read_bytes(("cyclic", 0)) / 1e6, run.read_bytes(("lru", 0)) / 1e6,
          run.step_s(("cyclic", 0)), run.step_s(("lru", 0)), run.step_s(("cyclic", 1)), run.step_s(("lru", 1))) for run in runs],
        note="bytes of all steps, seconds of one; the tier is held to a rate (emulated)",
    )  # fmt: skip


def _total(run: Budgeted) -> int:
    return sum(size for _, size in run.steps["lru", 0].told.sizes)


def _layer_hits(steps: Steps) -> float:
    """Of uses of layers after the first step, those that were there; the vocabulary's rows are used twice a step."""
    uses = steps.told.uses
    last = max(each.keys[0].layer for each in uses)
    later = [each for each in uses[len(uses) // len(steps.seconds) :] if STAYS.layer < each.keys[0].layer < last]
    return sum(each.hits for each in later) / max(1, len(later))


def _predicted(found: Subject, resident: Steps, runs: list[Budgeted], rate: float) -> Iterator[Shown]:
    """The schedule's model knows the resident run's order and its work, the records' bytes and the tier's rate."""
    ops = _ops(resident.told, len(resident.seconds))
    xpu = Xpu(flops_per_s=1.0, flops_share=1.0, local_bytes_per_s=1e18, remote_bytes_per_s=rate, remote_s=0.0)
    said = [paged(ops, xpu, run.bytes - found.sizes[STAYS], 1).seconds for run in runs]
    took = [run.step_s(("cyclic", 1)) for run in runs]
    off = max(abs(one / other - 1) for one, other in zip(said, took, strict=True))
    kept = min(_kept_rate(run.steps["cyclic", 1].told) for run in runs)
    yield Finding("model", 100 * off, "emulated", len(runs),
                  why=f"the most of all budgets; the tier gave {100 * kept:.3g} % of the rate it is held to, at the least")  # fmt: skip
    shares = [100 * run.share for run in runs]
    yield Chart("A step by budget", "budget, % of the weights", "s",
                (Series("taken", shares, took), Series("schedule's model", shares, said)))  # fmt: skip


def _kept_rate(told: Told) -> float:
    """Of the tier's rate, what reads had: less than all where this machine's disk is slower than what it stands for."""
    return sum(told.tier.read_s(each.bytes) for each in told.reads) / sum(
        each.ended_s - each.begun_s for each in told.reads
    )


def _ops(told: Told, steps: int) -> tuple[Op, ...]:
    """The last step's uses, with the work that followed each."""
    uses: tuple[Use, ...] = tuple(sorted(told.uses, key=lambda use: use.asked_s))
    last, sizes = uses[-(len(uses) // steps) :], dict(told.sizes)
    nexts: list[Any] = [*(use.asked_s for use in last[1:]), last[-1].ended_s]
    return tuple(
        Op(str(use.keys[0]), after_s - use.ready_s, tuple(Tensor(sizes[key], sizes[key]) for key in use.keys))
        for use, after_s in zip(last, nexts, strict=True)
    )
