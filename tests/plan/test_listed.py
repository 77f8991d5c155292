"""A list scheduler's placement: the Program it becomes takes as long as the schedule says."""

from __future__ import annotations

import pytest

from shoal import catalog
from shoal.errors import InputError, LimitError
from shoal.fleet import Fleet, Link
from shoal.plan import ModelRef, Objective, Replica, Wishes, search
from shoal.plan.lower import program_of
from shoal.plan.placement import Assessor
from shoal.plan.planners.chain_dp import ChainDp
from shoal.plan.planners.listed import Listed, groups_of
from shoal.plan.predict import forecast
from shoal.plan.tasks import operator_tasks
from shoal.program import Workload
from tests.plan.toys import MIB, device, light_graph, problem, three

FAST = Link("fast", (), 1.25e8, 1e-4)


def quick_links() -> Fleet:
    return Fleet((device("a", 10), device("b", 25), device("c", 20)), (), FAST)


@pytest.mark.parametrize("scheduler", ["heft", "peft", "cpop", "fifo", "met"])
@pytest.mark.parametrize("name", ["inception_v1", "inception_v2", "densenet121", "squeezenet"])
def test_the_simulated_latency_is_the_schedules_makespan(name: str, scheduler: str) -> None:
    """The Program goes by the schedule; messages that wait for one another on a link make the difference."""
    asked = problem(light_graph(name), quick_links())
    work = operator_tasks(asked, 1e-4)
    schedule = catalog.make("plan/schedulers", scheduler).schedule(work.tasks, work.processors)
    groups = groups_of(asked, work, schedule)
    program = program_of(asked.graph, (Replica(groups),), asked.window, name)
    found = forecast(program, asked.fleet, asked.costs, Workload(items=1, window=1))
    assert found.prediction.alone_latency_s == pytest.approx(schedule.makespan_s, rel=0.02)


def test_branches_run_side_by_side() -> None:
    """No division into consecutive groups is quicker than the best unit alone; the branches gain a quarter."""
    asked = problem(light_graph("inception_v2"), quick_links())
    rows = ChainDp(epsilon=0.05).search(asked)
    for scheduler in ("heft", "peft", "cpop"):
        found = Listed(scheduler).search(asked)
        assert found.scores[0, 0] < 0.81 * rows.scores[:, 0].min()
        assert {group.unit for group in found.placements[0]} == set(asked.units)


def test_too_little_memory_sends_tasks_elsewhere() -> None:
    graph = light_graph("inception_v2")
    free = Listed("peft").search(problem(graph, three()))
    tight = problem(graph, three(), memory_mib=int(free.scores[0, 3] / MIB * 0.85))
    found = Listed("peft").search(tight)
    assert Assessor(tight).assess(found.placements[0]).excess == 0
    assert found.scores[0, 3] < free.scores[0, 3] * 0.85
    assert found.scores[0, 0] > free.scores[0, 0]


def test_options_of_the_scheduler_pass_through() -> None:
    made = catalog.make("plan/planners", "listed:scheduler=heft:insertion=false,min_task_s=0.01")
    assert made == Listed("heft:insertion=false", 0.01)
    asked = problem(light_graph("squeezenet"), three())
    assert made.search(asked).placements
    with pytest.raises(InputError, match="no scheduler is called 'hefty'"):
        Listed("hefty").search(asked)
    with pytest.raises(LimitError, match=r"squeezenet: too many tasks .*needed at most 10"):
        Listed("optimal").search(asked)


def test_a_search_by_it_gives_a_plan() -> None:
    graph, machines = light_graph("inception_v2"), quick_links()
    asked = Wishes(Objective(("latency",)), planner="listed:scheduler=peft")
    front = search(graph, ModelRef(graph.name, "x.onnx", ""), machines, problem(graph, machines).costs, asked)
    assert front.plan.recipe.planner == "listed:scheduler=peft"
    assert set(front.plan.units) == {"a/cpu", "b/cpu", "c/cpu"}
    assert len(front.plan.reasons[0]) < 200  # one figure for each unit, however many groups
    assert front.plan.prediction.alone_latency_s < 0.3
