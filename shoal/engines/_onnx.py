"""The ONNX form of a segment, which several engines share: a small graph file beside a file of weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.errors import ModelError
from shoal.program import Segment

if TYPE_CHECKING:
    import onnx_ir as ir

    from shoal.graph import Graph


def write(
    graph: Graph, ops: Sequence[str], folder: Path, stem: str, change: Callable[[ir.Model], ir.Model] | None = None
) -> tuple[str, ...]:
    """Write `ops`, changed if asked, as `<stem>.onnx`, with `<stem>.weights` beside it if they hold any; the names written."""
    from shoal.graph import extract, save

    part = extract(graph, ops)
    save(change(part) if change else part, folder / f"{stem}.onnx")
    return tuple(name for name in (f"{stem}.onnx", f"{stem}.weights") if (folder / name).exists())


def paths(segment: Segment, folder: Path) -> tuple[Path, ...]:
    """The segment's files, first the one that is opened.

    Raises:
        ModelError: the segment names no file, or one that is not there.
    """
    if not segment.files:
        raise ModelError("has no file to load", where=f"segment '{segment.name}' ({segment.engine})")
    found = tuple(folder / name for name in segment.files)
    for path in found:
        if not path.is_file():
            raise ModelError(
                f"its file '{path.name}' is missing", where=f"segment '{segment.name}' ({segment.engine})",
                hint="deploy the bundle again",
            )  # fmt: skip
    return found
