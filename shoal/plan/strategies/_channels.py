"""Layers divided along their channels: by what they give (channel_out) or by what they sum over (channel_in)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from shoal.errors import PlanError
from shoal.graph import Graph, Op, Part, Split
from shoal.graph.access import dims
from shoal.graph.box import Interval, full
from shoal.graph.flow import transfer_bytes
from shoal.graph.portions import portions
from shoal.graph.tidy import label
from shoal.plan.problem import Problem
from shoal.plan.shares import bounds_of, users_of
from shoal.plan.strategies._parts import HEAVY, along_axis, channel_axis, copied, division_of, whole
from shoal.plan.values import Division

if TYPE_CHECKING:
    import onnx_ir as ir

Choose = Callable[[bool], bool]  # whether its input was made by a layer divided by output → divide by input


@dataclass(frozen=True)
class Channelwise:
    """What strategies along channels have in common; they differ in which layers they divide by input."""

    def by_input(self, opened: bool) -> bool:
        """Whether to divide a layer by its input channels; `opened`: one divided by output made what it reads."""
        raise NotImplementedError

    def divide(self, problem: Problem, shares: Sequence[float]) -> Division:
        """See `Strategy.divide`. Refuses more shares than a layer has channels."""
        return division_of(problem, [unit for unit, _ in users_of(problem, shares)], self._splits(problem, shares))

    def transfer_bytes(self, problem: Problem, shares: Sequence[float]) -> int:
        """What each part needs of every layer's result and does not make, and partial sums to who adds them up."""
        return transfer_bytes(problem.graph, self._splits(problem, shares))

    def _splits(self, problem: Problem, shares: Sequence[float]) -> tuple[Split, ...]:
        used = [share for _, share in users_of(problem, shares)]
        return by_channels(problem.graph, used, self.by_input) if len(used) > 1 else ()


def by_channels(graph: Graph, shares: Sequence[float], choose: Choose) -> tuple[Split, ...]:
    """Every op divided along its channels; heavy ones by input where `choose` says so.

    What cannot be divided so (a normalisation across channels) is done by every part, or at home if nobody divided
    reads it.

    Raises:
        PlanError: a layer with fewer channels than shares.
    """
    nodes = {label(node): node for node in graph.model.graph}
    return _at_home(graph, channels_of(graph, nodes, graph.ops, shares, choose))


def channels_of(
    graph: Graph,
    nodes: Mapping[str, ir.Node],
    ops: Sequence[Op],
    shares: Sequence[float],
    choose: Choose,
    before: Mapping[str, Split] | None = None,
    opened_before: bool = False,
) -> dict[str, Split]:
    """Splits of a run of ops, one after another, each divided along its channels or done by every part.

    Args:
        graph: what the ops are of.
        nodes: its nodes by op.
        ops: in topological order.
        shares: of the parts.
        choose: see `Choose`.
        before: how ops whose results these read were divided, as far as that is known.
        opened_before: whether those were divided by output, with nothing but channel-wise ops since.

    Raises:
        PlanError: a layer with fewer channels than shares.
    """
    found: dict[str, Split] = dict(before or {})
    opened = dict.fromkeys(
        found, opened_before
    )  # tensor → made by output channels, nothing but channel-wise ops since
    for op in ops:
        node, shape = nodes[op.name], graph.tensors[op.name].shape
        upstream = bool(op.inputs) and all(opened.get(name, False) for name in op.inputs)
        by_input = op.kind in HEAVY and choose(upstream)
        split = _by_input(graph, op, node, found, shares) if by_input else None
        if split is None:
            split = _by_output(op, node, shape, shares)
        found[op.name] = split
        first = op.kind in HEAVY and not split.sums
        opened.update(dict.fromkeys(op.outputs, first or (op.kind not in HEAVY and upstream)))
    return {op.name: found[op.name] for op in ops}


def _by_output(op: Op, node: ir.Node, shape: Sequence[int], shares: Sequence[float]) -> Split:
    try:
        return along_axis(node, op.name, shape, channel_axis(len(shape)), shares)
    except PlanError:
        if op.kind in HEAVY:
            raise
        return copied(op.name, shape, len(shares))


def _by_input(
    graph: Graph, op: Op, node: ir.Node, found: dict[str, Split], shares: Sequence[float]
) -> Split | None:
    """Partial sums over the channels each part has of the input; None for layers with too few or with groups."""
    if node.attributes.get_int("group", 1) > 1 or len(op.inputs) != 1 or not op.weights:
        return None
    shape, source = graph.tensors[op.name].shape, graph.tensors[op.inputs[0]].shape
    axis = channel_axis(len(source))
    inner = _held(found.get(op.inputs[0]), source, axis) or _intervals(source[axis], shares)
    if inner is None or dims(node.inputs[0]) != source:
        return None
    sums = along_axis(node, op.name, shape, channel_axis(len(shape)), shares).parts
    parts = tuple(Part(owner, full(shape), each) for owner, each in enumerate(inner))
    for part in parts:
        portions(node, part.box, part.inner)
    return Split(op.name, parts, sums)


def _held(split: Split | None, shape: Sequence[int], axis: int) -> list[Interval] | None:
    """The channels that each part already has of a tensor, if it is divided along them."""
    if split is None:
        return None
    parts = split.sums or split.parts
    if parts[0].box == full(shape):
        return None
    return [part.box[axis] for part in parts]


def _intervals(channels: int, shares: Sequence[float]) -> list[Interval] | None:
    bounds = bounds_of(channels, shares)
    found = list(pairwise(bounds))
    return found if all(first < end for first, end in found) else None


def _at_home(graph: Graph, found: dict[str, Split]) -> tuple[Split, ...]:
    """Ops that every part would do, at home instead where only home needs them."""
    home: set[str] = set()
    for op in reversed(graph.ops):
        readers = {graph.ops[index].name for name in op.outputs for index in graph.consumers[name]}
        split, shape = found[op.name], graph.tensors[op.name].shape
        everywhere = (
            len(split.parts) > 1 and not split.sums and all(part.box == full(shape) for part in split.parts)
        )
        if everywhere and readers <= home:
            home.add(op.name)
            found[op.name] = whole(op.name, shape, 0)
    return tuple(found.values())
