"""A group of ops as pipelines of tiles: along which axis each tensor passes, what has to be there whole, and why.

An op makes its output row after row along one axis. A tensor passes in tiles where its reader goes on along the axis along
which it comes; otherwise it is held: made whole before its reader begins. So a group is pipelines one after another, each of
ops that run side by side, and what goes from one to the next is held. What leaves the group does not count as held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.errors import PlanError
from shoal.graph import Graph, Op, boundary
from shoal.graph.box import Box, along
from shoal.graph.portions import boxes, reads
from shoal.graph.tidy import label

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Reading:
    """How an op that makes its output along an axis reads an input."""

    axis: int
    rows: int  # for one row of the output, away from borders


@dataclass(frozen=True)
class Held:
    """A tensor that does not pass in tiles."""

    tensor: str
    reader: str  # the op because of which
    why: str


@dataclass(frozen=True)
class Lanes:
    """How the tensors of a group pass."""

    axes: Mapping[str, int | None]  # of the output, by op; None: the op makes it at once
    turns: Mapping[str, int]  # by op: the number of its pipeline
    held: tuple[Held, ...]
    passing: tuple[str, ...]  # tensors in tiles


@dataclass(frozen=True)
class Step:
    """Rows that an op makes next."""

    op: str
    first: int
    end: int
    kept: int  # rows before this one nobody reads any more


@dataclass(frozen=True)
class Pipeline:
    """Ops that hand on tiles."""

    ops: tuple[str, ...]
    steps: tuple[Step, ...]
    rows: Mapping[str, int]  # that the buffer of each passing tensor has


@dataclass(frozen=True)
class Streamed:
    """A group that can run."""

    lanes: Lanes
    pipelines: tuple[Pipeline, ...]

    def buffer_bytes(self, graph: Graph) -> int:
        """The most that buffers and held tensors take at once."""
        return max(self._at(graph, turn) for turn in range(len(self.pipelines)))

    def last_turns(self, graph: Graph) -> dict[str, int]:
        """Of each held tensor, the pipeline that reads it last."""
        readers = {
            each.tensor: [graph.ops[at].name for at in graph.consumers[each.tensor]] for each in self.lanes.held
        }
        return {name: max(self.lanes.turns[op] for op in ops) for name, ops in readers.items()}

    def _at(self, graph: Graph, turn: int) -> int:
        last = self.last_turns(graph)
        first = {name: self.lanes.turns[graph.ops[graph.producer[name]].name] for name in last}
        held = sum(graph.tensors[name].bytes for name in last if first[name] <= turn <= last[name])
        rows = self.pipelines[turn].rows
        return held + sum(row_bytes(graph, name, self.lanes.axes[name]) * count for name, count in rows.items())


def row_bytes(graph: Graph, tensor: str, axis: int | None) -> int:
    """Bytes of one row of a tensor along an axis; all of it where it has none."""
    found = graph.tensors[tensor]
    return found.bytes // (1 if axis is None else max(1, found.shape[axis]))


class Streams:
    """Groups of a graph's ops as pipelines.

    Args:
        graph: of the ops.
        tiles: that a tensor passes in, if it has as many rows.
    """

    def __init__(self, graph: Graph, tiles: int) -> None:
        self._graph, self._tiles = graph, tiles
        # Of a graph that is known by its sizes alone nothing can be said of tiles: its ops run whole.
        known = graph.model.graph if graph.written and graph.model else ()
        self._nodes: dict[str, ir.Node] = {label(node): node for node in known}
        self._readings: dict[tuple[str, int], Mapping[str, Reading] | PlanError] = {}
        self._able: dict[str, list[int]] = {}  # axes along which an op can make its output
        self._lanes_of: dict[tuple[str, ...], Lanes] = {}
        self._tiles_read: dict[tuple[str, int, int, int], Mapping[str, Box]] = {}  # by op, axis, first row and end

    def lanes(self, ops: Sequence[str]) -> Lanes:
        """How tensors pass within a group, in the graph's order: of several ways the one of the fewest bytes."""
        if (key := tuple(ops)) not in self._lanes_of:
            self._lanes_of[key] = self._cheapest(ops)
        return self._lanes_of[key]

    def _cheapest(self, ops: Sequence[str]) -> Lanes:
        group = [self._graph.ops[self._graph.position[name]] for name in ops]
        ranks = max((len(self._graph.tensors[op.name].shape) for op in group), default=0)
        outside = frozenset(boundary(self._graph, ops)[1])
        return min(
            (each for wish in range(max(1, ranks)) for each in self._lanes(group, outside, wish)), key=self._cost
        )

    def rows(self, op: str, lanes: Lanes) -> int:
        """Of what an op makes, along its axis; one if it makes it at once."""
        axis = lanes.axes[op]
        return 1 if axis is None else self._graph.tensors[op].shape[axis]

    def buffer_bytes(self, lanes: Lanes) -> dict[str, int]:
        """What a chip sets aside for each tensor within a group: all of what is held, else two tiles and what windows overlap."""
        tensors, found = (
            self._graph.tensors,
            {each.tensor: self._graph.tensors[each.tensor].bytes for each in lanes.held},
        )
        for name in lanes.passing:
            axis = lanes.axes[name] or 0
            count = tensors[name].shape[axis]
            readers = (self._graph.ops[at].name for at in self._graph.consumers[name])
            window = max(self._reading(each, lanes.axes[each] or 0)[name].rows for each in readers)
            rows = 2 * -(-count // min(self._tiles, count)) + window - 1
            found[name] = min(count, rows) * row_bytes(self._graph, name, axis)
        return found

    def streamed(self, ops: Sequence[str]) -> Streamed:
        """A group's pipelines with every step; an op that refuses some tile is run whole."""
        while True:
            lanes = self.lanes(ops)
            try:
                count = 1 + max(lanes.turns.values())
                return Streamed(lanes, tuple(self._pipeline(ops, lanes, turn) for turn in range(count)))
            except _RefusedError as refused:
                self._readings[refused.op, refused.axis] = refused.fault
                self._able[refused.op].remove(refused.axis)
                self._lanes_of.clear()

    def _lanes(self, group: Sequence[Op], outside: frozenset[str], wish: int) -> Iterator[Lanes]:
        """Every op as early as can be, then as late."""
        made = {name: op.name for op in group for name in op.outputs}
        axes, turns = dict[str, int | None](), dict[str, int]()
        breaks: dict[tuple[str, str], str] = {}  # why a tensor is there whole before an op begins
        for op in group:
            inside = [name for name in op.inputs if name in made]
            sources = {name: axes[made[name]] for name in inside}
            axes[op.name] = self._axis(op, sources, wish)
            for name in inside:
                why = self._break(op.name, axes[op.name], name, sources[name])
                if why:
                    breaks[name, op.name] = why
            turns[op.name] = max((turns[made[name]] + ((name, op.name) in breaks) for name in inside), default=0)
        yield self._told(group, outside, axes, turns, breaks)
        yield self._told(group, outside, axes, self._put_off(group, turns, breaks), breaks)

    def _put_off(
        self, group: Sequence[Op], early: Mapping[str, int], breaks: Mapping[tuple[str, str], str]
    ) -> dict[str, int]:
        """Ops run in the last pipeline that is early enough for all that read them."""
        turns = dict(early)
        for op in reversed(group):
            latest = [
                turns[reader.name] - ((name, reader.name) in breaks)
                for name in op.outputs
                for reader in map(self._graph.ops.__getitem__, self._graph.consumers[name])
                if reader.name in turns
            ]
            turns[op.name] = max(turns[op.name], min(latest, default=0))
        places = {turn: at for at, turn in enumerate(sorted(set(turns.values())))}
        return {name: places[turn] for name, turn in turns.items()}

    def _told(
        self, group: Sequence[Op], outside: frozenset[str], axes: Mapping[str, int | None], turns: Mapping[str, int],
        breaks: Mapping[tuple[str, str], str],
    ) -> Lanes:  # fmt: skip
        held, passing = list[Held](), list[str]()
        for op in group:
            for name in op.outputs:
                if name in outside:
                    continue
                readers = [self._graph.ops[at].name for at in self._graph.consumers[name]]
                broken = next((each for each in readers if (name, each) in breaks), None)
                later = next((each for each in readers if turns[each] > turns[op.name]), None)
                if broken:
                    held.append(Held(name, broken, breaks[name, broken]))
                elif later:
                    held.append(Held(name, later, "it reads it after all of another tensor"))
                elif readers:
                    passing.append(name)
        return Lanes(axes, turns, tuple(held), tuple(passing))

    def _cost(self, lanes: Lanes) -> tuple[float, int]:
        """Bytes held and two tiles of all that passes; of equals, the fewest pipelines."""
        tensors = self._graph.tensors
        tiled = (
            2 * tensors[name].bytes / min(self._tiles, tensors[name].shape[lanes.axes[name] or 0])
            for name in lanes.passing
        )
        held = sum(tensors[each.tensor].bytes for each in lanes.held)
        return held + sum(tiled), max(lanes.turns.values(), default=0)

    def _axis(self, op: Op, sources: Mapping[str, int | None], wish: int) -> int | None:
        """Along which an op goes: so that the fewest bytes are held, else as near above the wish as can be."""
        shape = self._graph.tensors[op.name].shape
        if op.name not in self._able:
            self._able[op.name] = [
                axis for axis, size in enumerate(shape) if size > 1 and self._goes(op.name, axis)
            ]

        def worth(axis: int) -> tuple[int, int]:
            held = (name for name, source in sources.items() if self._break(op.name, axis, name, source))
            return sum(self._graph.tensors[name].bytes for name in held), (axis - wish) % len(shape)

        return min(self._able[op.name], key=worth, default=None)

    def _break(self, op: str, axis: int | None, name: str, source: int | None) -> str:
        """Why an op cannot begin before all of a tensor is there; nothing if it can."""
        if axis is None:
            return self._fault(op)
        found = self._reading(op, axis).get(name)
        if found is None:
            return f"each of its tiles along axis {axis} reads all of it"
        if source is None:
            return "it is made at once"
        return (
            "" if found.axis == source else f"it reads it along axis {found.axis}, and it comes along axis {source}"
        )

    def _fault(self, op: str) -> str:
        faults = (self._readings.get((op, axis)) for axis in range(len(self._graph.tensors[op].shape)))
        found = next((each for each in faults if isinstance(each, PlanError)), None)
        return found.what if found else "it has one row"

    def _goes(self, op: str, axis: int) -> bool:
        """Whether an op can make its output along an axis; if not, why is kept."""
        try:
            self._reading(op, axis)
        except PlanError:
            return False
        return True

    def _reading(self, op: str, axis: int) -> Mapping[str, Reading]:
        """Of the inputs that are read further on for further rows along an axis: how. Others are read whole each time.

        Raises:
            PlanError: the op cannot go along this axis.
        """
        if (op, axis) not in self._readings:
            try:
                self._readings[op, axis] = self._read_along(op, axis)
            except PlanError as fault:
                self._readings[op, axis] = fault
        found = self._readings[op, axis]
        if isinstance(found, PlanError):
            raise found
        return found

    def _read_along(self, op: str, axis: int) -> dict[str, Reading]:
        shape = self._graph.tensors[op].shape
        places = 0, shape[axis] // 2, shape[axis] - 1
        first, middle, last = (self._alike(op, along(shape, axis, (at, at + 1))) for at in places)
        found = {}
        for name in first.keys() & middle.keys() & last.keys():
            moved = _moved(first[name], last[name])
            if moved is not None:
                begun, end = middle[name][moved]
                found[name] = Reading(moved, end - begun)
        return found

    def _alike(self, op: str, box: Box) -> dict[str, Box]:
        """What a box needs of inputs of which it needs the same wherever the op reads them: not so joined with itself."""
        node = self._node(op)
        mentions = Counter(value.name for value in node.inputs if value is not None)
        return {
            name: found[0]
            for name, found in boxes(node, box).items()
            if name in self._graph.tensors and len(found) == mentions[name] and len(set(found)) == 1
        }

    def _reads(self, op: str, box: Box) -> dict[str, Box]:
        return {name: each for name, each in reads(self._node(op), box).items() if name in self._graph.tensors}

    def _node(self, op: str) -> ir.Node:
        if op not in self._nodes:
            raise PlanError(f"op '{op}' is known by its sizes alone")
        return self._nodes[op]

    def _pipeline(self, group: Sequence[str], lanes: Lanes, turn: int) -> Pipeline:
        ops = [name for name in group if lanes.turns[name] == turn]
        passing = [name for name in lanes.passing if name in ops]
        steps = tuple(self._steps(ops, set(passing), lanes))
        rows = {name: max(each.end - each.kept for each in steps if each.op == name) for name in passing}
        return Pipeline(tuple(ops), steps, rows)

    def _steps(self, ops: Sequence[str], passing: set[str], lanes: Lanes) -> Iterator[Step]:
        """Tile by tile of what leaves the pipeline: no row is made before somebody needs it, none twice.

        In each round every op makes one tile where its inputs are there, so that buffers hold what windows overlap.
        """
        axes, rows = lanes.axes, {op: self.rows(op, lanes) for op in ops}
        tiles = min(self._tiles, max(rows[op] for op in ops if op not in passing))
        made = dict.fromkeys(ops, 0)
        for tile in range(1, tiles + 1):
            goals = {op: 0 if op in passing else -(-rows[op] * tile // tiles) for op in ops}
            for op in reversed(ops):
                if goals[op] > made[op]:
                    for name, (_, end) in self._needs(op, axes, made[op], goals[op], set(ops)).items():
                        goals[name] = max(goals[name], end)
            while any(goals[op] > made[op] for op in ops):
                for op in ops:
                    end = min(goals[op], made[op] - (-rows[op] // tiles))
                    if end > made[op] and self._there(op, axes, end, made):
                        yield Step(op, made[op], end, self._kept(op, axes, made, rows, passing))
                        made[op] = end

    def _there(self, op: str, axes: Mapping[str, int | None], end: int, made: Mapping[str, int]) -> bool:
        """Whether an op has what it needs to go on to a row."""
        wanted = self._needs(op, axes, made[op], end, set(made))
        return all(made[name] >= last for name, (_, last) in wanted.items())

    def _kept(
        self, op: str, axes: Mapping[str, int | None], made: Mapping[str, int], rows: Mapping[str, int],
        passing: set[str],
    ) -> int:  # fmt: skip
        """The first row of what an op makes that somebody will still read."""
        if op not in passing:
            return 0
        readers = {self._graph.ops[at].name for at in self._graph.consumers[op]}
        wanted = (
            self._needs(each, axes, made[each], made[each] + 1, {op})[op][0]
            for each in readers
            if made[each] < rows[each]
        )
        return min((*wanted, made[op]))

    def _needs(
        self, op: str, axes: Mapping[str, int | None], first: int, end: int, among: set[str]
    ) -> dict[str, tuple[int, int]]:
        """The rows of tensors of the same pipeline that rows of an op need."""
        axis = axes[op]
        if axis is None:
            return {}
        at = (op, axis, first, end)
        if at not in self._tiles_read:
            try:
                self._tiles_read[at] = self._reads(op, along(self._graph.tensors[op].shape, axis, (first, end)))
            except PlanError as fault:
                raise _RefusedError(op, axis, fault) from fault
        found = self._tiles_read[at]
        return {name: box[axes[name] or 0] for name, box in found.items() if name in among}


class _RefusedError(Exception):
    """An op cannot make some tile along an axis."""

    def __init__(self, op: str, axis: int, fault: PlanError) -> None:
        super().__init__(fault.what)
        self.op, self.axis, self.fault = op, axis, fault


def _moved(first: Box, last: Box) -> int | None:
    """The only axis on which two boxes differ; None if there is none, or another."""
    found = [axis for axis, (one, other) in enumerate(zip(first, last, strict=True)) if one != other]
    return found[0] if len(found) == 1 else None
