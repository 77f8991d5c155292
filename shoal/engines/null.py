"""The engine that runs everything but arithmetic: right shapes, no values, no model file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.engines.contract import Arrays
from shoal.program import Program, Segment

if TYPE_CHECKING:
    from shoal.graph import Graph


@dataclass(frozen=True)
class Null:
    """Answers zeros at once, so that what remains is the cost of everything around an engine."""

    gate: bool = True  # the value of outputs of type bool, which decide whether what follows runs

    def write(self, graph: Graph, ops: Sequence[str], folder: Path, stem: str) -> tuple[str, ...]:
        """Write nothing."""
        return ()

    def load(self, program: Program, segment: Segment, folder: Path, threads: int) -> NullSession:
        """Need nothing but the names, types and bound shapes of the outputs."""
        specs = {name: program.tensors[name] for name in segment.outputs}
        return NullSession(
            {name: (spec.bound(program.sizes), np.dtype(spec.dtype)) for name, spec in specs.items()},
            self.gate,
        )


@dataclass(frozen=True)
class NullSession:
    """Outputs by name: bound shape and type."""

    outputs: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
    gate: bool

    def run(self, inputs: Arrays, into: Arrays) -> Mapping[str, NDArray[Any]]:
        """Zeros for every output, at its bound shape or the shape of its array in `into`."""
        return {name: self._fill(name, into.get(name)) for name in self.outputs}

    def _fill(self, name: str, target: NDArray[Any] | None) -> NDArray[Any]:
        shape, dtype = self.outputs[name]
        array = np.empty(shape, dtype) if target is None else target
        array.fill(self.gate if dtype.kind == "b" else 0)
        return array
