"""What the units of an array do: whole numbers of a fixed width that wrap round, as registers hold them.

Each operation works on plain numbers and on arrays of numpy alike: one text for both ways of carrying out a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shoal.errors import ModelError

LOAD, STORE = "load", "store"


@dataclass(frozen=True)
class Op:
    """One operation of an ALU."""

    operands: int
    part: str  # the part of the ALU that does it: a key of the tables of area and energy
    of: Callable[..., Any]  # numbers, or arrays of them


OPS: Mapping[str, Op] = {
    "add": Op(2, "add", lambda a, b: a + b),
    "sub": Op(2, "add", lambda a, b: a - b),
    "mul": Op(2, "mul", lambda a, b: a * b),
    "shl": Op(2, "shift", lambda a, b: a << (b & 31)),
    "shr": Op(2, "shift", lambda a, b: a >> (b & 31)),
    "and": Op(2, "logic", lambda a, b: a & b),
    "or": Op(2, "logic", lambda a, b: a | b),
    "xor": Op(2, "logic", lambda a, b: a ^ b),
    "lt": Op(2, "add", lambda a, b: (a < b) * 1),
    "le": Op(2, "add", lambda a, b: (a <= b) * 1),
    "eq": Op(2, "add", lambda a, b: (a == b) * 1),
    "ne": Op(2, "add", lambda a, b: (a != b) * 1),
    "min": Op(2, "add", lambda a, b: b + (a - b) * (a < b)),
    "max": Op(2, "add", lambda a, b: b + (a - b) * (a > b)),
    "select": Op(3, "choose", lambda a, b, p: b + (a - b) * (p != 0)),
}
MEMORY = {LOAD: 1, STORE: 2}  # operands: the index; of a store also the value


def operands(op: str) -> int:
    """How many operands `op` takes.

    Raises:
        ModelError: no unit does it.
    """
    if op in MEMORY:
        return MEMORY[op]
    if op not in OPS:
        raise ModelError(f"no unit does '{op}'", needed=", ".join((*OPS, *MEMORY)))
    return OPS[op].operands


def wrapped(value: Any, bits: int) -> Any:
    """`value` as a register of so many bits holds it, with a sign."""
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half
