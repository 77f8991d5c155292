"""The engine of irregular kernels: sparse products, dense products, windowed attention, on items of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.engines import _kernel_math, _onnx
from shoal.engines._blas import limit_threads
from shoal.engines._kernel_math import Form
from shoal.engines._kernel_steps import READS, KernelFile, KernelStep, share
from shoal.engines.contract import Arrays
from shoal.errors import ModelError
from shoal.program import Program, Segment

if TYPE_CHECKING:
    from shoal.graph import Graph

__all__ = ["Form", "KernelFile", "KernelSession", "KernelStep", "Kernels", "limit_threads", "share"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Kernels:
    """Runs segments whose first file is a list of kernels in JSON and whose other files are weights in .npy.

    The two forms are two implementations of each kernel, as two makes of device would have them: `sparse` walks
    the non-zeros and the windows but multiplies dense matrices by plain loops; `dense` does everything as dense
    products by BLAS, zeros included.
    """

    form: Form = "sparse"  # sparse: CSR (scipy), banded attention, plain loops; dense: BLAS on full matrices

    def write(self, graph: Graph, ops: Sequence[str], folder: Path, stem: str) -> tuple[str, ...]:
        """Refuse: ONNX has none of these kernels; `plan.pool_lower` writes their files.

        Raises:
            ModelError: always.
        """
        raise ModelError("the engine 'kernels' runs chains of kernels, not ops of a model", where=ops[0])

    def load(self, program: Program, segment: Segment, folder: Path, threads: int) -> KernelSession:
        """Read the list of kernels and map the weights.

        Raises:
            ModelError: a file is missing or damaged, or the steps do not fit the segment.
        """
        where = f"segment '{segment.name}' (kernels)"
        path, *others = _onnx.paths(segment, folder)
        steps = codec.load(KernelFile, path).steps
        files = {file.name: _weights(file, where) for file in others}
        _check(steps, segment, set(files), where)
        limit_threads(threads)
        return KernelSession(self.form, steps, files, segment.outputs)


@dataclass(frozen=True)
class KernelSession:
    """The steps with their weights."""

    form: Form
    steps: tuple[KernelStep, ...]
    weights: Mapping[str, Array]
    outputs: tuple[str, ...]

    def run(self, inputs: Arrays, into: Arrays) -> Mapping[str, Array]:
        """Run step by step.

        Raises:
            InputError: what should be a sparse matrix is none.
        """
        values: dict[str, Array] = dict(inputs)
        for step in self.steps:
            values[step.gives] = self._step(step, [values[name] for name in step.reads])
        results: dict[str, Array] = {}
        for name in self.outputs:
            if name in into:
                np.copyto(into[name], values[name])
                results[name] = into[name]
            else:
                results[name] = np.ascontiguousarray(values[name])
        return results

    def _step(self, step: KernelStep, read: Sequence[Array]) -> Array:
        x = read[-1]
        match step.op:
            case "spmm":
                first, last = share(len(read[0]) - 1, step.part, step.parts)
                return _kernel_math.spmm(self.form, read[0], read[1], read[2], x, first, last)
            case "gemm":
                return _kernel_math.gemm(self.form, x, self.weights[step.weights])
            case "attention":
                first, last = share(len(x), step.part, step.parts)
                return _kernel_math.attention(self.form, x, step.window, step.heads, first, last)
            case "relu":
                return np.maximum(x, 0)
            case "rows":
                first, last = share(len(x), step.part, step.parts)
                return x[first:last].copy()
            case _:
                return np.concatenate(read)


def _weights(path: Path, where: str) -> Array:
    """The array in `path`, mapped from the file: a header that promises more than the file holds is refused."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as fault:
        raise ModelError(f"cannot load '{path.name}': {fault}", where=where) from fault
    if array.dtype != np.float32 or array.ndim != 2:
        raise ModelError(f"'{path.name}' holds no weights", where=where, needed="float32, two axes",
                         had=f"{array.dtype}, {array.ndim} axes")  # fmt: skip
    return array


def _check(steps: Sequence[KernelStep], segment: Segment, files: set[str], where: str) -> None:
    there = set(segment.inputs)
    for number, step in enumerate(steps):
        if (step.op in READS and len(step.reads) != READS[step.op]) or not step.reads:
            raise ModelError(f"step {number}, {step.op}, reads the wrong number of values", where=where,
                             needed=str(READS.get(step.op, "at least 1")), had=str(len(step.reads)))  # fmt: skip
        if step.op == "gemm" and step.weights not in files:
            raise ModelError(f"step {number} multiplies by a file it was not given", where=where, had=step.weights)
        if not 0 <= step.part < step.parts or step.heads < 1 or step.window < 0:
            raise ModelError(f"step {number}, {step.op}, makes no sense", where=where, had=str(step))
        missing = set(step.reads) - there
        if missing:
            raise ModelError(f"step {number} reads '{min(missing)}', which is not there", where=where)
        there.add(step.gives)
    if missing := set(segment.outputs) - there:
        raise ModelError(f"no step gives '{min(missing)}'", where=where)
