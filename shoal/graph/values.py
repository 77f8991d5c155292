"""What a model is: ops in topological order, the tensors between them, the weights they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Literal, NoReturn

import numpy as np

from shoal.errors import ModelError
from shoal.graph.loops import find

if TYPE_CHECKING:
    import onnx_ir as ir

DECODES = frozenset(("Decode", "DequantizeLinear"))
HALVES = frozenset(("int4", "uint4", "float4_e2m1fn"))


@dataclass(frozen=True)
class Tensor:
    """An activation between ops. `dtype` is numpy's name; `shape` is bound."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many values it has."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Payload bytes of the dense tensor."""
        return self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Weight:
    """A constant an op reads. Its values stay in their file, or in the recipe that makes them, until read."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Bytes of the dense array; values of four bits stand two in a byte."""
        if self.dtype in HALVES:
            return (prod(self.shape) + 1) // 2
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Op:
    """One operator, counted. Its name is that of its first output, which is stable across tools."""

    name: str
    kind: str  # the ONNX operator type, "Conv"
    inputs: tuple[str, ...]  # activations only, in order, without repeats
    weights: tuple[str, ...]
    outputs: tuple[str, ...]  # those somebody reads
    macs: int  # multiply-accumulates
    weights_bytes: int
    read_bytes: int  # activations
    written_bytes: int
    origin: str = ""  # in a divided graph: the op of its base that this one does all or part of
    met_bytes: int | None = None  # of its weights, those that an item is expected to read; None: by its kind


@dataclass(frozen=True)
class Carried:
    """State between items: what one item gives as `output`, the next takes as `input`.

    All items of a session follow one another in it, those without a session too; of scope "stream" all items do.
    """

    input: str
    output: str
    initial: float = 0.0  # fills the input of the first item
    scope: Literal["session", "stream"] = "session"
    rows: str = (
        ""  # an input of every item, of which the first size says how many rows of this it uses; see `State`
    )


class Unwritten:
    """Stands where the ONNX form would be in a graph made without weights: whoever reads it is told so."""

    def __getattr__(self, name: str) -> NoReturn:
        raise ModelError(
            "made from a configuration alone: there is nothing to run or to rewrite",
            hint="simulate it, or give the model's weights",
        )


@dataclass(frozen=True)
class Graph:
    """A model bound to its shapes. `model` is the ONNX form segments are cut from; treat it as frozen."""

    name: str
    source: str  # the file it was loaded from
    sha256: str  # of the file and, where it has one, its external data
    ops: tuple[Op, ...]  # topological order
    tensors: Mapping[str, Tensor]
    weights: Mapping[str, Weight]
    inputs: tuple[str, ...]  # what an item brings; carried ones are apart
    outputs: tuple[str, ...]  # what it answers; carried ones are apart
    model: ir.Model = field(repr=False, compare=False)
    base: Graph | None = field(default=None, repr=False, compare=False)  # what it was divided from
    carried: tuple[Carried, ...] = ()
    open: Mapping[str, int] = field(
        default_factory=dict
    )  # sizes that segments leave open, and the numbers for them here

    def __hash__(self) -> int:
        return hash((self.sha256, self.name, tuple(self.tensors[name] for name in self.inputs)))

    @cached_property
    def identity(self) -> str:
        """A hash of the file and the shapes it was bound to: equal graphs give equal segments."""
        bound = [(name, self.tensors[name].shape) for name in self.given]
        facts = (self.sha256, bound, self.carried) if self.carried else (self.sha256, bound)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    @cached_property
    def given(self) -> tuple[str, ...]:
        """What no op makes: the inputs of an item, then those carried over from the item before."""
        return (*self.inputs, *(each.input for each in self.carried))

    @cached_property
    def loops(self) -> tuple[tuple[str, ...], ...]:
        """The ops between taking a carried tensor and making it for the next item: a group for each closed loop.

        On one unit a loop keeps its state there; divided, each item waits for messages of the one before.
        """
        return find(self)

    @cached_property
    def finals(self) -> frozenset[str]:
        """What is needed once the last op has run: the answers, and what is carried over to the next item."""
        return frozenset((*self.outputs, *(each.output for each in self.carried)))

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Index in `ops` of the op with this name."""
        return {op.name: index for index, op in enumerate(self.ops)}

    @cached_property
    def producer(self) -> Mapping[str, int]:
        """Index in `ops` of the op that makes this tensor; those `given` are absent."""
        return {name: index for index, op in enumerate(self.ops) for name in op.outputs}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[int, ...]]:
        """Indices in `ops` of the ops that read this tensor."""
        readers: dict[str, list[int]] = {name: [] for name in self.tensors}
        for index, op in enumerate(self.ops):
            for name in op.inputs:
                readers[name].append(index)
        return {name: tuple(indices) for name, indices in readers.items()}

    @property
    def written(self) -> bool:
        """Whether there is a model that can run, with weights; otherwise a configuration told all of this."""
        return not isinstance(self.model, Unwritten)

    @cached_property
    def packed(self) -> bool:
        """Whether some of its weights are in a number format, with an op that decodes them."""
        return any(op.kind in DECODES and not op.inputs for op in self.ops)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one item."""
        return sum(op.macs for op in self.ops)

    @property
    def weights_bytes(self) -> int:
        """Bytes of all weights, each counted once."""
        return sum(weight.bytes for weight in self.weights.values())
