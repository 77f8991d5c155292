"""What events of arrays of small processing elements take: the same rows for messages, a CGRA and a systolic array."""

from __future__ import annotations

from typing import Literal

from shoal.machines._bill import Price
from shoal.machines._energy import energy

NODE_NM = 45
OUTSIDE_BITS = 64  # of the table's row of the memory outside
WORD_BITS = 16


def message_prices(values: Literal["int16", "float32"]) -> dict[str, Price]:
    """Of an array of active messages."""
    return {
        **arithmetic(values),
        "local word": ((1, energy("sram 2 KB", "read", 32, NODE_NM)),),
        "hop": ((1, energy("hop of a network on the die", "move", 1, NODE_NM)),),
        "fifo": ((1, energy("register", "move", 1, NODE_NM)),),
        "configuration": ((64, energy("register", "move", 1, NODE_NM)),),
        "outside": ((WORD_BITS / OUTSIDE_BITS, energy("sram 1 MB", "read", 64, NODE_NM)),),
    }


def arithmetic(values: Literal["int16", "float32"]) -> dict[str, Price]:
    """A product and a sum."""
    if values == "int16":
        return {
            "product": ((1, energy("int", "mul", 16, NODE_NM)),),
            "sum": ((1, energy("int", "add", 32, NODE_NM)),),
        }
    return {
        "product": ((1, energy("float", "mul", 32, NODE_NM)),),
        "sum": ((1, energy("float", "add", 32, NODE_NM)),),
    }
