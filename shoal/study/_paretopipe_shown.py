"""What the ParetoPipe study concludes from its fronts, and how it shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log
from statistics import mean, median

from shoal.record import SplitFigures, SplitFront
from shoal.study._bench import Model
from shoal.study.contract import Chart, Finding, Note, Series, Shown, Table

LINKS = {  # Mbit/s and ms
    "1 Gbit/s, 0.1 ms": (1000.0, 0.1),
    "5 Mbit/s, 200 ms": (5.0, 200.0),
}
FAST, SLOW = LINKS


def findings(fronts: Mapping[str, Mapping[str, SplitFront]], depth: Mapping[str, float]) -> Iterator[Shown]:
    """What all networks together say."""
    both = [(each[FAST], each[SLOW]) for each in fronts.values()]
    ran = [split for pair in both for front in pair for split in front.splits if split.done]
    how, count = ran[0].provenance, len(both)
    fast = [split for front, _ in both for split in front.splits if split.done]
    yield Finding("same", same([split for pair in both for front in pair for split in front.splits]), how, len(ran))
    yield Finding("several", 100 * mean(len(front.front) > 1 for front, _ in both), how, count)
    yield Finding("moves", 100 * (max(depth.values()) - min(depth.values())), how, count)
    yield Finding("front", all(_numbers(quick) != _numbers(slow) for quick, slow in both), how, count)
    fewer = [quickest(slow).bytes < quickest(quick).bytes for quick, slow in both]
    yield Finding("fewer", all(fewer), how, count, why=f"{sum(fewer)} of {count} networks")
    overlap, gain = max(split.overlap for split in ran), median(split.gain for split in fast)
    yield Finding("overlap", overlap, how, len(ran), why="both parts' seconds over the period of the full pipe")
    shares = [log(max(1.0, split.overlap)) / log(split.gain) for split in fast if split.gain > 1]
    share = 100 * median(shares) if shares else 0.0
    yield Finding("gain", gain, how, len(fast), why=f"{share:.0f} % of it (of its logarithm) by overlap")
    for figure in ("period", "latency"):
        pairs = [(getattr(split.twin, f"{figure}_s"), getattr(split, f"{figure}_s")) for split in ran]
        errors = [100 * abs(twin / real - 1) for twin, real in pairs]
        yield Finding(figure, median(errors), how, len(ran), (min(errors), max(errors)), "interval: all cuts")


def shown(name: str, fronts: Mapping[str, SplitFront]) -> Iterator[Shown]:
    """One network: its cuts on both links, and what entered or left the front."""
    rows = [
        (split.number, split.after, split.bytes / 1024, link, 1e3 * split.latency_s, 1e3 * split.twin.latency_s,
         split.throughput_items_per_s, 1 / split.twin.period_s, split.gain, split.overlap, place in front.front)
        for link, front in fronts.items() for place, split in enumerate(front.splits) if split.done
    ]  # fmt: skip
    yield Table(
        f"{name}: every cut that ran",
        ("cut", "after", "KiB", "link", "latency, ms", "twin, ms", "items/s", "twin", "gain, ×", "overlap, ×", "front"),
        rows,
    )  # fmt: skip
    quick, slow = (_numbers(fronts[link]) for link in LINKS)
    yield Note(
        f"{name}: from {FAST} to {SLOW} the cuts {sorted(slow - quick) or 'none'} entered the front and "
        f"{sorted(quick - slow) or 'none'} left it; hypervolumes "
        f"{fronts[FAST].hypervolume:.3g} and {fronts[SLOW].hypervolume:.3g} s²."
    )
    yield from (Note(f"{name}: {note}") for note in dict.fromkeys((*fronts[FAST].notes, *fronts[SLOW].notes)))
    lines = tuple(
        Series(link, [1e3 * each.latency_s for each in front.best], [each.throughput_items_per_s for each in front.best])
        for link, front in fronts.items()
    )  # fmt: skip
    yield Chart(f"{name}: fronts", "latency, ms", "throughput, items/s", lines, log_x=True)


def _numbers(front: SplitFront) -> set[int]:
    return {each.number for each in front.best}


def quickest(front: SplitFront) -> SplitFigures:
    """The best cut for throughput."""
    return front.best[-1]


def same(splits: Sequence[SplitFigures]) -> bool:
    """Whether every cut ran to its end, or was left out, and answered like the whole."""
    return all(each.skipped or (each.done and each.outputs_match) for each in splits)


def depth_of(model: Model, front: SplitFront) -> float:
    """The share of the work that lies before the best cut for throughput."""
    ops = model.graph.ops[: model.graph.position[quickest(front).after] + 1]
    return sum(op.macs for op in ops) / model.graph.macs
