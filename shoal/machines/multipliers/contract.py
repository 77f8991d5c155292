"""What a design of a multiplier gives: for each weight the circuit that an array of them holds while inputs stream by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

X_BITS, PRODUCT_BITS = 8, 16
LOW, HIGH = 0, 1  # nets that never change
FIRST_X = 2  # nets of the input's bits, the lowest first
FIRST_GATE = FIRST_X + X_BITS


@dataclass(frozen=True)
class Kind:
    """A gate of one or two inputs. Delays and energies are in units of an AND gate's."""

    name: str
    tenths: int  # of its delay: a whole number, so that sums are exact
    energy: float  # of a change of its output


INV = Kind("inv", 4, 0.5)
AND = Kind("and", 10, 1.0)
OR = Kind("or", 10, 1.0)
XOR = Kind("xor", 16, 1.5)
SELECT = Kind("select", 15, 1.5)  # of a Booth row: lets one bit of the input through; energy as that of an XOR


class Gate(NamedTuple):
    """Its output is the net of its place in the circuit."""

    kind: Kind
    first: int  # nets that it reads
    second: int  # LOW if it has one input


@dataclass(frozen=True)
class Circuit:
    """Gates, each after those it reads. Gate i drives net FIRST_GATE + i."""

    gates: tuple[Gate, ...]
    outputs: tuple[int, ...]  # nets of the product, two's complement, the lowest bit first
    addend: int = 0  # what the accumulator adds besides: 1 where it subtracts by adding the complement


class Multiplier(Protocol):
    """A technique of `machines/multipliers`."""

    @property
    def weights(self) -> range:
        """The weights that it takes."""

    def circuit(self, weight: int) -> Circuit:
        """What is left to switch while `weight` stays and x changes: x · weight, less the addend."""
