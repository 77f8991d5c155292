"""Which parameters are gathered, used and let go together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from shoal.train.language import Decoder

ROOT = 0  # place of the unit that stays for a whole step


@dataclass(frozen=True)
class Unit:
    """Parameters of one module, one after another in one run of numbers."""

    module: str  # its name in the model; "": what is used outside the blocks
    shapes: tuple[tuple[str, tuple[int, ...]], ...]  # by the parameter's name in the model

    @property
    def size(self) -> int:
        """Numbers."""
        return sum(math.prod(shape) for _, shape in self.shapes)

    def spans(self) -> Iterator[tuple[str, tuple[int, ...], slice]]:
        """Name, shape and place of each parameter."""
        at = 0
        for name, shape in self.shapes:
            yield name, shape, slice(at, at + math.prod(shape))
            at += math.prod(shape)


def units(decoder: Decoder) -> tuple[Unit, ...]:
    """First what is used outside the blocks (the embedding at both ends, the last norm), then a unit for each block."""
    found: dict[str, list[tuple[str, tuple[int, ...]]]] = {"": []}
    for name, shape in decoder.shapes().items():
        module = ".".join(name.split(".")[:2]) if name.startswith("layers.") else ""
        found.setdefault(module, []).append((name, shape))
    return tuple(Unit(module, tuple(shapes)) for module, shapes in found.items())
