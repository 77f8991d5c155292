"""A Program's segments as files: written once for each content, found again by every later plan and run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import shoal
from shoal import cache, catalog, codec
from shoal.graph import Graph
from shoal.program import Program, Segment


@dataclass(frozen=True)
class Order:
    """The files of one written segment, the one its engine opens first."""

    files: tuple[str, ...]


def with_files(graph: Graph, program: Program) -> tuple[Program, Path]:
    """`program` with the files of its segments, and the folder they are in.

    Raises:
        ModelError: an engine has no form for an op of its segment.
        InputError: the cache folder cannot be written.
    """
    segments = tuple(replace(segment, files=_files(graph, segment)) for segment in program.segments)
    return replace(program, segments=segments), cache.folder("written")


def _files(graph: Graph, segment: Segment) -> tuple[str, ...]:
    names = (segment.ops, segment.inputs, segment.outputs)
    identity = codec.encode((shoal.__version__, graph.identity, *names, segment.engine, segment.format))
    key = hashlib.sha256(identity).hexdigest()[:32]

    def build(folder: Path) -> None:
        engine = catalog.make("engines", segment.engine)
        codec.save(Order(tuple(engine.write(graph, segment.ops, folder, "segment"))), folder / "order.json")

    place = cache.entry("written", key, build, cache.MOST_BYTES)
    return tuple(f"{key}/{name}" for name in codec.load(Order, place / "order.json").files)
