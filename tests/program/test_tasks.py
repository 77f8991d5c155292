"""Task graphs and processors at the door, and what a transfer costs."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

from shoal.errors import PlanError
from shoal.program.tasks import Dependency, Processors, TaskGraph


def graph(*edges: Dependency, seconds: float = 1.0) -> TaskGraph:
    return TaskGraph("job", ("read", "scale", "join", "write"), ((seconds, 2.0),) * 4, edges)


def test_a_circle_is_named() -> None:
    with pytest.raises(PlanError) as caught:
        graph(Dependency("read", "scale"), Dependency("scale", "join"), Dependency("join", "write"),
              Dependency("write", "scale"))  # fmt: skip
    assert caught.value.message == "job: tasks wait for each other in a circle: scale → join → write → scale"
    with pytest.raises(PlanError, match="in a circle: join → join"):
        graph(Dependency("join", "join"))


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (Dependency("read", "wrte"), "dependency read → wrte names an unknown task 'wrte'"),
        (Dependency("read", "scale", -1.0), "needed at least 0 B, had -1.0 B"),
        (Dependency("read", "scale", 0.0, inf), "a cost that is negative or not finite"),
    ],
)
def test_wrong_dependencies_are_refused(edge: Dependency, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        graph(edge)
    assert message in caught.value.message
    if edge.target == "wrte":
        assert caught.value.hint == "did you mean 'write'?"


def test_what_stands_twice_is_refused() -> None:
    with pytest.raises(PlanError, match="dependency read → join stands twice"):
        graph(Dependency("read", "join", 1), Dependency("read", "join", 2))
    with pytest.raises(PlanError, match="job: task 'a' stands twice"):
        TaskGraph("job", ("a", "a"), ((1.0,), (1.0,)))
    with pytest.raises(PlanError, match="processor 'p' stands twice"):
        Processors.alike(("p", "p"))


@pytest.mark.parametrize("seconds", [-1.0, nan])
def test_negative_times_are_refused(seconds: float) -> None:
    with pytest.raises(PlanError, match=f"task 'read' has a negative time on processor 0 .*had {seconds} s"):
        graph(seconds=seconds)


def test_a_task_that_nobody_can_run_is_named() -> None:
    with pytest.raises(PlanError, match=r"job: no processor can run task 'b' \(needed a finite time"):
        TaskGraph("job", ("a", "b"), ((1.0, inf), (inf, inf)))


def test_a_graph_without_tasks_is_refused() -> None:
    with pytest.raises(PlanError, match="job: a task graph needs at least one task"):
        TaskGraph("job", (), ())


def test_tables_of_another_size_are_refused() -> None:
    with pytest.raises(PlanError, match=r"each task needs its times .*needed 2, had 1"):
        TaskGraph("job", ("a", "b"), ((1.0,),))
    with pytest.raises(PlanError, match=r"task 'b' has times for another number .*needed 2, had 1"):
        TaskGraph("job", ("a", "b"), ((1.0, 2.0), (1.0,)))
    with pytest.raises(PlanError, match=r"the table of bandwidth has another size .*needed 2 × 2"):
        Processors(("a", "b"), ((0.0, 0.0),) * 2, ((1.0,),))
    with pytest.raises(PlanError, match="busy_w needs one figure"):
        Processors(("a",), ((0.0,),), ((1.0,),), busy_w=(1.0, 2.0))


def test_links_that_cannot_be_are_refused() -> None:
    with pytest.raises(PlanError, match="a → b: a latency is negative"):
        Processors.alike(("a", "b"), latency_s=-1.0)
    with pytest.raises(PlanError, match=r"a → b: a bandwidth is zero or below .*above 0 B/s, had 0.0 B/s"):
        Processors.alike(("a", "b"), bandwidth_bytes_per_s=0.0)
    with pytest.raises(PlanError, match="no processors"):
        Processors.alike(())


def test_transfers_cost_nothing_within_a_processor_and_means_leave_that_out() -> None:
    there = Processors(("a", "b"), ((9.0, 1.0), (3.0, 9.0)), ((1.0, 100.0), (300.0, 1.0)))
    edge = Dependency("u", "v", 600, 0.5)
    np.testing.assert_array_equal(there.cost_s(edge), [[0, 7.5], [5.5, 0]])
    assert [[there.between_s(edge, p, q) for q in (0, 1)] for p in (0, 1)] == [[0, 7.5], [5.5, 0]]
    assert there.mean_cost_s(edge) == 2.0 + 600 / 200 + 0.5
    assert Processors.alike(("a",), 1.0, 1.0).mean_cost_s(edge) == 0.0


def test_units_of_one_device_do_not_make_the_mean_bandwidth_endless() -> None:
    rates = ((inf, inf, 10.0), (inf, inf, 10.0), (10.0, 10.0, inf))
    there = Processors(("a/cpu", "a/gpu", "b"), ((0.0,) * 3,) * 3, rates)
    assert there.mean_cost_s(Dependency("u", "v", 100)) == 10.0
    assert Processors.alike(("a", "b"), 2.0).mean_cost_s(Dependency("u", "v", 100)) == 2.0


def test_the_order_is_topological_and_the_lowest_index_goes_first() -> None:
    made = graph(Dependency("write", "read"), Dependency("join", "scale"))
    assert [made.tasks[v] for v in made.order] == ["join", "scale", "write", "read"]
    assert made.rank == (3, 1, 0, 2)
