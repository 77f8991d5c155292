"""Blocks of the device that a design takes: multipliers (DSP48E2, 27 × 18 bits) and memories (BRAM36, 512 words of 72 bits)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from shoal.errors import InputError

if TYPE_CHECKING:
    from shoal.machines.accelerators.edge_moe import EdgeMoe

MEMORY_BITS, MEMORY_WORDS = 72, 512  # of a block memory as a simple dual port [AMD UG573]
ENTRY_BITS = 48  # of an expert's queue: a token's number in 16 bits, its share in 32


@dataclass(frozen=True)
class Part:
    """A unit or a buffer."""

    name: str
    dsp: int = 0
    bram: int = 0


def dsp_of(left_bits: int, right_bits: int) -> int:
    """Multipliers of 27 × 18 bits that a product with signs takes: all but the top part of an operand give up a bit."""
    return ceil((left_bits - 1) / 26) * ceil((right_bits - 1) / 17)


def bram_of(width_bits: int, size_bytes: int) -> int:
    """Block memories of a buffer that is read so many bits wide."""
    return ceil(width_bits / MEMORY_BITS) * ceil(size_bytes * 8 / width_bits / MEMORY_WORDS)


def parts(machine: EdgeMoe) -> list[Part]:
    """What the machine is made of. Circuits of logic alone (exponential, division, control) are left out."""
    features, slots = machine.port_features, machine.slots
    square = dsp_of(machine.feature_bits, machine.feature_bits)
    return [
        linear_unit(machine, "linear", machine.weight_buffer_bytes),
        Part("scores", slots * features * square, bram_of(slots * machine.port_bits, slots * machine.row_bytes)),
        Part(
            "values", slots * (features + 1) * square, bram_of(slots * machine.port_bits, slots * machine.row_bytes)
        ),
        Part("softmax", slots * square),
        Part("GELU", features * square, ceil(features / 2)),  # a table has two ports
        Part("norm", features * square, bram_of(machine.port_bits, machine.row_bytes)),
        Part("gate", features * dsp_of(machine.feature_bits, machine.weight_bits)),
        Part("queues", 0, bram_of(ENTRY_BITS, machine.queue_entries * ENTRY_BITS // 8)),
    ]


def linear_unit(machine: EdgeMoe, name: str, buffer_bytes: int) -> Part:
    """A square of multipliers with its buffers of weights."""
    products = machine.rows * machine.columns
    wide = products * machine.weight_bits
    return Part(
        name,
        products * dsp_of(machine.feature_bits, machine.weight_bits),
        machine.buffers * bram_of(wide, buffer_bytes),
    )


def check(machine: EdgeMoe, taken: Sequence[Part]) -> None:
    """That the device has the blocks.

    Raises:
        InputError: it lacks some; the part that takes most is named.
    """
    for kind, had in (("dsp", machine.dsp_blocks), ("bram", machine.bram_blocks)):
        needed = sum(getattr(each, kind) for each in taken)
        if needed > had:
            most = max(taken, key=lambda each: int(getattr(each, kind)))
            raise InputError(f"the device has too few {kind.upper()} blocks", where="edge_moe", needed=str(needed),
                             had=str(had), hint=f"'{most.name}' takes {getattr(most, kind)} of them")  # fmt: skip
