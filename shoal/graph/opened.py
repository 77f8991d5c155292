"""Sizes that stay open in segments: in a Graph, whose shapes are numbers, one that nothing else is stands for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from shoal.errors import ModelError

if TYPE_CHECKING:
    import onnx_ir as ir

# Primes, so that no product of other sizes is one; small, so that nothing overflows.
_MARKS = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061, 1063, 1069)


def marks(model: ir.Model, names: Iterable[str]) -> dict[str, int]:
    """A number for each of `names` that is no size of the model's inputs and weights.

    Raises:
        ModelError: there are more names than numbers.
    """
    known = {
        dim for value in (*model.graph.inputs, *model.graph.initializers.values()) for dim in value.shape or ()
    }
    free = [mark for mark in _MARKS if mark not in known]
    wanted = tuple(names)
    if len(wanted) > len(free):
        raise ModelError("too many sizes are to stay open", needed=f"at most {len(free)}", had=str(len(wanted)))
    return dict(zip(wanted, free, strict=False))


def named(shape: Sequence[int], marked: Mapping[str, int]) -> tuple[int | str, ...]:
    """`shape` with names where a number stands for one.

    Raises:
        ModelError: a size is made of several, or of one and something else.
    """
    names = {mark: name for name, mark in marked.items()}
    for size in shape:
        if size not in names and any(size and size % mark == 0 for mark in names):
            raise ModelError("a size between segments follows from an open one", had=str(list(shape)),
                             needed="sizes that are open by themselves")  # fmt: skip
    return tuple(names.get(size, size) for size in shape)


def leave_open(part: ir.Model, marked: Mapping[str, int]) -> ir.Model:
    """`part`, a model of its own, with the names in the shapes of its inputs and outputs; what lies between says none."""
    import onnx_ir as ir

    ends = {*part.graph.inputs, *part.graph.outputs}
    for value in ends:
        value.shape = ir.Shape(named(value.shape.numpy(), marked)) if value.shape is not None else None
    for node in part.graph:
        for value in node.outputs:
            if value not in ends:
                value.shape = None
    return part
