"""What the strategies that divide single ops share: parts along one axis, and the Division that comes of splits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from shoal.errors import PlanError
from shoal.graph import Part, Split, divide
from shoal.graph.box import Interval, along, full
from shoal.graph.portions import grain, portions
from shoal.plan.problem import Problem
from shoal.plan.shares import bounds_of
from shoal.plan.values import Division, Group, Replica

if TYPE_CHECKING:
    import onnx_ir as ir

HEAVY = frozenset(("Conv", "Gemm", "MatMul"))  # ops that sum over channels


def division_of(problem: Problem, units: Sequence[str], splits: Sequence[Split]) -> Division:
    """Part i of the splits on `units[i]`; the first of them is home."""
    divided = divide(problem.graph, tuple(splits))
    groups = []
    for part, unit in enumerate(units):
        ops = tuple(op.name for op in divided.graph.ops if divided.owners[op.name] == part)
        if ops:
            groups.append(Group(unit, ops, problem.engines_of(unit)[0]))
    return Division((Replica(tuple(groups)),), tuple(splits))


def channel_axis(rank: int) -> int:
    """Where features stand: axis 1 of pictures and of matrices, the last axis of sequences."""
    return rank - 1 if rank == 3 else min(1, rank - 1)


def whole(op: str, shape: Sequence[int], owner: int) -> Split:
    """The op on one part."""
    return Split(op, (Part(owner, full(shape)),))


def copied(op: str, shape: Sequence[int], parts: int) -> Split:
    """The op on every part, each making all of it."""
    return Split(op, tuple(Part(owner, full(shape)) for owner in range(parts)))


def along_axis(node: ir.Node, op: str, shape: Sequence[int], axis: int, shares: Sequence[float]) -> Split:
    """The op with its output divided along `axis` by `shares`, at bounds that the op allows.

    Raises:
        PlanError: a share too small for one row or channel, or an op that cannot be divided so.
    """
    bounds = checked_bounds(op, node.op_type, shape, axis, shares, grain(node, axis))
    split = Split(op, tuple(Part(owner, along(shape, axis, interval)) for owner, interval in enumerate(bounds)))
    for part in split.parts:
        portions(node, part.box)
    return split


def checked_bounds(
    op: str, kind: str, shape: Sequence[int], axis: int, shares: Sequence[float], step: int = 1
) -> list[Interval]:
    """An interval of `axis` for each share.

    Raises:
        PlanError: more shares than there are rows or channels, or one too small for any.
    """
    size = shape[axis] if axis < len(shape) else 1
    bounds = bounds_of(size, shares, step)
    found = list(pairwise(bounds))
    if any(first == end for first, end in found):
        what = "channels" if axis == channel_axis(len(shape)) else ("rows" if axis == 2 else "columns")
        raise _too_few(op, kind, what, step, [end - first for first, end in found])
    return found


def _too_few(op: str, kind: str, what: str, step: int, counts: Sequence[int]) -> PlanError:
    """More shares than steps of an axis, or one that is too small for a single step."""
    steps, shares = sum(counts) // step, len(counts)
    in_steps = f" in steps of {step}" if step > 1 else ""
    if steps == 1:
        hint = f"it cannot be divided along its {what}: run it whole on one unit"
    else:
        hint = f"at most {steps} equal shares" if steps < shares else "more even shares"
    return PlanError(
        f"op '{op}' ({kind}) has too few {what}{in_steps} for these shares",
        needed=f"one for each of {shares} shares",
        had=f"{steps}{in_steps}, divided {', '.join(map(str, counts))}",
        hint=hint,
    )
