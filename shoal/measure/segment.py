"""What one segment costs on this machine, in time and memory, with nothing else in its process."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from shoal import catalog
from shoal.errors import WorkError
from shoal.graph import Graph
from shoal.measure.child import asked
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
    found = asked("shoal.measure.alone", job, Finding, f"segment '{segment.name}' ({segment.engine})", patience_s)
    if found.spread is None:
        raise WorkError(found.fault)
    return Sample(
        segment_subject(model, segment.ops), machine_id(), segment.engine, segment.format, threads,
        found.spread.median_s, found.spread.low_s, found.spread.high_s, found.spread.repeats,
        found.resident_bytes, found.peak_bytes,
    )  # fmt: skip


def whole_segment(graph: Graph, engine: str, folder: Path) -> tuple[Program, Segment]:
    """The whole of `graph` as one segment, its files written to `folder`, and a program around it."""
    tensors = {name: TensorSpec(each.dtype, each.shape) for name, each in graph.tensors.items()}
    answers = (*graph.outputs, *(each.output for each in graph.carried))
    files = catalog.make("engines", engine).write(graph, list(graph.position), folder, "whole")
    name = engine.partition(":")[0]
    segment = Segment("whole", "here/cpu", graph.given, answers, name, ops=tuple(graph.position), files=files)
    return replace(Program(graph.name, ("here/cpu",), (), (), (), 1, tensors), segments=(segment,)), segment


def profile_whole(graph: Graph, engine: str = "onnxruntime", *, threads: int = 1, repeats: int = 15) -> Sample:
    """The whole of `graph` as one segment; see `profile_segment`."""
    with tempfile.TemporaryDirectory(prefix="shoal-segment-") as folder:
        program, segment = whole_segment(graph, engine, Path(folder))
        return profile_segment(
            program, segment, Path(folder), model=graph.identity, threads=threads, engine=engine, repeats=repeats
        )
