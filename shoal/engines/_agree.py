"""Does a converted segment answer like onnxruntime? A process of its own: PROGRAM ONNX-FILE NCNN-FOLDER."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.engines._pnnx import Verdict
from shoal.engines.ncnn import Ncnn
from shoal.engines.onnxruntime import Onnxruntime
from shoal.errors import ShoalError
from shoal.program import Program

_NEVER = sys.maxsize  # no cache: the file is looked at once


def verdict(program: Program, source: Path, converted: Path) -> Verdict:
    """The worst output over one set of seeded inputs, standard normal."""
    (segment,) = program.segments
    rng = np.random.default_rng(0)
    feeds = {
        name: rng.standard_normal(program.tensors[name].bound({})).astype(np.float32) for name in segment.inputs
    }
    got = Ncnn().load(program, segment, converted, 1).run(feeds, {})
    plain = replace(segment, files=(source.name,))
    wanted = Onnxruntime(cache_from_bytes=_NEVER).load(program, plain, source.parent, 1).run(feeds, {})
    return max(
        (Verdict(name, _difference(got[name], wanted[name])) for name in segment.outputs),
        key=lambda one: one.difference,
    )


def _difference(got: NDArray[Any], wanted: NDArray[Any]) -> float:
    if not np.isfinite(got).all():  # also where onnxruntime's is not: nothing was compared
        return float("inf")
    magnitude = float(np.abs(wanted).max(initial=0.0))
    return float(np.abs(got - wanted).max(initial=0.0)) / (magnitude or 1.0)


def main() -> int:
    """Write the verdict to stdout; the exit code is 1 with the reason on stderr if one form cannot run."""
    program, source, converted = sys.argv[1:]
    try:
        found = verdict(codec.load(Program, Path(program)), Path(source), Path(converted))
    except ShoalError as fault:
        sys.stderr.write(fault.message)
        return 1
    sys.stdout.write(codec.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
