"""Groups of ops run tile by tile on this machine: what passes within a group lies in buffers of a few rows, never whole.

Each op makes the rows that its group's steps (`shoal.plan.streams`) ask for, as a session of onnxruntime that has this op
alone; a tile is padded where the whole tensor is and nowhere else. Weights are read where they lie.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.graph import Graph, Tensor, array, boundary
from shoal.graph.access import dtype, name
from shoal.graph.box import Box, Interval, along, full, shape_of
from shoal.graph.nodes import attribute
from shoal.graph.portions import Ints, Portion, Read, Stack, Zero, portions
from shoal.graph.shapes import OLDEST_IR_VERSION
from shoal.graph.tidy import label
from shoal.plan.streams import Pipeline, Step, Streamed

if TYPE_CHECKING:
    import onnx_ir as ir

Array = NDArray[Any]


@dataclass(frozen=True)
class Ran:
    """What a run gave, and what its intermediate tensors took; inputs, answers and weights are apart."""

    outputs: Mapping[str, Array]
    peak_bytes: int  # of all at once, between groups and within them
    inside_bytes: tuple[int, ...]  # of each group: its buffers and held tensors
    traced_bytes: tuple[int, ...]  # the same with every tile on its way, by Python's allocator; 0 if nobody asked


def run_streamed(
    graph: Graph, groups: Sequence[Streamed], given: Mapping[str, Array], *, traced: bool = False
) -> Ran:
    """Run a graph's groups in their order.

    Args:
        graph: with weights.
        groups: all of it.
        given: its inputs.
        traced: have Python's allocator tell what each group takes; slower.
    """
    run = _Run(graph, given)
    ends = [boundary(graph, tuple(each.lanes.turns)) for each in groups]
    last = {each: at for at, (reads, _) in enumerate(ends) for each in reads}
    for at, (group, (_, gives)) in enumerate(zip(groups, ends, strict=True)):
        run.group(group, gives, traced=traced)
        run.forget(each for each, end in last.items() if end == at)
    return run.done()


class _Place(Protocol):
    """Where a tensor lies."""

    def read(self, box: Box) -> Array:
        """A part of it."""

    def put(self, box: Box, made: Array, kept: int) -> None:
        """Add a part; rows before `kept` are not read any more."""


class _Whole:
    """All of a tensor."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def read(self, box: Box) -> Array:
        """See `_Place`."""
        found: Array = self.array[_slices(box)]
        return found

    def put(self, box: Box, made: Array, kept: int) -> None:
        """See `_Place`."""
        self.array[_slices(box)] = made


class _Rows:
    """The rows of a tensor that somebody may still read."""

    def __init__(self, tensor: Tensor, axis: int, rows: int) -> None:
        shape = shape_of(along(tensor.shape, axis, (0, rows)))
        self.array = np.empty(shape, tensor.dtype)
        self._axis, self._first, self._end = axis, 0, 0

    def read(self, box: Box) -> Array:
        """See `_Place`."""
        first, end = box[self._axis]
        found: Array = self.array[_slices(self._at(box, (first - self._first, end - self._first)))]
        return found

    def put(self, box: Box, made: Array, kept: int) -> None:
        """See `_Place`."""
        whole, stay = full(self.array.shape), self._end - kept
        if kept > self._first and stay:
            moved = self.array[_slices(self._at(whole, (kept - self._first, self._end - self._first)))]
            self.array[_slices(self._at(whole, (0, stay)))] = moved
        self._first, self._end = kept, box[self._axis][1]
        self.array[_slices(self._at(box, (stay, self._end - kept)))] = made

    def _at(self, box: Box, interval: Interval) -> Box:
        return (*box[: self._axis], interval, *box[self._axis + 1 :])


class _Run:
    """One run."""

    def __init__(self, graph: Graph, given: Mapping[str, Array]) -> None:
        self._graph, self._kernels = graph, _Kernels()
        self._nodes = {label(node): node for node in graph.model.graph}
        self._weights = {each: array(graph, each) for each in graph.weights}
        self._outside: dict[str, _Whole] = {each: _Whole(given[each]) for each in graph.given}
        self._inside: dict[str, _Whole | _Rows] = {}
        self._peak_bytes, self._groups = 0, list[tuple[int, int]]()  # of each group: counted and traced

    def group(self, of: Streamed, gives: Sequence[str], *, traced: bool) -> None:
        """A group, which gives these tensors."""
        for each in gives:
            self._outside[each] = _Whole(_empty(self._graph.tensors[each]))
        counted, most = self._pipelines(of), 0
        if traced:  # again, now that every session is there
            most = _traced_bytes(lambda: self._pipelines(of))
        self._groups.append((counted, most))
        self._peak_bytes = max(self._peak_bytes, counted + self._between())

    def _pipelines(self, of: Streamed) -> int:
        """One after another; the most bytes of buffers and held tensors."""
        counted, last = 0, of.last_turns(self._graph)
        for turn, pipeline in enumerate(of.pipelines):
            self._room(of, pipeline)
            counted = max(counted, sum(each.array.nbytes for each in self._inside.values()))
            for step in pipeline.steps:
                self._step(step, of.lanes.axes[step.op])
            for each in (*pipeline.rows, *(held for held, end in last.items() if end == turn)):
                del self._inside[each]
        return counted

    def forget(self, names: Iterable[str]) -> None:
        """Let go of tensors that no later group reads."""
        for each in names:
            if each not in self._graph.finals:
                del self._outside[each]

    def done(self) -> Ran:
        """All there is to tell."""
        outputs = {each: self._outside[each].array for each in self._graph.outputs}
        counted, traced = zip(*self._groups, strict=True)
        return Ran(outputs, self._peak_bytes, counted, traced)

    def _between(self) -> int:
        apart = {*self._graph.given, *self._graph.finals}
        return sum(each.array.nbytes for name, each in self._outside.items() if name not in apart)

    def _room(self, of: Streamed, pipeline: Pipeline) -> None:
        held = {each.tensor for each in of.lanes.held}
        for op in pipeline.ops:
            for each in self._graph.ops[self._graph.position[op]].outputs:
                tensor = self._graph.tensors[each]
                if each in pipeline.rows:
                    self._inside[each] = _Rows(tensor, of.lanes.axes[op] or 0, pipeline.rows[each])
                elif each in held:
                    self._inside[each] = _Whole(_empty(tensor))

    def _step(self, step: Step, axis: int | None) -> None:
        node = self._nodes[step.op]
        shape = self._graph.tensors[step.op].shape
        box = full(shape) if axis is None else along(shape, axis, (step.first, step.end))
        made = [self._made(node, portion) for portion in portions(node, box)]
        if box == full(shape):  # one portion, and perhaps several outputs
            for each, found in made[0].items():
                self._place(each).put(full(found.shape), found, 0)
        else:
            parts = [found[step.op] for found in made]
            self._place(step.op).put(box, parts[0] if len(parts) == 1 else np.concatenate(parts, 1), step.kept)

    def _made(self, node: ir.Node, portion: Portion) -> dict[str, Array]:
        values = [self._value(each, read) for each, read in zip(node.inputs, portion.reads, strict=False)]
        outputs = self._graph.ops[self._graph.position[label(node)]].outputs
        return dict(zip(outputs, self._kernels.run(node, portion, values), strict=True))

    def _value(self, value: ir.Value | None, read: Read) -> Array | None:
        """What a portion reads, as it stands in memory."""
        if value is None or read is None:
            return None
        if isinstance(read, Ints):
            return np.array(read.values, np.int64)
        if isinstance(read, Zero):
            return np.zeros((1,) * read.rank, dtype(value).numpy())
        if isinstance(read, Stack):
            return np.concatenate([self._box(name(value), box) for box in read.boxes], read.axis)
        return np.ascontiguousarray(self._box(name(value), read))

    def _box(self, of: str, box: Box) -> Array:
        return self._weights[of][_slices(box)] if of in self._weights else self._place(of).read(box)

    def _place(self, of: str) -> _Place:
        return self._inside[of] if of in self._inside else self._outside[of]


class _Kernels:
    """Ops by themselves as sessions, each made once for its attributes."""

    def __init__(self) -> None:
        self._sessions: dict[object, Any] = {}

    def run(self, node: ir.Node, portion: Portion, values: Sequence[Array | None]) -> list[Array]:
        """The outputs of a portion that somebody reads."""
        present = tuple(each is not None for each in values)
        key = label(node), tuple(sorted(portion.attributes.items())), present
        if key not in self._sessions:
            self._sessions[key] = _session(node, portion, present)
        given = {f"i{at}": each for at, each in enumerate(values) if each is not None}
        found: list[Array] = self._sessions[key].run(None, given)
        return found


def _session(node: ir.Node, portion: Portion, present: Sequence[bool]) -> Any:
    import onnx_ir as ir
    import onnxruntime

    assert node.graph is not None  # ops come out of a loaded graph
    inputs = [
        ir.Value(name=f"i{at}", type=value.type) if here and value is not None else None
        for at, (value, here) in enumerate(zip(node.inputs, present, strict=False))
    ]
    if node.op_type == "Concat":  # what lies outside a tile is left out, and no gap stays
        inputs = [each for each in inputs if each is not None]
    read = [bool(value.uses() or value.is_graph_output()) for value in node.outputs]
    outputs = [ir.Value(name=f"o{at}" if used else "", type=value.type)
               for at, (value, used) in enumerate(zip(node.outputs, read, strict=True))]  # fmt: skip
    kept = [value for each, value in node.attributes.items() if each not in portion.attributes]
    made = ir.Node(node.domain, node.op_type, inputs,
                   [*kept, *(attribute(each, value) for each, value in portion.attributes.items())], outputs=outputs)  # fmt: skip
    graph = ir.Graph(
        [each for each in inputs if each is not None], [each for each in outputs if each.name], nodes=[made],
        opset_imports=dict(node.graph.opset_imports), name="tile",
    )  # fmt: skip
    model = ir.serde.serialize_model(ir.Model(graph, ir_version=OLDEST_IR_VERSION, producer_name="shoal"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # faults come as exceptions
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _traced_bytes(run: Callable[[], object]) -> int:
    """The most that Python's allocator gives to `run`."""
    tracemalloc.start()
    try:
        run()  # Python keeps small objects that are done with for later ones, unless its collector has just let them go
        kept_bytes = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        run()
        return tracemalloc.get_traced_memory()[1] - kept_bytes
    finally:
        tracemalloc.stop()


def _slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(first, end) for first, end in box)


def _empty(tensor: Tensor) -> Array:
    return np.empty(tensor.shape, tensor.dtype)
