"""What a tile engine is asked to do, what it is told to do, and what that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Unit = Literal["LOAD", "GEMM", "VEC", "STORE"]


@dataclass(frozen=True)
class Widths:
    """Bits of operands, and whether they are floating-point numbers."""

    weights: int
    activations: int
    floating: bool = False

    @property
    def name(self) -> str:
        """As publications write it: "W4A8"."""
        return f"FP{self.weights}" if self.floating else f"W{self.weights}A{self.activations}"


@dataclass(frozen=True)
class Work:
    """One op: a product with weights, or one that goes over values one by one."""

    name: str
    kind: str  # of ONNX: "Conv"
    reads: Mapping[str, int]  # values of each tensor that it reads, by name
    writes: Mapping[str, int]  # of each that it gives
    weights: int = 0  # values
    rows: int = 0  # of a product: results at a place; 0: no product
    inner: int = 0  # what each of them sums over
    places: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.rows * self.inner * self.places


@dataclass(frozen=True)
class Group:
    """Ops that run as one: a product and what follows it value by value, without a way through main memory."""

    works: tuple[Work, ...]

    @property
    def name(self) -> str:
        """That of its first op."""
        return self.works[0].name

    @property
    def made(self) -> frozenset[str]:
        """Tensors that are made within."""
        return frozenset(name for work in self.works for name in work.writes)


@dataclass(frozen=True)
class Instruction:
    """One of the four things that the engine is told."""

    unit: Unit
    what: str  # tensor or op
    bytes: int = 0  # of LOAD and STORE
    values: int = 0  # of VEC: lanes' turns
    rows: int = 0  # of GEMM
    inner: int = 0
    places: int = 0


@dataclass(frozen=True)
class Ran:
    """What a network took."""

    cycles: int
    seconds: float
    dram_bytes: int
    counts: Mapping[str, float]  # events: "mac", "sram", "dram" (bytes), "vector"
    energy_j: Mapping[str, float]  # by component

    @property
    def joules(self) -> float:
        """All components."""
        return sum(self.energy_j.values())

    @property
    def items_per_s(self) -> float:
        """One after another."""
        return 1 / self.seconds

    @property
    def watts(self) -> float:
        """While it runs."""
        return self.joules / self.seconds


class Tiles(Protocol):
    """A technique of `machines/tiles`."""

    def compiled(self, groups: Sequence[Group], widths: Widths) -> tuple[tuple[Instruction, ...], ...]:
        """The instructions of each group.

        Raises:
            InputError: a tensor that has to be on the chip does not fit, or operands of such widths have no unit.
        """

    def run(self, groups: Sequence[Group], widths: Widths) -> Ran:
        """Cycles, events and energy of the groups one after another; raises like `compiled`."""
