"""Values of the operator algebra, and how it says no."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from shoal.errors import PlanError
from shoal.graph.box import Box, Interval
from shoal.graph.tidy import label

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Stack:
    """Boxes of one input, read one behind the other along `axis`."""

    axis: int
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Ints:
    """A list of integers in place of a weight: the target of a Reshape."""

    values: tuple[int, ...]


@dataclass(frozen=True)
class Zero:
    """A zero of that rank in place of an input that may not be left out."""

    rank: int


Read = Box | Stack | Ints | Zero | None  # None: the input is left out
Attributes = Mapping[str, int | str | tuple[int, ...]]


@dataclass(frozen=True)
class Portion:
    """One node that makes `box` of an op's output: what it reads by input position, and attributes that differ."""

    box: Box
    reads: tuple[Read, ...]
    attributes: Attributes = field(default_factory=dict)


Rule = Callable[["ir.Node", Box, Interval | None], Sequence[Portion]]


def refuse(node: ir.Node, limit: str, hint: str = "run it whole on one unit") -> NoReturn:
    """Say that an op cannot be divided so.

    Raises:
        PlanError: always; names the op and the limit.
    """
    raise PlanError(f"op '{label(node)}' ({node.op_type}) cannot be divided so: {limit}", hint=hint)


def opset(node: ir.Node) -> int:
    """The version of the ONNX operators that the node's graph speaks."""
    assert node.graph is not None  # ops come out of a loaded graph
    return node.graph.opset_imports[""]


def whole_on(node: ir.Node, box: Box, axes: Sequence[int], shape: Sequence[int], what: str) -> None:
    """Refuse a box that cuts one of `axes`, over which the op needs everything."""
    for axis in axes:
        if box[axis] != (0, shape[axis]):
            refuse(node, f"it needs the whole of axis {axis} ({what})")


def undivided(node: ir.Node, inner: Interval | None) -> None:
    """Refuse a division along what the op sums over, for ops that sum over nothing a part could have."""
    if inner is not None:
        refuse(node, "only convolutions and matrix products can be divided along their input channels")
