from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import ModelError
from shoal.graph import Carried, Graph, cuts, load, pieces
from tests.graph.graphs import graph, random_graphs
from tests.graph.models import info, model, node, write
from tests.graph.recurrent import NETS, ROW, single


def test_what_is_carried_is_neither_asked_for_nor_answered(tmp_path: Path) -> None:
    found = single().load(tmp_path)
    assert found.inputs == ("x",)
    assert found.outputs == ("y",)
    assert found.given == ("x", "h")
    assert found.finals == {"y", "h2"}
    assert found.carried == (Carried("h", "h2", 0.5),)
    plain = load(tmp_path / "single.onnx")
    assert plain.inputs == ("x", "h")
    assert plain.identity != found.identity  # its pieces have other outputs


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("single", [("hu", "s", "h2")]),
        ("double", [("hu", "s", "h2"), ("gt", "r", "g2")]),
        ("coupled", [("gt", "s", "h2", "hu", "g2")]),
        ("tapped", [("hu", "s", "h2")]),
        ("window", [("rest", "c2")]),
    ],
)
def test_the_ops_of_a_loop(name: str, wanted: list[tuple[str, ...]], tmp_path: Path) -> None:
    found = NETS[name].load(tmp_path)
    assert list(found.loops) == wanted
    order = [op.name for op in found.ops]
    for loop in wanted:  # together, so that no other op stands in a place where no cut may be
        first = order.index(loop[0])
        assert tuple(order[first : first + len(loop)]) == loop


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("single", ["xa", "a", "h2", "hv"]),
        ("double", ["xa", "h2", "hb", "g2"]),
        ("coupled", []),  # both states are needed behind the loop
        ("tapped", ["xa"]),  # the old state is read to the end
        ("window", ["xa", "c2", "m"]),
    ],
)
def test_no_cut_parts_a_loop(name: str, wanted: list[str], tmp_path: Path) -> None:
    found = NETS[name].load(tmp_path)
    assert [cut.tensors for cut in cuts(found, fused=False)] == [(each,) for each in wanted]


@st.composite
def carried_graphs(draw: st.DrawFn) -> Graph:
    """Any small graph with one or two of its inputs carried over from outputs."""
    plain = draw(random_graphs())
    made = sorted(plain.outputs)
    found = []
    for name in plain.inputs:
        if draw(st.booleans()) and plain.consumers[name]:
            found.append(Carried(name, draw(st.sampled_from(made))))
    outputs = tuple(name for name in plain.outputs if name not in {each.output for each in found})
    fed = tuple(name for name in plain.inputs if name not in {each.input for each in found})
    return replace(plain, inputs=fed, outputs=outputs, carried=tuple(found))


@given(carried_graphs())
def test_loops_are_the_circles_through_several_items(made: Graph) -> None:
    back = {each.input: each.output for each in made.carried}
    reached = {  # within several items
        op.name: {made.ops[reader].name for name in op.outputs for reader in made.consumers[name]}
        | {
            made.ops[reader].name
            for given, name in back.items()
            if name in op.outputs
            for reader in made.consumers[given]
        }
        for op in made.ops
    }
    for _ in made.ops:
        reached = {op: ops.union(*(reached[other] for other in ops)) for op, ops in reached.items()}
    wanted = {frozenset(other for other in ops if op in reached[other]) for op, ops in reached.items() if op in ops}
    assert {frozenset(loop) for loop in made.loops} == wanted


@given(carried_graphs(), st.data())
def test_pieces_keep_loops_whole_and_can_run_in_their_order(made: Graph, data: st.DataObject) -> None:
    owners = {op.name: data.draw(st.sampled_from("abc")) for op in made.ops}
    found = pieces(made, owners)
    assert sorted(op for piece in found for op in piece.ops) == sorted(made.position)
    there = set(made.given)
    for piece in found:
        assert {owners[op] for op in piece.ops} == {piece.owner}
        assert there.issuperset(piece.inputs)
        there.update(piece.outputs)
    assert made.finals <= there
    holder = {op: place for place, piece in enumerate(found) for op in piece.ops}
    for loop in made.loops:
        if len({owners[op] for op in loop}) == 1:
            assert len({holder[op] for op in loop}) == 1


def test_an_op_that_reads_only_a_carried_tensor_waits_with_its_reader() -> None:
    """The tap does not found a piece, which would have to be told by itself that an item is there."""
    made = graph({"a": "x", "t": "h", "l": "a t", "w": "l h"}, "l")
    made = replace(made, inputs=("x",), carried=(Carried("h", "w"),))
    assert [piece.ops for piece in pieces(made, {"a": "A", "t": "B", "l": "B", "w": "B"})] == [
        ("a",),
        ("t", "l", "w"),
    ]


REFUSED = [
    ({"hh": "h2"}, "no input 'hh'.*"),
    ({"h": "h3"}, "no output 'h3'"),
    ({"h": "y2"}, "no output 'y2'"),
    ({"s": "h2"}, "no input 's'"),
    ({"h": "wide"}, r"must fit the input \(needed float32\[1, 6\], as 'h', had float32\[1, 12\] in 'wide'\)"),
    ({"h": "count"}, r"needed float32\[1, 6\], as 'h', had int64\[2\] in 'count'"),
    ([Carried("h", "h2"), Carried("h", "y")], r"input 'h' is carried 2 times \(had h2, y\)"),
    ([Carried("h", "h2"), Carried("x", "y", scope="stream")], r"two scopes.*had h session, x stream"),
    ({"h": "h2", "x": "y"}, "all inputs are carried"),
]


@pytest.mark.parametrize(("carry", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_wrong_states_are_refused_at_the_door(carry: object, message: str, tmp_path: Path) -> None:
    proto = model(
        [
            node("Add", "x h", "h2"), node("Relu", "h2", "y"), node("Concat", "h2 x", "wide", axis=1),
            node("Shape", "h2", "count_"), node("Add", "count_ count_", "count"),
        ],
        [info("x", ROW), info("h", ROW)], ["h2", "y", "wide", "count"], count=7,
    )  # fmt: skip
    with pytest.raises(ModelError, match=message):
        load(write(proto, tmp_path), carry=carry)  # type: ignore[arg-type]


def test_the_nearest_name_is_told(tmp_path: Path) -> None:
    proto = model([node("Add", "x state", "state_out"), node("Relu", "state_out", "y")],
                  [info("x", ROW), info("state", ROW)], ["y", "state_out"])  # fmt: skip
    for carry, near in (({"stat": "state_out"}, "state"), ({"state": "stateout"}, "state_out")):
        with pytest.raises(ModelError) as caught:
            load(write(proto, tmp_path), carry=carry)
        assert caught.value.hint == f"did you mean '{near}'?"


def test_something_must_be_left_to_answer(tmp_path: Path) -> None:
    proto = model([node("Add", "x h", "y")], [info("x", ROW), info("h", ROW)], ["y"])
    with pytest.raises(ModelError, match="nothing is left to answer") as caught:
        load(write(proto, tmp_path), carry={"h": "y"})
    assert "Identity" in (caught.value.hint or "")
