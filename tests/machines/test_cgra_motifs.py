"""Motifs: every three that fits, disjoint ones, none that wait for one another."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.machines.cgra import Dataflow, Motif, Node, Read, coverage, exact, greedy, kernel
from shoal.machines.cgra._motifs import _deadlock, candidates


@st.composite
def graphs(draw: st.DrawFn) -> Dataflow:
    """Small ones in which each node reads one or two before it."""
    nodes = [Node("add", (Read(0, 1, (0,)), 1))]
    for at in range(1, draw(st.integers(2, 9))):
        first, second = draw(st.integers(0, at - 1)), draw(st.integers(0, at - 1))
        nodes.append(Node("add", (Read(first), Read(second) if second != first else 1)))
    return Dataflow("drawn", tuple(nodes))


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_the_exact_choice_is_the_best_of_all_and_greedy_never_beats_it(graph: Dataflow) -> None:
    pytest.importorskip("highspy")
    every = candidates(graph)
    best = 0
    for count in range(len(graph.nodes) // 3, 0, -1):
        if any(possible(graph, chosen) for chosen in combinations(every, count)):
            best = count
            break
    assert len(exact(graph)) == best
    found = greedy(graph, tries=50)
    assert len(found) <= best
    assert not found or possible(graph, found)


def possible(graph: Dataflow, motifs: tuple[Motif, ...]) -> bool:
    nodes = [node for motif in motifs for node in motif.nodes]
    return len(nodes) == len(set(nodes)) and not _deadlock(graph, motifs)


def test_two_threes_that_wait_for_one_another_are_not_both_taken() -> None:
    # 0 → 1 → 2 and 3 → 4 → 5 are chains; 0 → 4 … and 3 → 1 tie them into a circle once each is one node
    nodes = (
        Node("add", (Read(0, 1, (0,)), 1)), Node("add", (Read(0), Read(3))), Node("add", (Read(1), 1)),
        Node("add", (Read(3, 1, (0,)), 2)), Node("add", (Read(3), Read(0))), Node("add", (Read(4), 1)),
    )  # fmt: skip
    graph = Dataflow("circle", nodes)
    pair = (Motif("chain", (0, 1, 2)), Motif("chain", (3, 4, 5)))
    assert sorted(_deadlock(graph, pair)) == [0, 1]
    assert not _deadlock(graph, pair[:1])


def test_loads_and_stores_are_in_no_motif() -> None:
    graph = kernel("fdtd").graph(2)
    found = greedy(graph)
    assert found
    assert not any(graph.nodes[node].memory for motif in found for node in motif.nodes)
    assert coverage(graph, found) == pytest.approx(3 * len(found) / 18)
