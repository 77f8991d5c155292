"""Boxes: which part of a tensor somebody has or needs, as one interval [first, end) per axis."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

Interval = tuple[int, int]
Box = tuple[Interval, ...]


def full(shape: Sequence[int]) -> Box:
    """The whole of a tensor of that shape."""
    return tuple((0, size) for size in shape)


def shape_of(box: Box) -> tuple[int, ...]:
    """The shape of the tensor in `box`."""
    return tuple(end - first for first, end in box)


def volume(box: Box) -> int:
    """Elements in `box`."""
    return prod(shape_of(box))


def covers(outer: Box, inner: Box) -> bool:
    """Whether all of `inner` lies in `outer`."""
    return all(a <= c and d <= b for (a, b), (c, d) in zip(outer, inner, strict=True))


def meet(one: Box, other: Box) -> Box | None:
    """What two boxes have in common; None if that is nothing."""
    found = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))
    return found if all(first < end for first, end in found) else None


def hull(one: Box, other: Box) -> Box:
    """The smallest box around both."""
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))


def within(box: Box, origin: Box) -> Box:
    """`box` counted from the corner of `origin`, in which it lies."""
    return tuple((a - c, b - c) for (a, b), (c, _) in zip(box, origin, strict=True))


def along(shape: Sequence[int], axis: int, interval: Interval) -> Box:
    """The slab of a tensor of `shape` that `interval` cuts out of `axis`."""
    return tuple(interval if each == axis else (0, size) for each, size in enumerate(shape))
