"""Several plans of one model as the epochs of one run: a driver changes between them while items pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from shoal.cost import account, faults
from shoal.errors import PlanError
from shoal.graph import Graph
from shoal.plan.lower import lower
from shoal.plan.values import Plan
from shoal.plan.written import with_files
from shoal.program import Driver, Epoch, Pace, Program, Workload, checked, joined, switches, used_epochs
from shoal.record import Fact, Provenance, Run, Trace
from shoal.run.coordinator import Coordinator, Outcome
from shoal.run.crew import Crew
from shoal.run.execute import (
    Settings,
    about,
    attempt,
    connected,
    crewed,
    model_of,
    outline_of,
    pace_of,
    provenance_of,
    refuse_late,
    remarks,
    stretch_of,
    warm,
)
from shoal.run.inputs import check_inputs
from shoal.run.roster import Standby
from shoal.run.samples import Arrays, Samples, answered, compare, digest, drawn
from shoal.run.upkeep import Upkeep, among
from shoal.sim import simulate_epochs


@dataclass(frozen=True)
class EpochsResult:
    """The Run over all epochs; what happened, answer by answer; and the outputs, unless it was simulated."""

    run: Run
    outcome: Outcome
    answers: Mapping[int, Arrays] | None = None


@dataclass(frozen=True)
class _Planned:
    """A plan as an epoch; its program has no files yet."""

    plan: Plan
    graph: Graph
    program: Program


@contextmanager
def opened_epochs(
    plans: Sequence[Plan], settings: Settings | None = None, *, prepare_s: float | None = None
) -> Iterator[Coordinator]:
    """Start the workers of the first of `plans`, and those of the others when a driver prepares their epoch.

        with opened_epochs([few, many]) as coordinator:
            coordinator.run(Replan(table), workload, inputs, sink)

    The plan at index n is epoch n. Workers of two epochs are processes of their own, so while both are there they
    hold the memory of both plans; a driver that retires the epoch it left keeps that short.

    Args:
        plans: of one model, or at least of models that take and give the same.
        settings: of them `over`, `emulate` and `patience_s` count.
        prepare_s: state how long preparing takes, instead of taking as long as it does; all workers are then
            started at once. Boards that are emulated have 0 unless another time is stated.

    Raises:
        PlanError: a model changed or no longer fits its plan, or items cannot be switched between the plans.
        WorkError: a worker of the first plan could not start.
    """
    chosen = settings or Settings()
    with _opened(_planned(plans), chosen, prepare_s) as coordinator:
        yield coordinator
        coordinator.stop()


def execute_epochs(
    plans: Sequence[Plan],
    driver: Driver,
    workload: Workload,
    settings: Settings | None = None,
    given: Samples | None = None,
    *,
    prepare_s: float | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> EpochsResult:
    """Run `workload` as `driver` says over `plans`, beginning with the first, and account for all of it.

    Args:
        plans: as for `opened_epochs`.
        driver: starts items, and switches between epochs.
        workload: what comes; `settings.items` does not count.
        settings: how to run.
        given: inputs and expected outputs; drawn if none.
        prepare_s: as for `opened_epochs`.
        progress: told the number of items done.

    Raises:
        PlanError: as for `opened_epochs`.
        InputError: an input is missing or has the wrong type or shape, or the driver asks for an unknown epoch.
        PaceError: this machine could not keep up with the boards it was to emulate.
        WorkError: a worker could not start.
    """
    chosen = settings or Settings()
    planned = _planned(plans)
    graph, program = planned[0].graph, planned[0].program
    samples = given or drawn({name: program.tensors[name] for name in graph.inputs}, chosen.samples, chosen.seed)
    for item in samples.inputs:
        check_inputs(program, item)
    with _opened(planned, chosen, prepare_s) as coordinator:
        stretch = 1.0
        if chosen.emulate:
            stretch = max(
                stretch_of(each.plan, warm(coordinator, samples, first=epoch)) for epoch, each in enumerate(planned)
            )
        driven = attempt(coordinator, driver, workload, samples, stretch, progress, _upkeep(planned))
        if not driven.outcome.failure:
            coordinator.stop()
    refuse_late(driven.outcome.observed.late_share)
    if chosen.compare and not samples.expected and not driven.outcome.failure:
        samples = answered(graph, samples, workload, plans[0].machines)
    notes = remarks(plans[0], chosen, driven)
    run = _account(planned, driven.outcome, workload, chosen, notes, provenance_of(plans[0], chosen))
    matched = _matched(run, samples, driven.answers)
    return EpochsResult(replace(matched, alone_latency_s=driven.alone_s), driven.outcome, driven.answers)


def simulated_epochs(
    plans: Sequence[Plan], driver: Driver, workload: Workload, *, prepare_s: float = 0.0, trace: Trace | None = None
) -> EpochsResult:
    """The same in simulated time, on the machines as the plans' costs describe them.

    Raises:
        PlanError: as for `opened_epochs`.
        InputError: the driver asks for an unknown epoch.
    """
    planned = _planned(plans)
    epochs = {
        number: Epoch(each.program, pace_of(each.plan, each.program), prepare_s)
        for number, each in enumerate(planned)
    }
    observed = simulate_epochs(epochs, driver, workload, trace)
    programs = {epoch: planned[epoch].program for epoch in used_epochs(observed.facts)}
    outcome = Outcome(observed, programs=programs)
    return EpochsResult(_account(planned, outcome, workload, Settings(), (), "simulated"), outcome)


def _planned(plans: Sequence[Plan]) -> list[_Planned]:
    if not plans:
        raise PlanError("a run needs at least one plan")
    planned = []
    for epoch, plan in enumerate(plans):
        graph = model_of(plan)
        planned.append(_Planned(plan, graph, replace(lower(graph, plan), epoch=epoch)))
    checked({epoch: each.program for epoch, each in enumerate(planned)})
    return planned


def _upkeep(planned: Sequence[_Planned]) -> Upkeep:
    """A driver that seeks a plan for other devices is given the best of these."""
    known = {epoch: (each.program.devices, each.plan.prediction.period_s) for epoch, each in enumerate(planned)}
    return Upkeep(seek=among(known))


def _opened(
    planned: Sequence[_Planned], settings: Settings, prepare_s: float | None
) -> AbstractContextManager[Coordinator]:
    stated_s = 0.0 if prepare_s is None and settings.emulate else prepare_s
    others = {epoch: Standby(partial(_crew, each, settings), stated_s) for epoch, each in enumerate(planned)}
    first = planned[0]
    program, folder = with_files(first.graph, first.program)
    return connected(first.plan, program, folder, settings, _tempo(first, program, settings), others)


@contextmanager
def _crew(planned: _Planned, settings: Settings) -> Iterator[Crew]:
    program, folder = with_files(planned.graph, planned.program)
    with crewed(planned.plan, program, folder, settings, _tempo(planned, program, settings)) as crew:
        yield crew


def _tempo(planned: _Planned, program: Program, settings: Settings) -> Pace | None:
    return pace_of(planned.plan, program) if settings.emulate else None


def _account(
    planned: Sequence[_Planned],
    outcome: Outcome,
    workload: Workload,
    settings: Settings,
    notes: tuple[str, ...],
    provenance: Provenance,
) -> Run:
    """The Run; bytes are checked in each epoch, and every change of epoch is told in the notes."""
    first, observed = planned[0], outcome.observed
    told = about(first.plan, settings, (*notes, *_story(observed.facts)))
    unsound = [
        f"epoch {epoch}: {fault}"
        for epoch, part in (outcome.parts.items() if len(outcome.parts) > 1 else ())
        for fault in faults(part, outcome.programs[epoch])
    ]
    run = account(
        observed,
        joined(outcome.programs or {0: first.program}),
        first.plan.fleet,
        workload=workload,
        provenance=provenance,
        about=replace(told, name=f"{first.plan.model.name} through {len(planned)} plans"),
        outline=outline_of(first.graph, first.plan),
    )
    return replace(run, notes=(*run.notes, *unsound))


def _matched(run: Run, samples: Samples, answers: Mapping[int, Arrays]) -> Run:
    compared = compare(samples, answers) if samples.expected and answers else None
    run = replace(run, output_digests={item: digest(outputs) for item, outputs in answers.items()})
    if compared is None:
        return run
    return replace(
        run,
        outputs_match=compared.match,
        max_abs_difference=compared.max_abs_difference,
        reference_magnitude=compared.reference_magnitude,
    )


def _story(facts: Sequence[Fact]) -> Iterator[str]:
    for fact in facts:
        if fact.kind == "prepare_s":
            yield f"{fact.subject} was prepared in {fact.value:.3g} s while another served, until item {fact.item}"
    for switch in switches(facts):
        yield f"items from {switch.item} on went through epoch {switch.epoch}; they waited {switch.drain_s:.3g} s"
