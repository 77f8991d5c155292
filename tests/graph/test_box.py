from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from shoal.graph.box import Box, along, covers, full, hull, meet, shape_of, volume, within

Cells = set[tuple[int, ...]]


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    corners = [draw(st.tuples(st.integers(0, 4), st.integers(1, 3))) for _ in range(2)]
    return tuple((first, first + size) for first, size in corners)


def cells(box: Box) -> Cells:
    return set(product(*(range(*interval) for interval in box)))


@given(one=boxes(), other=boxes())
def test_boxes_are_sets_of_cells(one: Box, other: Box) -> None:
    both = meet(one, other)
    assert (cells(both) if both else set()) == cells(one) & cells(other)
    assert covers(one, other) == (cells(other) <= cells(one))
    assert volume(one) == len(cells(one))
    around = hull(one, other)
    assert covers(around, one)
    assert covers(around, other)
    for axis in range(2):  # and none smaller
        ends = {bound for box in (one, other) for bound in box[axis]}
        assert set(around[axis]) <= ends


@given(box=boxes())
def test_a_box_within_another_is_counted_from_its_corner(box: Box) -> None:
    outer = tuple((max(0, first - 1), end + 2) for first, end in box)
    assert shape_of(within(box, outer)) == shape_of(box)
    assert within(outer, outer) == full(shape_of(outer))
    assert along(shape_of(outer), 1, (1, 2)) == ((0, shape_of(outer)[0]), (1, 2))


def test_a_scalar_has_one_element() -> None:
    assert volume(full(())) == 1
    assert meet((), ()) == ()
