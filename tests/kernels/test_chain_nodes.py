from __future__ import annotations

from itertools import permutations

import pytest

from shoal.kernels import ChainNode, count_unordered, ordered_nodes, unordered_nodes


def orders(nodes: tuple[ChainNode, ...]) -> list[tuple[int, ...]]:
    """The units of every way through the nodes."""
    ways: list[list[tuple[int, ...]]] = []
    for node in nodes:
        begun = [(node.unit,)] if node.starts else []
        ways.append([*begun, *((*way, node.unit) for before in node.before for way in ways[before])])
    return [way for each in ways for way in each]


def test_in_order_any_units_are_left_out() -> None:
    found = orders(ordered_nodes([2, 0, 1]))
    assert sorted(found) == sorted([(2,), (0,), (1,), (2, 0), (2, 1), (0, 1), (2, 0, 1)])


@pytest.mark.parametrize("alike", [(0, 1, 2), (0, 0, 2), (0, 1, 0, 1), (0, 0, 0, 0), (0, 1, 2, 1)])
def test_out_of_order_every_row_of_kinds_is_there_once(alike: tuple[int, ...]) -> None:
    nodes = unordered_nodes(alike)
    assert len(nodes) == count_unordered(alike)
    found = orders(nodes)
    kinds = [tuple(alike[unit] for unit in way) for way in found]
    every = {
        tuple(alike[unit] for unit in way)
        for k in range(1, len(alike) + 1)
        for way in permutations(range(len(alike)), k)
    }
    assert sorted(kinds) == sorted(every)
    for way in found:  # of one kind the first comes first
        assert all(
            unit < later for i, unit in enumerate(way) for later in way[i + 1 :] if alike[unit] == alike[later]
        )


def test_what_is_left_is_what_was_not_used() -> None:
    for node, way in zip(ordered_nodes(range(3)), ({1, 2}, {2}, set()), strict=True):
        assert node.left == way
    assert {node.left for node in unordered_nodes((0, 1)) if node.unit == 1} == {frozenset({0}), frozenset()}


def test_eight_units_are_a_thousand_states_and_of_four_kinds_two_hundred() -> None:
    assert count_unordered(range(8)) == 1024
    assert count_unordered((0, 0, 2, 2, 4, 4, 6, 6)) == 216


@pytest.mark.parametrize("alike", [(0, 1, 2), (0, 0, 2), (0, 1, 0, 1)])
def test_within_a_node_lie_those_that_can_go_on_as_it_does(alike: tuple[int, ...]) -> None:
    nodes = unordered_nodes(alike)
    assert sum(len(node.within) for node in nodes) > 0
    for place, node in enumerate(nodes):
        for other in node.within:
            less = nodes[other]
            assert other < place
            assert alike[less.unit] == alike[node.unit]
            assert node.left < less.left
            assert len(less.left - node.left) == 1
