"""The Program: dataflow per unit, the one value that workers run and the simulator executes.

Names used below. An *item* is one thing that passes through the network (a photo, a token). An *entry* is a way
in ("main"; "prefill" and "decode"). A *route* is one replica of an entry. A *unit* is "device/unit"; the
coordinator is the party `CLIENT`, where inputs start and answers end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Literal

from shoal import codec
from shoal.program.sizes import Size, evaluate

PROTOCOL = 1
CLIENT = "client"

Takes = Literal["every", "newest", "previous"]
StepKind = Literal["recv", "run", "send", "move", "fetch"]
Scope = Literal["item", "session", "stream"]


_ITEM_BYTES: Mapping[str, int] = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "int32": 4, "uint32": 4, "float32": 4,
    "int64": 8, "uint64": 8, "float64": 8,
}  # fmt: skip


def item_bytes(dtype: str) -> int:
    """Bytes of one element; numpy, which an agent does without, is only asked about unusual types.

    Raises:
        TypeError: numpy knows no such type.
    """
    known = _ITEM_BYTES.get(dtype)
    if known is not None:
        return known
    import numpy as np

    return np.dtype(dtype).itemsize


@dataclass(frozen=True)
class TensorSpec:
    """Type and shape of a value; sizes are integers or expressions over the program's named sizes."""

    dtype: str  # numpy's name
    shape: tuple[Size, ...]

    def bound(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape with every name at the value `sizes` gives it."""
        return tuple(evaluate(size, sizes) for size in self.shape)

    def bytes(self, sizes: Mapping[str, int]) -> int:
        """Payload bytes at `sizes`."""
        return prod(self.bound(sizes)) * item_bytes(self.dtype)


@dataclass(frozen=True)
class GroupExchange:
    """A collective over several units, of which an edge is one leg."""

    kind: Literal["all_gather", "reduce_scatter", "all_reduce", "all_to_all"]
    algorithm: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Edge:
    """A tensor's way from one party to another. Its buffer holds `buffer_items` messages.

    A previous edge may lead from a unit to itself: from the segment that writes a value to others that read what
    it was for the item before. Nothing crosses a wire then.
    """

    name: str
    source: str  # a unit or CLIENT
    target: str
    tensor: str  # the value's name at the source
    delivers: str  # the value's name at the target
    spec: TensorSpec
    buffer_items: int
    takes: Takes = "every"  # "newest": the latest there is; "previous": what the reader's last item gave
    initial: float | None = None  # fills the value before the first message of a newest or previous edge
    format: str = "raw"
    group: GroupExchange | None = None
    scope: Scope = "session"  # previous: whose items follow one another, a session's or (stream) all of them

    @property
    def inside(self) -> bool:
        """Whether it never leaves its unit."""
        return self.source == self.target


@dataclass(frozen=True)
class Segment:
    """A maximal piece of the graph that can run once its inputs are there."""

    name: str
    unit: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    engine: str = "onnxruntime"
    format: str = "float32"
    operating_point: str = ""
    files: tuple[str, ...] = ()  # within the bundle; the first is the one the engine opens
    states: tuple[str, ...] = ()  # read and written while it runs
    gate: str | None = None  # this output, when false, makes the other outputs empty
    weights_bytes: int = 0
    live_bytes: int = 0  # peak live activations
    ops: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """A named value that outlives an item: KV cache, recurrent state, sensing-acting loop."""

    name: str
    unit: str
    scope: Scope
    spec: TensorSpec
    reads: str  # the value a segment reads it under
    writes: str  # the value a segment writes it from
    update: Literal["replace", "append", "place"] = (
        "replace"  # place: the segment writes into the very memory it reads
    )
    axis: int = 0  # append: along this one
    initial: float = 0.0
    layout: str = "dense"
    rows: str = (
        ""  # place: an item uses as many rows as this input of the segment has, from its session's number on
    )


@dataclass(frozen=True)
class Step:
    """One thing a unit does for one item; `name` is an edge, a segment, a state or a weight file."""

    kind: StepKind
    name: str


@dataclass(frozen=True)
class Task:
    """What one unit does for each item of one route. Steps stand in an order that is legal on their own."""

    unit: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Route:
    """One replica of an entry: who does what, which edges bring inputs and which take answers."""

    entry: str
    inputs: tuple[str, ...]  # edges from the client
    outputs: tuple[str, ...]  # edges to the client
    tasks: tuple[Task, ...]
    share: float = 1.0


@dataclass(frozen=True)
class Program:
    """Everything the workers need to know. Its hash is in every message."""

    name: str
    units: tuple[str, ...]
    edges: tuple[Edge, ...]
    segments: tuple[Segment, ...]
    routes: tuple[Route, ...]
    window: int  # items in flight
    tensors: Mapping[str, TensorSpec]
    states: tuple[State, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)  # named sizes and their bounds
    epoch: int = 0  # plan changes while running
    protocol: int = PROTOCOL

    @property
    def devices(self) -> frozenset[str]:
        """The devices whose units take part."""
        return frozenset(unit.partition("/")[0] for unit in self.units)

    @property
    def entries(self) -> tuple[str, ...]:
        """The ways in, in the order of the first route of each."""
        return tuple(dict.fromkeys(route.entry for route in self.routes))

    @cached_property
    def edge(self) -> Mapping[str, Edge]:
        """Edges by name."""
        return {edge.name: edge for edge in self.edges}

    @cached_property
    def edge_index(self) -> Mapping[str, int]:
        """Position of an edge in `edges`, as messages carry it."""
        return {edge.name: index for index, edge in enumerate(self.edges)}

    @cached_property
    def bounds(self) -> tuple[tuple[tuple[int, ...], int], ...]:
        """Of each edge: the bound of its shape, and the bytes of one element. Every message is checked by it."""
        return tuple((edge.spec.bound(self.sizes), item_bytes(edge.spec.dtype)) for edge in self.edges)

    @cached_property
    def segment(self) -> Mapping[str, Segment]:
        """Segments by name."""
        return {segment.name: segment for segment in self.segments}

    @cached_property
    def state(self) -> Mapping[str, State]:
        """States by name."""
        return {state.name: state for state in self.states}

    @cached_property
    def hash(self) -> bytes:
        """The first 16 bytes of the SHA-256 of the program's JSON."""
        return hashlib.sha256(codec.encode(self)).digest()[:16]

    @property
    def parties(self) -> tuple[str, ...]:
        """The client and all units, in the order that ranks and connections follow."""
        return (CLIENT, *self.units)

    def route_of(self, entry: str, replica: int = 0) -> int:
        """Index in `routes` of the given replica of `entry`."""
        return [index for index, route in enumerate(self.routes) if route.entry == entry][replica]
