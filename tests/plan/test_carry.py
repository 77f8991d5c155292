"""What carried tensors become in a Program."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.errors import PlanError, ProgramError
from shoal.plan.lower import program_of
from shoal.plan.values import Replica
from shoal.program import CLIENT, Program, Step
from tests.graph.recurrent import NETS
from tests.plan.toys import placed

A, B = "a/cpu", "b/cpu"


def lowered(name: str, folder: Path, pattern: str, scope: str = "session") -> Program:
    """Op i on the unit of letter i."""
    graph = NETS[name].load(folder, scope)
    return program_of(graph, (Replica(placed(graph, [f"{letter}/cpu" for letter in pattern])),), 4, name)


def previous(program: Program) -> list[tuple[str, str, str, str]]:
    return [(e.source, e.target, e.tensor, e.delivers) for e in program.edges if e.takes == "previous"]


@pytest.mark.parametrize("scope", ["session", "stream"])
def test_a_loop_on_one_unit_is_a_state_of_one_segment(scope: str, tmp_path: Path) -> None:
    made = lowered("single", tmp_path, "aabbbaa", scope)
    (state,) = made.states
    assert (state.unit, state.reads, state.writes, state.initial, state.scope) == (B, "h", "h2", 0.5, scope)
    (segment,) = (segment for segment in made.segments if segment.states)
    assert segment.ops == ("hu", "s", "h2")
    assert previous(made) == []
    assert {edge.tensor for edge in made.edges if CLIENT in (edge.source, edge.target)} == {"x", "y"}
    assert made.routes[0].inputs == ("x>a/cpu",)


def test_a_loop_over_two_units_is_an_edge_from_item_to_item(tmp_path: Path) -> None:
    made = lowered("single", tmp_path, "aaaabbb", "stream")
    assert made.states == ()
    (edge,) = (edge for edge in made.edges if edge.takes == "previous")
    assert (edge.source, edge.target, edge.tensor, edge.delivers) == (B, A, "h2", "h")
    assert (edge.initial, edge.scope, edge.buffer_items) == (0.5, "stream", 5)
    writer = next(task for task in made.routes[0].tasks if task.unit == B)
    assert Step("send", edge.name) in writer.steps


def test_who_else_reads_a_state_is_sent_what_it_was(tmp_path: Path) -> None:
    """y = … + h on a, in another segment than the loop; z = hT on b, with y's summand before it."""
    made = lowered("tapped", tmp_path, "aaaabbab")
    assert [state.unit for state in made.states] == [A]
    assert previous(made) == [(A, A, "h2", "h"), (A, B, "h2", "h")]
    assert made.edge["h2>h>a/cpu"].inside


def test_two_loops_that_feed_each_other_are_one_piece_where_they_are_together(tmp_path: Path) -> None:
    made = lowered("coupled", tmp_path, "aaaaab")
    assert [(segment.unit, len(segment.ops), segment.states) for segment in made.segments] == [
        (A, 5, ("h", "g")),
        (B, 1, ()),
    ]
    apart = lowered("coupled", tmp_path, "aabbbb")
    assert sorted(previous(apart)) == [(B, A, "g2", "g"), (B, B, "h2", "h")]


def test_replicas_cannot_share_a_state(tmp_path: Path) -> None:
    graph = NETS["single"].load(tmp_path)
    replicas = tuple(Replica(placed(graph, [unit] * len(graph.ops)), 0.5) for unit in (A, B))
    with pytest.raises(PlanError, match=r"state of their own \(needed one replica, had h=h2\)"):
        program_of(graph, replicas, 4, "twice")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("aabaaaa", "no message tells that an item is there"), ("aababbb", "before any message tells")],
)
def test_a_unit_that_only_begins_with_a_state_is_refused(pattern: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=message):
        lowered("single", tmp_path, pattern)
