"""The ONNX form of a segment, which several engines share: a small graph file beside a file of weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.errors import ModelError
from shoal.program import Segment

if TYPE_CHECKING:
    from shoal.graph import Graph


def write(graph: Graph, ops: Sequence[str], folder: Path, stem: str, accuracy: int = 0) -> tuple[str, ...]:
    """Write `ops` as `<stem>.onnx`, with `<stem>.weights` beside it if they hold any; the names written.

    `accuracy`, unless it is 0: products with coded weights become onnxruntime's op for them; see `_nbits.join`.
    """
    from shoal.engines import _nbits
    from shoal.graph import extract, save

    part = extract(graph, ops)
    save(_nbits.join(part, accuracy) if accuracy else part, folder / f"{stem}.onnx")
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
