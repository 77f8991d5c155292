from __future__ import annotations

from graphlib import TopologicalSorter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.errors import PlanError
from shoal.graph import Graph, Piece, boundary, cuts, load, pieces
from tests.graph.graphs import graph, random_graphs
from tests.graph.models import light


def owned(net: Graph, text: str) -> dict[str, str]:
    """Owners by letter, one for each op in order."""
    return dict(zip(net.position, text, strict=True))


def split(net: Graph, text: str) -> list[tuple[str, str]]:
    return [(piece.owner, " ".join(piece.ops)) for piece in pieces(net, owned(net, text))]


def test_consecutive_stages_are_one_piece_each() -> None:
    resnet = load(light("resnet50"))
    places = [cut.after for cut in cuts(resnet)][4:16:4]
    groups = {op.name: str(sum(index > place for place in places)) for index, op in enumerate(resnet.ops)}
    made = pieces(resnet, groups)
    assert [piece.owner for piece in made] == ["0", "1", "2", "3"]
    assert [piece.outputs for piece in made[:-1]] == [piece.inputs for piece in made[1:]]


def test_a_stage_fed_by_several_tensors_of_one_other_is_one_piece() -> None:
    net = graph({"a": "x", "b": "a", "c": "a", "d": "b", "e": "c d"}, "e")
    assert split(net, "aabbb") == [("a", "a b"), ("b", "c d e")]


def test_a_branch_leaves_before_the_other_has_its_input() -> None:
    net = graph({"a": "x", "b": "x", "c": "a", "d": "b c"}, "d")
    assert split(net, "aaba") == [("a", "a b"), ("b", "c"), ("a", "d")]


def test_a_piece_does_not_wait_for_what_part_of_it_needs() -> None:
    net = graph({"a": "x", "far": "x", "b": "a", "c": "far", "d": "b c"}, "d")
    assert split(net, "abccc") == [("a", "a"), ("b", "far"), ("c", "b"), ("c", "c"), ("c", "d")]


def test_alternating_owners() -> None:
    net = graph({"a": "x", "b": "a", "c": "b", "d": "c"}, "d")
    assert split(net, "abab") == [("a", "a"), ("b", "b"), ("a", "c"), ("b", "d")]


def test_unpacked_weights_go_with_their_reader() -> None:
    net = graph({"a": "x", "w": "W", "v": "w", "b": "a v", "c": "b v"}, "c")
    assert split(net, "abbbb") == [("a", "a"), ("b", "w v b c")]
    assert split(net, "abbba") == [("a", "a"), ("b", "w v"), ("b", "b"), ("a", "c")]


def test_every_op_has_an_owner() -> None:
    net = graph({"a": "x", "b": "a"}, "b")
    with pytest.raises(PlanError, match="op 'b' is given to nobody"):
        pieces(net, {"a": "u"})
    with pytest.raises(PlanError, match="no op 'z'"):
        pieces(net, {"a": "u", "b": "u", "z": "u"})


def foreign(net: Graph, groups: dict[str, str], made: tuple[Piece, ...]) -> dict[str, set[int]]:
    """Op to the places, in `made`, of other owners' pieces it needs, walking back through its own owner's."""
    place = {name: index for index, piece in enumerate(made) for name in piece.ops}
    needed: dict[str, set[int]] = {}
    for op in net.ops:
        needed[op.name] = set()
        for name in op.inputs:
            if name in net.producer:
                source = net.ops[net.producer[name]].name
                same = groups[source] == groups[op.name]
                needed[op.name] |= needed[source] if same else {place[source]}
    return needed


def floating(net: Graph, groups: dict[str, str]) -> set[str]:
    """Ops that need no input and that only their own owner reads, ops like them aside."""
    found: set[str] = set()
    for op in net.ops:
        readers = {groups[net.ops[reader].name] for name in op.outputs for reader in net.consumers[name]}
        if found.issuperset(op.inputs) and readers == {groups[op.name]} and op.name not in net.outputs:
            found.add(op.name)
    return found


@settings(max_examples=300)
@given(random_graphs(), st.lists(st.sampled_from("abc"), min_size=14, max_size=14))
def test_pieces_of_any_graph_under_any_owners(net: Graph, letters: list[str]) -> None:
    groups = dict(zip(net.position, letters, strict=False))
    made = pieces(net, groups)
    assert sorted(name for piece in made for name in piece.ops) == sorted(net.position)
    place = {name: index for index, piece in enumerate(made) for name in piece.ops}
    arrows: dict[int, set[int]] = {index: set() for index in range(len(made))}
    for op in net.ops:
        for name in op.inputs:
            if name in net.producer:
                source = place[net.ops[net.producer[name]].name]
                if source != place[op.name]:
                    assert source < place[op.name]  # in an order in which they can run
                    arrows[place[op.name]].add(source)
    list(TopologicalSorter(arrows).static_order())  # raises on a cycle
    needed, free = foreign(net, groups, made), floating(net, groups)
    kinds = set()
    for piece in made:
        assert {groups[name] for name in piece.ops} == {piece.owner}
        assert (piece.inputs, piece.outputs) == boundary(net, piece.ops)
        assert list(piece.ops) == sorted(piece.ops, key=net.position.__getitem__)
        waits = {frozenset(needed[name]) for name in piece.ops if name not in free}
        assert len(waits) <= 1  # no op waits for what only another needs
        if waits:
            kinds.add((piece.owner, *waits))
    ordinary = [piece for piece in made if not free.issuperset(piece.ops)]
    assert len(kinds) == len(ordinary)  # no two pieces could be one
