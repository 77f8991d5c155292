"""Blocks of small numbers that share a scale of eight bits: the MX and NV formats.

Sources: OCP Microscaling Formats specification 1.0; NV formats and integers in blocks: INT v.s. FP, arXiv 2510.25602.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from shoal.errors import InputError
from shoal.formats._grid import Grid, GridFormat
from shoal.formats.floating import float_grid
from shoal.formats.integer import Integer

Element = Literal["e4m3", "e2m3", "e2m1", "int8", "int6", "int4"]
_ELEMENTS: dict[str, Element] = {
    "mxfp8": "e4m3", "mxint8": "int8", "mxfp6": "e2m3", "mxint6": "int6", "mxfp4": "e2m1", "mxint4": "int4",
    "nvfp4": "e2m1", "nvint4": "int4",
}  # fmt: skip


@dataclass(frozen=True)
class Block(GridFormat):
    """MX: blocks of 32, the scale a power of two. NV: blocks of 16, an E4M3 scale, and one in float32 for all.

    Short: mxfp8, mxint8, mxfp6, mxint6, mxfp4, mxint4, nvfp4, nvint4.
    """

    element: Element = "e2m1"
    scale: Literal["e8m0", "e4m3"] = "e8m0"
    group: int = 32  # a block
    rule: Literal["ceil", "floor"] = "ceil"  # of powers of two; "floor", as the OCP specification has it, clips
    clip: int = 0  # smaller scales tried

    def __post_init__(self) -> None:
        if self.group < 1:
            raise InputError("a block needs values", where="block", needed="group >= 1", had=str(self.group))

    @cached_property
    def grid(self) -> Grid:
        """The elements' values."""
        name = self.element
        base = Integer(int(name[3:])).grid if name.startswith("int") else float_grid(int(name[1]), int(name[3]))
        return replace(base, scale=self.scale, rule=self.rule, whole="float32" if self.scale == "e4m3" else None)


def short(name: str) -> Block | None:
    """The format of a short name, if it is one of these."""
    found = re.fullmatch(r"(mx|nv)(?:fp|int)\d", name)
    if not found or name not in _ELEMENTS:
        return None
    return Block(_ELEMENTS[name]) if found[1] == "mx" else Block(_ELEMENTS[name], "e4m3", 16)
