"""Which pieces of a tensor, held here and there, make up the box that somebody needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from shoal.graph.box import Box, covers, meet


@dataclass(frozen=True)
class Piece:
    """A box of a tensor under a name of its own, on one part."""

    owner: int
    box: Box
    value: str


@dataclass(frozen=True)
class Taken:
    """`box` out of one piece."""

    piece: Piece
    box: Box


@dataclass(frozen=True)
class Joined:
    """`box` as several behind one another along `axis`."""

    axis: int
    box: Box
    members: tuple[Taken | Joined, ...]


def cover(box: Box, pieces: Sequence[Piece], owner: int) -> Taken | Joined | None:
    """How `owner` gets `box`: from what it has itself as far as that goes, then from the part of lowest number.

    Nothing is taken twice, so what is taken from others is what is missing and no more. None if the pieces leave a gap.
    """
    near = sorted(
        (piece for piece in pieces if meet(piece.box, box)), key=lambda each: (each.owner != owner, each.owner)
    )
    has_some = bool(near) and near[0].owner == owner
    for piece in near:
        if covers(piece.box, box) and (piece.owner == owner or not has_some):
            return Taken(piece, box)
    for axis in range(len(box)):
        marks = _marks(box, near, axis)
        if len(marks) > 2:
            slabs = ((*box[:axis], interval, *box[axis + 1 :]) for interval in pairwise(marks))
            members = [cover(slab, near, owner) for slab in slabs]
            found = [member for member in members if member is not None]
            return _join(axis, box, found) if len(found) == len(members) else None
    return None


def _marks(box: Box, pieces: Sequence[Piece], axis: int) -> list[int]:
    first, end = box[axis]
    bounds = {bound for piece in pieces for bound in piece.box[axis] if first < bound < end}
    return sorted({first, end} | bounds)


def _join(axis: int, box: Box, members: Sequence[Taken | Joined]) -> Taken | Joined:
    """Members side by side, neighbours out of one piece as one."""
    merged: list[Taken | Joined] = []
    for member in members:
        before = merged[-1] if merged else None
        if isinstance(before, Taken) and isinstance(member, Taken) and before.piece is member.piece:
            interval = (before.box[axis][0], member.box[axis][1])
            merged[-1] = Taken(before.piece, (*member.box[:axis], interval, *member.box[axis + 1 :]))
        else:
            merged.append(member)
    return merged[0] if len(merged) == 1 else Joined(axis, box, tuple(merged))
