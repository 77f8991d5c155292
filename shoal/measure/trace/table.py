"""A trace as one table, a row an event."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from shoal import codec
from shoal.measure.trace.values import Trace

COLUMNS = ("kind", "place", "name", "on", "begin_s", "end_s", "of")

Row = tuple[str, int, str, str, float, float, int]


def rows(trace: Trace) -> Iterator[Row]:
    """Kind, place among its kind, name, thread or stream, begin, end, and what it belongs to.

    An operator belongs to its parent, a launch to its operator, a kernel to its launch; -1 is none.
    """
    for place, each in enumerate(trace.operators):
        yield "operator", place, each.name, each.thread, each.begin_s, each.end_s, each.parent
    for place, launch in enumerate(trace.launches):
        yield "launch", place, launch.name, launch.thread, launch.begin_s, launch.end_s, launch.operator
    for place, kernel in enumerate(trace.kernels):
        yield "kernel", place, kernel.name, kernel.stream, kernel.begin_s, kernel.end_s, kernel.launch


def write_csv(trace: Trace, path: Path) -> None:
    """Write the table with a head.

    Raises:
        InputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(rows(trace))
    codec.write_bytes(text.getvalue().encode(), path)
