"""What a trace holds: operators of a framework, launches on the host, kernels of the device, and how they belong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Operator:
    """A call of the framework; those of one thread are nested."""

    name: str  # "aten::mm"
    thread: str
    begin_s: float
    end_s: float
    parent: int = -1  # its place among the operators; -1: called by no other

    @property
    def seconds(self) -> float:
        """How long it took, with all it called."""
        return self.end_s - self.begin_s


@dataclass(frozen=True)
class Launch:
    """A call on the host that puts a kernel into a queue."""

    name: str  # "cudaLaunchKernel"
    thread: str
    begin_s: float
    end_s: float
    correlation: int
    operator: int = -1  # the innermost one around it; -1: none


@dataclass(frozen=True)
class Kernel:
    """A piece of work on the device."""

    name: str
    stream: str
    begin_s: float
    end_s: float
    launch: int  # its place among the launches

    @property
    def seconds(self) -> float:
        """How long the device worked."""
        return self.end_s - self.begin_s


@dataclass(frozen=True)
class Trace:
    """One piece of work as a profiler saw it, each part in the order of its beginnings, on one clock.

    Without a queue in front of the device, as on a CPU, there are neither launches nor kernels.
    """

    operators: tuple[Operator, ...]
    launches: tuple[Launch, ...] = ()
    kernels: tuple[Kernel, ...] = ()
    syncs_s: tuple[float, ...] = ()  # when the host began to wait for the device

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Of each operator, the places of those it called itself."""
        found: list[list[int]] = [[] for _ in self.operators]
        for place, operator in enumerate(self.operators):
            if operator.parent >= 0:
                found[operator.parent].append(place)
        return tuple(map(tuple, found))

    @property
    def roots(self) -> tuple[int, ...]:
        """The places of the operators that no other called."""
        return tuple(place for place, each in enumerate(self.operators) if each.parent < 0)

    def own_s(self, place: int) -> float:
        """Seconds of an operator less those of the ones it called."""
        called = sum(self.operators[child].seconds for child in self.children[place])
        return self.operators[place].seconds - called

    def stops(self) -> tuple[int, ...]:
        """Places in the order of kernels that begin anew: after a wait of the host, or on another stream."""
        launches = [self.launches[kernel.launch] for kernel in self.kernels]
        return tuple(
            place
            for place in range(1, len(self.kernels))
            if self.kernels[place].stream != self.kernels[place - 1].stream
            or any(launches[place - 1].begin_s <= wait < launches[place].begin_s for wait in self.syncs_s)
        )
