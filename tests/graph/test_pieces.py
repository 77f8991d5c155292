from __future__ import annotations

from dataclasses import replace
from graphlib import TopologicalSorter
from math import inf

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


def heavy(net: Graph, names: str) -> Graph:
    """The same graph, with ops that multiply."""
    return replace(net, ops=tuple(replace(op, macs=int(op.name in names.split())) for op in net.ops))


def test_what_others_wait_for_leaves_before_heavy_work_that_it_does_not_need() -> None:
    net = graph({"a": "x", "s": "x", "b": "a", "far": "s", "d": "b far"}, "d")
    assert split(net, "aaaba") == [("a", "a s b"), ("b", "far"), ("a", "d")]
    assert split(heavy(net, "a b"), "aaaba") == [("a", "s"), ("a", "a b"), ("b", "far"), ("a", "d")]


def test_of_several_tensors_the_one_with_less_work_before_it_leaves_first() -> None:
    net = graph({"s": "x", "a": "x", "t": "a", "b": "t", "u": "s", "v": "t u", "c": "b v"}, "c")
    assert split(heavy(net, "a b"), "aaaabba") == [
        ("a", "s"),
        ("a", "a t"),
        ("a", "b"),
        ("b", "u"),
        ("b", "v"),
        ("a", "c"),
    ]


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


def urgency(net: Graph, groups: dict[str, str]) -> dict[str, float]:
    """Op to the least number of heavy ops before a tensor that it, or its owner's ops after it, make for another."""
    depth: dict[str, int] = {}
    for op in net.ops:
        before = [depth[net.ops[net.producer[name]].name] for name in op.inputs if name in net.producer]
        depth[op.name] = max(before, default=0) + (op.macs > 0)
    found: dict[str, float] = {}
    for op in reversed(net.ops):
        readers = [net.ops[index].name for name in op.outputs for index in net.consumers[name]]
        far = [float(depth[op.name]) for name in readers if groups[name] != groups[op.name]]
        found[op.name] = min(
            [*far, *(found[name] for name in readers if groups[name] == groups[op.name])], default=inf
        )
    return found


@settings(max_examples=300)
@given(
    random_graphs(),
    st.lists(st.sampled_from("abc"), min_size=14, max_size=14),
    st.lists(st.booleans(), min_size=14, max_size=14),
)
def test_pieces_of_any_graph_under_any_owners(net: Graph, letters: list[str], multiply: list[bool]) -> None:
    net = heavy(net, " ".join(op.name for op, one in zip(net.ops, multiply, strict=False) if one))
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
    needed, free, urgent = foreign(net, groups, made), floating(net, groups), urgency(net, groups)
    kinds = set()
    for piece in made:
        assert {groups[name] for name in piece.ops} == {piece.owner}
        assert (piece.inputs, piece.outputs) == boundary(net, piece.ops)
        assert list(piece.ops) == sorted(piece.ops, key=net.position.__getitem__)
        ordinary = [name for name in piece.ops if name not in free]
        assert len({frozenset(needed[name]) for name in ordinary}) <= 1  # no op waits for what only another needs
        for_others = {urgent[name] for name in ordinary} - {inf}
        assert len(for_others) <= 1  # nothing is kept back by heavy work that it does not need
        for_nobody = [net.ops[net.position[name]] for name in ordinary if urgent[name] == inf]
        assert not for_others or not any(op.macs for op in for_nobody)
        if ordinary:
            kinds.add((piece.owner, frozenset(needed[ordinary[0]]), min((*for_others, inf))))
    assert len(kinds) == sum(1 for piece in made if not free.issuperset(piece.ops))  # no two pieces could be one
