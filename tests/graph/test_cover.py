from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from shoal.graph.box import Box, shape_of
from shoal.graph.cover import Joined, Piece, Taken, cover
from tests.graph.test_box import boxes, cells


def taken(plan: Taken | Joined) -> Iterator[Taken]:
    if isinstance(plan, Taken):
        yield plan
        return
    for member in plan.members:
        yield from taken(member)


@st.composite
def pieces(draw: st.DrawFn) -> tuple[Piece, ...]:
    held = draw(st.lists(st.tuples(st.integers(0, 2), boxes()), min_size=1, max_size=5))
    return tuple(Piece(owner, box, f"v{number}") for number, (owner, box) in enumerate(held))


@given(box=boxes(), held=pieces(), owner=st.integers(0, 2))
def test_every_cell_is_taken_once_and_the_owners_own_first(box: Box, held: tuple[Piece, ...], owner: int) -> None:
    plan = cover(box, held, owner)
    there = {cell for piece in held for cell in cells(piece.box)}
    if plan is None:
        assert not cells(box) <= there
        return
    own = {cell for piece in held if piece.owner == owner for cell in cells(piece.box)}
    found = [cell for each in taken(plan) for cell in cells(each.box)]
    assert sorted(found) == sorted(cells(box))
    for each in taken(plan):
        assert cells(each.box) <= cells(each.piece.box)
        assert each.piece.owner == owner or not cells(each.box) & own


@given(box=boxes(), held=pieces(), owner=st.integers(0, 2))
def test_members_stand_side_by_side_along_their_axis(box: Box, held: tuple[Piece, ...], owner: int) -> None:
    plan = cover(box, held, owner)

    def check(node: Taken | Joined) -> None:
        if isinstance(node, Taken):
            return
        assert len(node.members) > 1
        at = node.box[node.axis][0]
        for member in node.members:
            assert member.box[node.axis][0] == at
            at = member.box[node.axis][1]
            assert [i for i in range(len(box)) if member.box[i] != node.box[i]] == [node.axis]
            check(member)
        assert at == node.box[node.axis][1]

    if plan is not None:
        assert plan.box == box
        check(plan)


def test_a_piece_that_has_it_all_is_taken_in_one() -> None:
    whole = Piece(0, ((0, 4), (0, 4)), "a")
    halves = (Piece(1, ((0, 2), (0, 4)), "b"), Piece(2, ((2, 4), (0, 4)), "c"))
    assert cover(whole.box, (whole, *halves), 3) == Taken(whole, whole.box)
    mixed = cover(whole.box, (whole, *halves), 1)
    assert mixed == Joined(0, whole.box, (Taken(halves[0], halves[0].box), Taken(whole, ((2, 4), (0, 4)))))


def test_neighbours_out_of_one_piece_come_as_one() -> None:
    row, end = Piece(0, ((0, 1), (0, 6)), "row"), Piece(1, ((0, 1), (5, 8)), "end")
    plan = cover(((0, 1), (1, 8)), (row, end, Piece(1, ((0, 1), (3, 3)), "nothing")), 0)
    assert plan is not None
    assert [shape_of(each.box)[1] for each in taken(plan)] == [5, 2]


def test_a_gap_is_none() -> None:
    piece = Piece(0, ((0, 2), (0, 2)), "a")
    assert cover(((0, 3), (0, 2)), (piece,), 0) is None
    assert cover(((5, 6), (0, 2)), (piece,), 0) is None
    assert list(product(range(2), repeat=2)) == sorted(cells(piece.box))
