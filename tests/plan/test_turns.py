"""Groups of one unit: they go in the order in which they are listed, as far as data allows."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

from shoal.graph import Graph, load, pieces
from shoal.plan.lower import program_of
from shoal.plan.turns import in_turn, together
from shoal.plan.values import Group, Replica
from tests.graph.models import floats, info, model, node, write


def fork(folder: Path) -> Graph:
    """x → three convolutions, of which the last feeds a fourth → their sum."""
    nodes = [node("Conv", f"x w{i}", f"c{i}", pads=[1, 1, 1, 1]) for i in range(3)]
    nodes += [node("Conv", "c2 w3", "c3", pads=[1, 1, 1, 1]), node("Sum", "c0 c1 c3", "y")]
    made = model(nodes, [info("x", [1, 3, 8, 8])], ["y"], {f"w{i}": floats(3, 3, 3, 3, seed=i) for i in range(4)})
    return load(write(made, folder))


def steps(graph: Graph, groups: tuple[Group, ...], unit: str) -> list[tuple[str, ...]]:
    """Ops of the segments of `unit`, in the order of its steps."""
    program = program_of(graph, (Replica(groups),), 1, "fork")
    task = next(task for task in program.routes[0].tasks if task.unit == unit)
    return [program.segment[step.name].ops for step in task.steps if step.kind == "run"]


def test_a_units_groups_go_in_their_order(tmp_path: Path) -> None:
    graph = fork(tmp_path)
    for order in permutations(("c0", "c1", "c2")):
        groups = (*(Group("a/cpu", (op,)) for op in order), Group("b/cpu", ("c3",)), Group("a/cpu", ("y",)))
        assert steps(graph, groups, "a/cpu") == [*((op,) for op in order), ("y",)]


def test_data_comes_before_order(tmp_path: Path) -> None:
    graph = fork(tmp_path)
    groups = tuple(Group("a/cpu", (op,)) for op in ("y", "c3", "c1", "c2", "c0"))
    assert steps(graph, groups, "a/cpu") == [("c1",), ("c2",), ("c3",), ("c0",), ("y",)]


def test_one_group_a_unit_stays_as_it_was(tmp_path: Path) -> None:
    graph = fork(tmp_path)
    groups = (Group("b/cpu", ("c3",)), Group("a/cpu", ("c0", "c1", "c2", "y")))
    found = pieces(graph, {op: str(index) for index, group in enumerate(groups) for op in group.ops})
    assert in_turn(found, groups) == found


def test_together_they_are_one(tmp_path: Path) -> None:
    groups = (
        Group("a/cpu", ("p",)),
        Group("b/cpu", ("q",)),
        Group("a/cpu", ("r",)),
        Group("a/cpu", ("s",), "ncnn"),
    )
    assert together(groups) == (Group("a/cpu", ("p", "r")), groups[1], groups[3])
