"""`python -m shoal.measure.alone`: one segment loaded and run in a process that does nothing else.

Reads a Job from the file named on the command line and prints a Finding; only so is memory the segment's own.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog, codec
from shoal.errors import ShoalError
from shoal.measure.clocked import clocked, own_clock
from shoal.measure.segment import Finding, Job
from shoal.program import Program, Segment, TensorSpec

LEAST_S = 0.5  # how long a quick segment is repeated
LIBRARIES = {"native": "onnxruntime"}  # of engines that are not called like theirs


def main(job_file: str) -> None:
    """Do the job; faults of the segment are part of the answer."""
    job = codec.load(Job, Path(job_file))
    try:
        found = _run(job)
    except ShoalError as fault:
        found = Finding(fault=fault.message)
    sys.stdout.buffer.write(codec.encode(found))


def _run(job: Job) -> Finding:
    segment = job.program.segment[job.segment]
    engine = catalog.make("engines", job.engine)
    _import_library(job.engine)
    base_bytes = status_bytes("VmRSS")
    session = engine.load(job.program, segment, Path(job.folder), job.threads)
    feeds = segment_feeds(job.program, segment)
    session.run(feeds, {})
    resident_bytes = status_bytes("VmRSS") - base_bytes
    spread = clocked(lambda: session.run(feeds, {}), job.repeats, least_s=LEAST_S, timer=own_clock(job.threads))
    return Finding(spread, max(0, resident_bytes), max(0, status_bytes("VmHWM") - base_bytes))


def _import_library(engine: str) -> None:
    """Import what the engine would at its first load, so that it does not count as the segment's."""
    name = engine.partition(":")[0]
    name = LIBRARIES.get(name, name)
    if importlib.util.find_spec(name):
        importlib.import_module(name)


def segment_feeds(program: Program, segment: Segment) -> dict[str, NDArray[Any]]:
    """Seeded inputs for `segment` at the bounds of their shapes."""
    source = np.random.default_rng(0)
    return {name: _values(source, program.tensors[name], program) for name in segment.inputs}


def _values(source: np.random.Generator, spec: TensorSpec, program: Program) -> NDArray[Any]:
    shape, dtype = spec.bound(program.sizes), np.dtype(spec.dtype)
    floating = np.issubdtype(dtype, np.floating)
    return np.asarray(source.standard_normal(shape) if floating else np.ones(shape), dtype=dtype)


def status_bytes(field: str) -> int:
    """A figure of this process's memory. Not getrusage, whose peak counts the parent's before the exec too."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main(sys.argv[1])
