"""The engine that defines what a segment means: ONNX's own reference operators, in numpy. Slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.engines import _onnx
from shoal.engines.contract import Arrays
from shoal.errors import ModelError
from shoal.program import Program, Segment

if TYPE_CHECKING:
    from onnx.reference import ReferenceEvaluator

    from shoal.graph import Graph


@dataclass(frozen=True)
class Reference:
    """Runs any operator ONNX defines, one thread, unoptimised."""

    def write(self, graph: Graph, ops: Sequence[str], folder: Path, stem: str) -> tuple[str, ...]:
        """Write `ops` as ONNX."""
        return _onnx.write(graph, ops, folder, stem)

    def load(self, program: Program, segment: Segment, folder: Path, threads: int) -> ReferenceSession:
        """Load the segment's ONNX file, weights and all.

        Raises:
            ModelError: a file is missing or damaged, or an operator is unknown.
        """
        import onnx
        from onnx.reference import ReferenceEvaluator

        from shoal.graph import decode

        where = f"segment '{segment.name}' (reference)"
        path, *_ = _onnx.paths(segment, folder)
        decode.register()
        try:
            onnx.checker.check_model(path)
            evaluator = ReferenceEvaluator(onnx.load(path), new_ops=[decode.evaluator()])
        except (onnx.checker.ValidationError, OSError, NotImplementedError, ValueError) as fault:
            raise ModelError(f"cannot load '{path.name}': {fault}", where=where) from fault
        dtypes = {name: np.dtype(program.tensors[name].dtype) for name in segment.outputs}
        return ReferenceSession(evaluator, dtypes, where)


@dataclass(frozen=True)
class ReferenceSession:
    """The evaluator and the type of each output."""

    evaluator: ReferenceEvaluator
    dtypes: Mapping[str, np.dtype[Any]]
    where: str

    def run(self, inputs: Arrays, into: Arrays) -> Mapping[str, NDArray[Any]]:
        """Evaluate op by op."""
        values = self.evaluator.run(list(self.dtypes), dict(inputs))
        results: dict[str, NDArray[Any]] = {}
        for (name, dtype), value in zip(self.dtypes.items(), values, strict=True):
            if name in into:
                np.copyto(into[name], value)
                results[name] = into[name]
            else:  # a copy: the evaluator may hand back an input
                results[name] = np.array(value, dtype, order="C")
        return results
