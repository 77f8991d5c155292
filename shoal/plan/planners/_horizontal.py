"""Single layers shared between resources, as AutoDiCE's mappings write it: `layer: [kind, points, [resources]]`.

AutoDiCE calls this the horizontal split (of one layer), and whole layers on different devices the vertical one; others
use the two words the other way round. The kinds, and what divides a whole network in that way here:

    lop      output channels   points are where each part ends: 32, 64     strategy channel_out
    lip      input channels    points are sizes, within each group         strategy channel_in
    height   output rows       points are sizes                            strategy tile
    width    output columns    points are sizes                            strategy tile:axis=columns

Parts are put together where the layer's first reader is, and what they read is cut where it is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from shoal.catalog import nearest
from shoal.errors import PlanError
from shoal.graph import Graph, Part, Split
from shoal.graph.access import dims
from shoal.graph.box import Interval, along, full
from shoal.graph.portions import portions
from shoal.graph.tidy import label
from shoal.plan.strategies._parts import channel_axis

if TYPE_CHECKING:
    import onnx_ir as ir

PICTURE = 4  # axes: items, channels, rows, columns
AXES = {"height": 2, "width": 3}
WHAT = {"lop": "output channels", "lip": "input channels", "height": "output rows", "width": "output columns"}
FORM = '{"layer": ["lop", [32, 64], ["resource", "resource"]], …}'


@dataclass(frozen=True)
class Shared:
    """One layer and who makes which part of it."""

    op: str
    kind: str
    points: tuple[int, ...]
    resources: tuple[str, ...]

    @property
    def written(self) -> list[Any]:
        """As it stands in a file."""
        return [self.kind, list(self.points), list(self.resources)]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many channels, rows or columns each part has."""
        return tuple(b - a for a, b in pairwise((0, *self.points))) if self.kind == "lop" else self.points

    @property
    def intervals(self) -> list[Interval]:
        """Which of them."""
        return list(pairwise((0, *accumulate(self.sizes))))


def read_shared(content: Mapping[str, Any], where: str) -> dict[str, Shared]:
    """The entries of a file, by layer.

    Raises:
        PlanError: one that has another form, an unknown kind, or not a point for each resource.
    """
    return {op: _read(op, entry, f"{where}: layer '{op}'") for op, entry in content.items()}


def _read(op: str, entry: object, where: str) -> Shared:
    if not (isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str)):
        raise PlanError("not a divided layer", where=where, needed=FORM)
    kind, points, resources = entry
    if kind not in WHAT:
        raise PlanError(f"no kind '{kind}'", where=where, needed=", ".join(WHAT), hint=nearest(kind, list(WHAT)))
    numbers = isinstance(points, list) and all(type(point) is int for point in points)
    names = isinstance(resources, list) and all(isinstance(name, str) for name in resources)
    if not (numbers and names and points):
        raise PlanError("not a divided layer", where=where, needed=FORM)
    if len(points) != len(resources):
        had = f"{len(points)} points and {len(resources)} resources"
        raise PlanError("not a point for each resource", where=where, needed="as many of both", had=had)
    return Shared(op, kind, tuple(points), tuple(resources))


def splits_of(
    graph: Graph, owners: Mapping[str, int], shared: Mapping[str, Shared], parts: Mapping[str, int]
) -> tuple[Split, ...]:
    """The splits that put whole ops on their `owners`, and the shared ones on the `parts` of their resources.

    Raises:
        PlanError: points that the layer does not have, or a kind that it does not allow.
    """
    found = []
    for node in graph.model.graph:
        op = label(node)
        if op in shared:
            found.append(_split(graph, node, shared[op], [parts[name] for name in shared[op].resources], owners))
        elif owners[op]:
            found.append(Split(op, (Part(owners[op], full(dims(node.outputs[0]))),)))
    return tuple(found)


def _split(graph: Graph, node: ir.Node, shared: Shared, parts: Sequence[int], owners: Mapping[str, int]) -> Split:
    shape = dims(node.outputs[0])
    if shared.kind == "lip":
        portions(node, full(shape), (0, 1))  # refuses what has no such channels to divide
        _check(shared, node, _summed(node))
        made = tuple(Part(part, full(shape), inner) for part, inner in zip(parts, shared.intervals, strict=True))
        split = Split(shared.op, made, (Part(_reader(graph, shared.op, owners, parts[0]), full(shape)),))
    else:
        axis = AXES.get(shared.kind, channel_axis(len(shape)))
        if shared.kind in AXES and len(shape) != PICTURE:
            raise PlanError(
                f"op '{shared.op}' ({node.op_type}) makes no picture: it has no {WHAT[shared.kind]}",
                needed=f"{PICTURE} axes",
                had=str(len(shape)),
            )
        _check(shared, node, shape[axis])
        boxes = (along(shape, axis, interval) for interval in shared.intervals)
        split = Split(shared.op, tuple(Part(part, box) for part, box in zip(parts, boxes, strict=True)))
    for part in split.parts:
        portions(node, part.box, part.inner)
    return split


def _check(shared: Shared, node: ir.Node, size: int) -> None:
    """Refuse points that do not divide `size` channels, rows or columns among all parts."""
    layer, what = f"layer '{shared.op}' ({node.op_type}, {shared.kind})", WHAT[shared.kind]
    if len(shared.points) > size:
        raise PlanError(
            f"{layer} has more parts than {what}", needed=f"at most {size}", had=str(len(shared.points))
        )
    if min(shared.sizes) < 1 or sum(shared.sizes) != size:
        ends, had = shared.kind == "lop", ", ".join(map(str, shared.points))
        other = shared.points[-1] == size if not ends else sum(shared.points) == size
        form = "points that rise and end at" if ends else "sizes that add up to"
        told = "lop takes where each part ends, the others take sizes" if other else None
        raise PlanError(f"the points of {layer} do not fit", needed=f"{form} {size} {what}", had=had, hint=told)


def _summed(node: ir.Node) -> int:
    """How many input channels (of each group) a layer sums over."""
    if node.op_type == "Conv":
        return dims(node.inputs[1])[1]
    turned = node.op_type == "Gemm" and bool(node.attributes.get_int("transA", 0))
    return dims(node.inputs[0])[-2 if turned else -1]


def _reader(graph: Graph, op: str, owners: Mapping[str, int], otherwise: int) -> int:
    """The owner of the first op that reads what `op` makes."""
    readers = [index for name in graph.ops[graph.position[op]].outputs for index in graph.consumers[name]]
    return owners[graph.ops[min(readers)].name] if readers else otherwise


def written_back(graph: Graph, splits: Sequence[Split], units: Mapping[int, str]) -> dict[str, Shared]:
    """What `splits` share between units, as entries of a file; ops with one whole part are left out.

    Raises:
        PlanError: a split that no kind describes (overlapping parts, sums that are divided); names the op.
    """
    nodes = {label(node): node for node in graph.model.graph}
    divided = (split for split in splits if len(split.parts) > 1 or split.sums)
    return {split.op: _written(split, nodes[split.op], units) for split in divided}


def _written(split: Split, node: ir.Node, units: Mapping[int, str]) -> Shared:
    shape = dims(node.outputs[0])
    resources = tuple(units[part.owner] for part in split.parts)
    kinds = {"lop": channel_axis(len(shape))} | (AXES if len(shape) == PICTURE else {})
    for kind, axis in kinds.items():
        found = _in_a_row([part.box[axis] for part in split.parts], shape[axis])
        slabs = all(part.box == along(shape, axis, part.box[axis]) for part in split.parts)
        if found and slabs and not split.sums:
            return Shared(split.op, kind, found if kind == "lop" else _sizes(found), resources)
    inner = [part.inner for part in split.parts if part.inner is not None]
    found = _in_a_row(inner, _summed(node)) if len(inner) == len(split.parts) else ()
    if found and len(split.sums) == 1 and split.sums[0].box == full(shape):
        return Shared(split.op, "lip", _sizes(found), resources)
    raise PlanError(f"no mapping can say how op '{split.op}' is divided", needed=f"one of {', '.join(WHAT)}")


def _in_a_row(intervals: Sequence[Interval], size: int) -> tuple[int, ...]:
    """Where the intervals end, if they follow one another and cover `size`; else nothing."""
    ends = tuple(end for _, end in intervals)
    return ends if tuple(first for first, _ in intervals) == (0, *ends[:-1]) and ends[-1] == size else ()


def _sizes(ends: Sequence[int]) -> tuple[int, ...]:
    return tuple(b - a for a, b in pairwise((0, *ends)))
