"""Patches of a mask against a plain flood fill."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from examples.models.ocr_boxes import Box, find_boxes, patches


def flooded(mask: np.ndarray) -> set[Box]:
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}
    boxes = set()
    while left:
        patch, edge = set(), [left.pop()]
        while edge:
            row, column = edge.pop()
            patch.add((row, column))
            around = {(row + down, column + across) for down in (-1, 0, 1) for across in (-1, 0, 1)} & left
            left -= around
            edge.extend(around)
        rows, columns = zip(*patch, strict=True)
        boxes.add(Box(min(columns), min(rows), max(columns) + 1, max(rows) + 1))
    return boxes


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans()))
def test_patches_are_those_of_a_flood_fill(mask: np.ndarray) -> None:
    assert set(patches(mask)) == flooded(mask)


def test_a_line_of_text_is_found_and_grown() -> None:
    chances = np.zeros((60, 200))
    chances[20:30, 40:140] = 0.9
    chances[50, 10] = 1.0  # a speck
    assert find_boxes(chances) == [Box(33, 13, 147, 37)]


def test_a_box_stays_in_the_picture() -> None:
    assert Box(-3, -3, 300, 10).within(200, 60) == Box(0, 0, 200, 10)
    assert Box(250, 70, 260, 80).within(200, 60) == Box(199, 59, 200, 60)
