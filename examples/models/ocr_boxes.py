"""From a map of text probabilities to upright boxes around its patches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXT_CHANCE = 0.3  # a pixel is text from here on
PATCH_CHANCE = 0.5  # a patch is kept where the mean over its box reaches this
GROWTH = 1.6  # the network marks shrunken lines; grow by area · GROWTH / perimeter [DBNet, Liao et al., 2020]
SMALLEST = 3  # pixels


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; right and bottom are the first column and row outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def height(self) -> int:
        """Rows inside."""
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """Row of the centre."""
        return (self.top + self.bottom) / 2

    def grown(self) -> Box:
        """The box around the whole line of which the network marks the core."""
        width, height = self.right - self.left, self.height
        by = round(width * height * GROWTH / (2 * (width + height)))
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def scaled(self, across: float, down: float) -> Box:
        """The same box in a picture of another size."""
        left, right = round(self.left * across), round(self.right * across)
        return Box(left, round(self.top * down), right, round(self.bottom * down))

    def within(self, width: int, height: int) -> Box:
        """The part inside a picture, at least one pixel."""
        left, top = min(max(self.left, 0), width - 1), min(max(self.top, 0), height - 1)
        return Box(left, top, max(min(self.right, width), left + 1), max(min(self.bottom, height), top + 1))


def find_boxes(chances: NDArray[Any]) -> list[Box]:
    """One grown box for each connected patch of likely text in a map (rows, columns)."""
    found = (box for box in patches(chances > TEXT_CHANCE) if _is_text(chances, box))
    return [box.grown() for box in found]


def patches(mask: NDArray[np.bool_]) -> list[Box]:
    """The bounding box of each 8-connected patch of a mask, in the order of their first rows."""
    groups: list[Box | None] = []  # a group that was merged into an older one is None
    parents: list[int] = []
    above: list[tuple[int, int, int]] = []
    for row, line in enumerate(mask):
        here: list[tuple[int, int, int]] = []
        for start, stop in _runs(line):
            touching = {_root(parents, group) for first, last, group in above if first <= stop and start <= last}
            group = min(touching, default=len(groups))
            if not touching:
                groups.append(None)
                parents.append(group)
            members = [box for other in touching if (box := groups[other]) is not None]
            for other in touching - {group}:
                groups[other], parents[other] = None, group
            groups[group] = _around([*members, Box(start, row, stop, row + 1)])
            here.append((start, stop, group))
        above = here
    return [box for box in groups if box is not None]


def _runs(line: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """(first column, first column after) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], line, [False])).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _root(parents: list[int], group: int) -> int:
    while parents[group] != group:
        group = parents[group]
    return group


def _around(boxes: list[Box]) -> Box:
    return Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


def _is_text(chances: NDArray[Any], box: Box) -> bool:
    if min(box.right - box.left, box.height) < SMALLEST:
        return False
    return bool(chances[box.top : box.bottom, box.left : box.right].mean() >= PATCH_CHANCE)
