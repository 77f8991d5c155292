"""Each unit runs the same stack of layers on its own strip of the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from shoal import catalog
from shoal.errors import PlanError
from shoal.graph import Graph, Part, Split
from shoal.graph.box import Box, along, hull
from shoal.graph.flow import transfer_bytes
from shoal.graph.portions import reads
from shoal.graph.tidy import label
from shoal.plan.problem import Problem
from shoal.plan.shares import users_of
from shoal.plan.strategies._parts import along_axis, checked_bounds, division_of
from shoal.plan.values import Division

if TYPE_CHECKING:
    import onnx_ir as ir

AXES = {"rows": 2, "columns": 3}
DEPTHS = (0, 1, 2, 3, 5)  # worth trying: 0 sends nothing between, and more than five layers gain little over that


@dataclass(frozen=True)
class Tile:
    """Strips of rows or columns, with the neighbours' edges computed twice or exchanged.

    The stack is what can be cut along that axis, from the input on; what comes after it (global pooling, fully
    connected layers) stays on the first unit. Weights of the stack are everywhere in full.
    """

    axis: Literal["rows", "columns"] = "rows"
    # Layers with a window that are run before edges are exchanged; 0: all of them, 1: after each. Left open, a
    # search tries several, and fixed shares run all of them.
    depth: int | None = None
    until: str = ""  # the op the stack ends with; empty: the last that can be cut

    def divide(self, problem: Problem, shares: Sequence[float]) -> Division:
        """See `Strategy.divide`. Refuses more tiles than rows, and a stack that cannot be cut up to `until`."""
        users = users_of(problem, shares)
        return division_of(problem, [unit for unit, _ in users], self.splits(problem.graph, [s for _, s in users]))

    def transfer_bytes(self, problem: Problem, shares: Sequence[float]) -> int:
        """Strips of the input to the others, halos between groups of `depth` layers, strips of the result home."""
        return transfer_bytes(problem.graph, self.splits(problem.graph, [s for _, s in users_of(problem, shares)]))

    def variants(self) -> Sequence[Tile]:
        """Depths from all layers at once to one at a time, unless the user said."""
        return [replace(self, depth=depth) for depth in DEPTHS] if self.depth is None else [self]

    def splits(self, graph: Graph, shares: Sequence[float]) -> tuple[Split, ...]:
        """How the ops of the stack are shared between as many parts as there are shares, all above zero.

        Raises:
            PlanError: as `divide`.
        """
        stack = self._stack(graph, shares)
        return tiled(graph, stack, AXES[self.axis], shares, self.depth or 0) if len(shares) > 1 else ()

    def _stack(self, graph: Graph, shares: Sequence[float]) -> dict[str, ir.Node]:
        if self.until and self.until not in graph.position:
            near = catalog.nearest(self.until, graph.position)
            hint = near if near.startswith("did") else "`shoal inspect` lists them"
            raise PlanError(f"no op '{self.until}' to tile up to", where=graph.name, hint=hint)
        if self.depth is not None and self.depth < 0:
            raise PlanError(f"a depth of {self.depth} layers", hint="0: all of them, 1: after each")
        stack, faults = stack_of(graph, AXES[self.axis], shares)
        if self.until and self.until not in stack:
            raise _too_far(graph, self.until, stack, faults)
        if not stack and faults:
            raise next(iter(faults.values()))
        last = graph.position[self.until] if self.until else len(graph.ops)
        return {name: node for name, node in stack.items() if graph.position[name] <= last}


def stack_of(graph: Graph, axis: int, shares: Sequence[float]) -> tuple[dict[str, ir.Node], dict[str, PlanError]]:
    """The ops that can be cut along `axis`, with all that comes before them; and why those next to them cannot."""
    inside: dict[str, ir.Node] = {}
    faults: dict[str, PlanError] = {}
    tiled = set(graph.inputs)
    for node in graph.model.graph:
        op = graph.ops[graph.position[label(node)]]
        if not tiled.issuperset(op.inputs):
            continue
        try:
            shape = graph.tensors[op.name].shape
            if len(shape) != 4:
                raise PlanError(f"op '{op.name}' ({op.kind}) makes no picture", had=f"shape {list(shape)}")
            along_axis(node, op.name, shape, axis, shares)
            inside[op.name] = node
            tiled.update(op.outputs)
        except PlanError as fault:
            faults[op.name] = fault
    return inside, faults


def _too_far(graph: Graph, until: str, stack: Mapping[str, ir.Node], faults: Mapping[str, PlanError]) -> PlanError:
    """Why the stack cannot reach `until`: the first op on the way there that cannot be cut, and the last that can."""
    before: set[str] = {until}
    for op in reversed(graph.ops):
        if op.name in before:
            before |= {graph.ops[graph.producer[name]].name for name in op.inputs if name in graph.producer}
    fault = next(faults[op.name] for op in graph.ops if op.name in before and op.name in faults)
    reached = [name for name in stack if name in before]
    hints = [fault.hint, f"end the stack at until={reached[-1]}" if reached else None]
    hint = "; or ".join(each for each in hints if each)
    return PlanError(fault.what, where=fault.where, needed=fault.needed, had=fault.had, hint=hint or None)


def tiled(
    graph: Graph, stack: Mapping[str, ir.Node], axis: int, shares: Sequence[float], depth: int
) -> tuple[Split, ...]:
    """Splits of the stack's ops: each part makes what its later layers of the same group need, and its own share."""
    group = _groups(graph, stack, depth)
    needed: dict[str, list[Box | None]] = {}
    found = []
    for name in reversed(list(stack)):
        node = stack[name]
        shape = graph.tensors[name].shape
        readers = {graph.ops[index].name for index in graph.consumers[name]}
        boxes = needed.pop(name, [None] * len(shares))
        if name in graph.finals or any(group.get(reader) != group[name] for reader in readers):
            own = checked_bounds(name, node.op_type, shape, axis, shares)
            boxes = [_around(box, along(shape, axis, each)) for box, each in zip(boxes, own, strict=True)]
        parts = tuple(Part(owner, box) for owner, box in enumerate(boxes) if box is not None)
        found.append(Split(name, parts))
        for part in parts:
            for read, box in reads(node, part.box).items():
                if group.get(read) == group[name]:
                    there = needed.setdefault(read, [None] * len(shares))
                    there[part.owner] = _around(there[part.owner], box)
    return tuple(reversed(found))


def _groups(graph: Graph, stack: Mapping[str, ir.Node], depth: int) -> dict[str, int]:
    """Op → which group it is in: layers with a window counted along the longest way from the input."""
    level: dict[str, int] = {}
    for name, node in stack.items():
        before = max((level[read] for read in graph.ops[graph.position[name]].inputs if read in level), default=0)
        level[name] = before + _has_window(node)
    return {name: max(0, number - 1) // depth if depth else 0 for name, number in level.items()}


def _has_window(node: ir.Node) -> bool:
    kernel = node.attributes.get_ints("kernel_shape", None)
    if kernel is None and node.op_type == "Conv":
        return True
    return kernel is not None and max(kernel) > 1


def _around(box: Box | None, other: Box) -> Box:
    return other if box is None else hull(box, other)
