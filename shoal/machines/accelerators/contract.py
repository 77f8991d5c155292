"""What an accelerator that is not here is asked, what it is told, and what that took. Values go through it as through the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Mapping[str, Array]


@dataclass(frozen=True)
class Operand:
    """A tensor that an op reads or gives. Those that are constant are known when the op is compiled."""

    name: str
    dtype: str  # numpy's name
    shape: tuple[int, ...]
    read: Callable[[], Array] | None = field(default=None, repr=False, compare=False)  # the values of a constant

    @property
    def constant(self) -> bool:
        """Whether its values are known beforehand."""
        return self.read is not None

    @cached_property
    def values(self) -> Array:
        """The values of a constant, in `dtype` and `shape`; read once.

        Raises:
            ValueError: it is no constant; a defect of ours.
        """
        if self.read is None:
            raise ValueError(f"'{self.name}' is known at run time only")
        return self.read()

    @property
    def elements(self) -> int:
        """How many values it has."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Of the dense tensor."""
        return self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Call:
    """One op of a network with its sizes."""

    name: str  # of its first output, as everywhere
    kind: str  # the ONNX operator type, "MatMul"
    inputs: tuple[Operand | None, ...]  # by place; none: an optional one that is left out
    outputs: tuple[Operand, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)  # ONNX's, those that are written


@dataclass(frozen=True)
class Span:
    """Something that one part of the machine did, for pictures."""

    part: str  # "port", "tile 3"
    what: str
    begin: int  # cycle
    end: int  # cycle after the last


@dataclass(frozen=True, eq=False)
class Ran:
    """What a task gave and took."""

    outputs: Arrays  # by name; computed from what was moved in the machine, never copied from a reference
    cycles: int
    seconds: float
    energy_j: Mapping[str, float]  # by component, "static" among them
    counters: Mapping[str, float]  # events, from which the energy follows
    trace: tuple[Span, ...] = ()

    @property
    def joules(self) -> float:
        """All components."""
        return sum(self.energy_j.values())


Task = TypeVar("Task")


class Accelerator(Protocol[Task]):
    """A technique of `machines/accelerators`: its fields are structure (sizes, clocks, widths), never a speed-up."""

    def compiled(self, call: Call) -> Task:
        """The op in the machine's own terms, once for all runs.

        Raises:
            ModelError: it has no unit for such an op or such weights; the message names the op and what it can do.
            LimitError: a tensor does not fit; the message names the tensor, its bytes and the capacity.
        """

    def run(self, task: Task, data: Arrays | None = None) -> Ran:
        """Carry out a task.

        Args:
            task: what `compiled` gave.
            data: the inputs that are not constant, by name; none: the machine takes seeded values, and what it
                took is that of such values.
        """
