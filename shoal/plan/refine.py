"""A front judged again by measurement: every segment that this machine would run is run here, alone, first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from shoal.cost.models.table import threads_of
from shoal.errors import WorkError
from shoal.fleet import Fleet
from shoal.graph import Graph, divide
from shoal.measure import Table, load_table, machine_id, segment_subject, table_path
from shoal.measure.segment import profile_segment
from shoal.plan.costs import HERE, costs_of
from shoal.plan.limits import keeps
from shoal.plan.lower import lower
from shoal.plan.predict import forecast
from shoal.plan.search import choose
from shoal.plan.values import Front, Plan
from shoal.plan.written import with_files
from shoal.record import Sample


def refined(graph: Graph, front: Front) -> Front:
    """`front` with times and memory of its segments measured here, plans that break a limit dropped, chosen anew.

    Segments on boards that are not this machine keep their estimates. What is measured is kept in the model's
    table and never measured again.

    Raises:
        WorkError: no plan of the front can run here, or none keeps the limits any more.
    """
    fleet = front.plan.fleet
    runnable = [plan for plan in front.plans if _measure(divide(graph, plan.splits).graph, fleet, plan)]
    plans = []
    for plan in runnable:
        divided = divide(graph, plan.splits).graph
        found = forecast(lower(divided, plan), fleet, costs_of(divided, fleet, measure=False), plan.workload)
        plans.append(replace(plan, prediction=found.prediction, estimates=found.estimates))
    kept = [plan for plan in plans if keeps(plan)]
    if not kept:
        raise WorkError("no plan of the front keeps its limits as measured", had=f"{len(front.plans)} plans")
    notes = (*front.notes, "segments on this machine were measured")
    return Front(tuple(kept), choose(kept), front.exact, notes)


def _measure(graph: Graph, fleet: Fleet, plan: Plan) -> bool:
    """Measure what the plan would run here and was not measured yet; whether all of it runs."""
    path = table_path(graph.identity)
    table = load_table(path)
    try:
        samples = tuple(_missing(graph, fleet, plan, table))
    except WorkError:
        return False  # an engine that refuses a segment takes the plan with it, others remain
    Table(samples).save(path)
    return True


def _missing(graph: Graph, fleet: Fleet, plan: Plan, table: Table) -> Iterable[Sample]:
    program, folder = with_files(graph, lower(graph, plan))
    here = table.of(machine_id())
    for segment in program.segments:
        if fleet.device(segment.unit).board != HERE:
            continue
        threads = threads_of(fleet, segment.unit)
        subject = segment_subject(graph.identity, segment.ops)
        if here.find(subject, segment.engine, segment.format, threads) is None:
            yield profile_segment(program, segment, folder, model=graph.identity, threads=threads)
