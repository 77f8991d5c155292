"""Every cut of a network run for real, one after another: two workers each, repeated, what fails kept apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from statistics import median

import numpy as np

from shoal import catalog
from shoal.cost import About, account
from shoal.errors import WorkerDied, WorkError
from shoal.graph import Graph
from shoal.plan.costs import HERE
from shoal.plan.every_cut import CutPlan
from shoal.plan.lower import lower
from shoal.plan.written import with_files
from shoal.program import Program, TensorSpec, Workload
from shoal.record import Observed, Run, SplitFigures, SplitFront, SplitRepeat
from shoal.run.coordinator import Coordinator
from shoal.run.execute import Settings, connected, pace_of, refuse_late, stretch_of, warm
from shoal.run.samples import Arrays, Samples, answered, compare, drawn
from shoal.search import front, hypervolume, knee
from shoal.units import format_bytes, format_seconds

BEYOND = 1.1  # the reference of the hypervolume, over the worst latency and period
LEAST_ALONE = 3  # items one at a time, in each repeat


@dataclass(frozen=True)
class Sweep:
    """How cuts are run."""

    items: int = 32  # in each pipelined run, if time allows
    repeats: int = 3
    seconds: float = inf  # what one pipelined run may take before it gets fewer items; never below 2 windows and 2
    hopeless_s: float = inf  # a link time above which a cut is left out if it cannot be on the front any more
    over: str = "shaped"  # a transport with its options
    emulate: bool = False  # pace workers and links to their boards
    seed: int = 0  # of drawn inputs
    samples: int = 4  # distinct inputs
    patience_s: float = 60.0  # how long nothing may happen

    @property
    def settings(self) -> Settings:
        """Of each run; shaped links are the emulation's own."""
        over = "shm" if self.emulate else self.over
        return Settings(self.items, over, self.emulate, False, self.seed, self.patience_s, self.samples)


def sweep(
    graph: Graph,
    plans: Sequence[CutPlan],
    how: Sweep,
    told: Callable[[SplitFigures], None] = lambda _: None,
) -> tuple[SplitFigures, ...]:
    """Run each of `plans`; `told` hears of each cut as soon as it is done. What fails does not stop the others.

    A cut that its link alone makes worse than one already measured, in latency and in period, is not run if its
    link time is above `hopeless_s`; with such a bound, cuts that fewer bytes cross come first.

    Raises:
        InputError: the transport or the machine is not fit for it.
    """
    specs = {name: TensorSpec(graph.tensors[name].dtype, graph.tensors[name].shape) for name in graph.inputs}
    workload = Workload(max((_most_items(each, how) for each in plans), default=1))
    samples = answered(graph, drawn(specs, how.samples, how.seed), workload)
    order: Sequence[int] = range(len(plans))
    if how.hopeless_s < inf:
        order = sorted(order, key=lambda place: plans[place].cut.bytes)
    found: dict[int, SplitFigures] = {}
    for place in order:
        found[place] = _one(graph, plans[place], how, samples, tuple(found.values()))
        told(found[place])
    return tuple(found[place] for place in range(len(plans)))


def front_of(model: str, splits: Sequence[SplitFigures], notes: tuple[str, ...] = ()) -> SplitFront:
    """The cuts that no other beats in both latency and period, their knee and hypervolume.

    Only cuts that ran to their end count. The reference of the hypervolume is 1.1 times the worst of both.
    """
    done = [place for place, each in enumerate(splits) if each.done]
    if not done:
        return SplitFront(model, tuple(splits), (), None, 0.0, (0.0, 0.0), notes)
    points = np.array([(splits[place].latency_s, splits[place].period_s) for place in done])
    kept = front(points).tolist()
    kept.sort(key=lambda index: points[index, 0])
    reference = points.max(axis=0) * BEYOND
    return SplitFront(
        model=model,
        splits=tuple(splits),
        front=tuple(done[index] for index in kept),
        knee=done[kept[knee(points[kept])]],
        hypervolume=hypervolume(points, reference),
        reference=(float(reference[0]), float(reference[1])),
        notes=notes,
    )


def notes_of(plans: Sequence[CutPlan], how: Sweep) -> tuple[str, ...]:
    """What a reader must know of how the cuts were run."""
    boards = {plan.fleet.device(unit).board for plan in (each.plan for each in plans) for unit in plan.units}
    foreign = ", ".join(sorted(boards - {HERE}))
    if foreign and not how.emulate:
        return (f"measured on this machine, not on {foreign}; --emulate paces to them",)
    return ()


def _one(graph: Graph, each: CutPlan, how: Sweep, samples: Samples, before: Sequence[SplitFigures]) -> SplitFigures:
    """One cut: run it, or say why not."""
    figures = SplitFigures(
        number=each.number,
        after=each.after,
        units=(each.plan.units[0], each.plan.units[1]),
        bytes=each.cut.bytes,
        tensors=each.cut.tensors,
        twin=each.twin,
        window=each.plan.window,
        provenance="emulated" if how.emulate else "measured",
    )
    if why := _skipped(each, how, before):
        return replace(figures, skipped=why)
    repeats: list[SplitRepeat] = []
    try:
        figures = _run(graph, each, how, samples, figures, repeats)
    except WorkError as fault:
        return replace(figures, repeats=tuple(repeats), failure=fault.message)
    return replace(figures, repeats=tuple(repeats))


def _skipped(each: CutPlan, how: Sweep, before: Sequence[SplitFigures]) -> str:
    """Why this cut need not, or cannot, be run; nothing if it is to be."""
    if not each.fits:
        memory = each.plan.prediction.memory_bytes
        needs = ", ".join(f"{format_bytes(size)} on {device}" for device, size in memory.items())
        return f"would not fit the memory: {needs}"
    link_s = each.twin.link_busy_s
    if link_s <= how.hopeless_s:
        return ""
    least_s = link_s + each.twin.link_latency_s
    for other in before:
        if other.done and other.latency_s <= least_s and other.period_s <= link_s:
            return (
                f"its link alone takes {format_seconds(link_s)}: beaten by cut {other.number} whatever it computes"
            )
    return ""


def _run(
    graph: Graph,
    each: CutPlan,
    how: Sweep,
    samples: Samples,
    figures: SplitFigures,
    repeats: list[SplitRepeat],
) -> SplitFigures:
    """Repeats of one cut on workers that are started once; `repeats` keeps them, whatever comes."""
    plan = each.plan
    program, folder = with_files(graph, lower(graph, plan))
    tempo = pace_of(plan, program) if how.emulate else None
    with connected(plan, program, folder, how.settings, tempo) as coordinator:
        warmed = warm(coordinator, samples)
        stretch = stretch_of(plan, warmed) if how.emulate else 1.0
        pipe = _Pipe(coordinator, program, each, samples, stretch, {})
        alone_s = _alone_s(warmed.observed)
        items = _items(each, how, alone_s)
        figures = replace(figures, items=items)
        for repeat in range(how.repeats):
            alone = pipe.run(_items_alone(how, alone_s), 1)
            several = pipe.run(items, plan.window)
            repeats.append(_repeat(figures.units, alone, several))
            if repeat == 0:
                figures = _compared(figures, samples, pipe.answers)
        coordinator.stop()
    return figures


@dataclass(frozen=True)
class _Pipe:
    """The connected workers of one cut."""

    coordinator: Coordinator
    program: Program
    each: CutPlan
    samples: Samples
    stretch: float
    answers: dict[int, Arrays]

    def run(self, items: int, window: int) -> Run:
        """Run so many items.

        Raises:
            WorkerDied: a worker was lost.
            PaceError: this machine cannot keep up with the boards it emulates.
        """
        self.answers.clear()
        workload = replace(self.each.plan.workload, items=items, window=window)
        driver = catalog.make("program/drivers", "stream")
        outcome = self.coordinator.run(driver, workload, self.samples.of, self.answers.__setitem__, self.stretch)
        if outcome.failure:
            raise WorkerDied(outcome.failure)
        refuse_late(outcome.observed.late_share)
        name = self.each.plan.model.name
        return account(
            outcome.observed, self.program, self.each.plan.fleet, workload=workload, provenance="measured",
            about=About(name, name),
        )  # fmt: skip


def _compared(figures: SplitFigures, samples: Samples, answers: dict[int, Arrays]) -> SplitFigures:
    found = compare(samples, answers)
    return replace(
        figures,
        outputs_match=found.match,
        max_abs_difference=found.max_abs_difference,
        reference_magnitude=found.reference_magnitude,
    )


def _repeat(units: tuple[str, str], alone: Run, several: Run) -> SplitRepeat:
    """Parts and network as items had them that went one at a time: nothing waited for anything then."""
    parts = [list(_busy_s(alone, unit).values()) for unit in units]
    return SplitRepeat(
        latency_s=median(alone.latencies_s),
        sequential_period_s=alone.period_s,
        period_s=several.period_s,
        first_s=median(parts[0]),
        second_s=median(parts[1]),
        network_s=median(_network_s(alone, *units)),
    )


def _busy_s(run: Run, unit: str) -> dict[int, float]:
    """Seconds of work of `unit`, by item."""
    found: dict[int, float] = {}
    for span in run.spans:
        if span.kind == "run" and span.unit == unit:
            found[span.item] = found.get(span.item, 0.0) + span.end_s - span.start_s
    return found


def _network_s(run: Run, first: str, second: str) -> Iterator[float]:
    """From the moment the first unit began to send an item until the second began to work on it."""
    sent = {span.item: span.start_s for span in run.spans if span.kind == "transfer" and span.unit == first}
    begun: dict[int, float] = {}
    for span in run.spans:
        if span.kind == "run" and span.unit == second:
            begun[span.item] = min(span.start_s, begun.get(span.item, inf))
    return (begun[item] - sent[item] for item in begun if item in sent)


def _alone_s(warmed: Observed) -> float:
    """How long an item takes alone."""
    return median(answer.answered_s - answer.arrived_s for answer in warmed.answers)


def _most_items(each: CutPlan, how: Sweep) -> int:
    return max(2 * each.plan.window + 2, how.items)


def _items(each: CutPlan, how: Sweep, alone_s: float) -> int:
    """Items of a pipelined run: enough for a steady part, more as time allows."""
    period_s = max(each.twin.period_s, alone_s / each.plan.window)
    return max(2 * each.plan.window + 2, int(min(how.items, how.seconds / period_s)))


def _items_alone(how: Sweep, alone_s: float) -> int:
    return max(LEAST_ALONE, int(min(how.items // 4, how.seconds / alone_s / 2)))
