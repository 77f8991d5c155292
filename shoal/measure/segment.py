"""What one segment costs on this machine, in time and memory, with nothing else in its process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from shoal import catalog, codec
from shoal.errors import WorkError
from shoal.graph import Graph
from shoal.measure.clocked import Spread
from shoal.measure.machine import machine_id
from shoal.measure.subject import segment_subject
from shoal.program import Program, Segment, TensorSpec
from shoal.record import Sample


@dataclass(frozen=True)
class Job:
    """What to load, from where, and how often to run it."""

    program: Program
    segment: str
    folder: str
    engine: str  # with its options
    threads: int
    repeats: int


@dataclass(frozen=True)
class Finding:
    """What came of it; `fault` if nothing did. Bytes count beyond the process with the engine's library loaded."""

    spread: Spread | None = None
    resident_bytes: int = 0
    peak_bytes: int = 0
    fault: str = ""


def profile_segment(
    program: Program,
    segment: Segment,
    folder: Path,
    *,
    model: str,
    threads: int = 1,
    engine: str = "",
    repeats: int = 15,
    patience_s: float = 600.0,
) -> Sample:
    """Load and run `segment` in a fresh process.

    The Sample's memory counts beyond a process with the engine's library loaded: resident once it has run, and
    at its peak.

    Args:
        program: the segment's tensors have their shapes there.
        segment: with its files, as written by its engine.
        folder: where the files are.
        model: identity of the graph that the segment's ops are of.
        threads: within an op.
        engine: the segment's, with options; "" takes their defaults.
        repeats: timed runs at least, after the first and two for warm-up.
        patience_s: when to give up.

    Raises:
        WorkError: the engine cannot run it, or its process died; the message says why.
    """
    job = Job(program, segment.name, str(folder), engine or segment.engine, threads, repeats)
    found = _alone(job, f"segment '{segment.name}' ({segment.engine})", patience_s)
    if found.spread is None:
        raise WorkError(found.fault)
    return Sample(
        segment_subject(model, segment.ops), machine_id(), segment.engine, segment.format, threads,
        found.spread.median_s, found.spread.low_s, found.spread.high_s, found.spread.repeats,
        found.resident_bytes, found.peak_bytes,
    )  # fmt: skip


def profile_whole(graph: Graph, engine: str = "onnxruntime", *, threads: int = 1, repeats: int = 15) -> Sample:
    """The whole of `graph` as one segment; see `profile_segment`."""
    tensors = {name: TensorSpec(each.dtype, each.shape) for name, each in graph.tensors.items()}
    program = Program(graph.name, ("here/cpu",), (), (), (), 1, tensors)
    answers = (*graph.outputs, *(each.output for each in graph.carried))
    with tempfile.TemporaryDirectory(prefix="shoal-segment-") as folder:
        files = catalog.make("engines", engine).write(graph, list(graph.position), Path(folder), "whole")
        name = engine.partition(":")[0]
        segment = Segment("whole", "here/cpu", graph.given, answers, name, ops=tuple(graph.position), files=files)
        program = replace(program, segments=(segment,))
        return profile_segment(
            program, segment, Path(folder), model=graph.identity, threads=threads, engine=engine, repeats=repeats
        )


def _alone(job: Job, where: str, patience_s: float) -> Finding:
    with tempfile.TemporaryDirectory(prefix="shoal-segment-") as folder:
        file = Path(folder, "job.json")
        codec.save(job, file)
        command = [sys.executable, "-m", "shoal.measure.alone", str(file)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
        try:
            done = subprocess.run(command, env=env, capture_output=True, check=False, timeout=patience_s)
        except subprocess.TimeoutExpired as fault:
            raise WorkError(f"measuring it took more than {patience_s:g} s", where=where) from fault
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        reason = f"signal {-done.returncode}" if done.returncode < 0 else "; ".join(last)
        raise WorkError(f"the process measuring it ended early: {reason}", where=where)
    return codec.decode(Finding, done.stdout, where)
