"""A run as a trace in the JSON form that Perfetto and Chrome's tracing page open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shoal import codec
from shoal.record import Run, Span

LIMIT = 100_000  # spans written; the viewers slow down beyond


def write_trace(run: Run, path: Path | str, limit: int = LIMIT) -> None:
    """Write the first `limit` spans of `run` to `path`: a process per device, a thread per unit and per link.

    Raises:
        InputError: the file cannot be written.
    """
    about = {"model": run.model, "name": run.name, "started_at": run.started_at}
    versions = {f"version {name}": version for name, version in run.versions.items()}
    write_spans(run.spans, path, about | versions, limit, run.spans_dropped)


def write_spans(
    spans: Sequence[Span], path: Path | str, about: Mapping[str, str], limit: int = LIMIT, dropped: int = 0
) -> None:
    """Write the first `limit` of any spans; `about`: what else the file says; `dropped`: how many are missing already.

    Raises:
        InputError: the file cannot be written.
    """
    kept = sorted(spans, key=lambda span: (span.start_s, span.end_s))[:limit]
    document = {
        "displayTimeUnit": "ms",
        "otherData": {**about, "spans_left_out": str(len(spans) - len(kept) + dropped)},
        "traceEvents": [*_events(kept)],
    }
    codec.write_bytes(codec.encode(document), Path(path))


def rows(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """Spans by row: units under their own name, transfers under "sender: edge", in order of first start."""
    found: dict[str, list[Span]] = {}
    for span in spans:
        row = span.unit if span.kind == "run" else f"{span.unit}: {span.name}"
        found.setdefault(row, []).append(span)
    return found


def lanes(spans: Sequence[Span]) -> list[int]:
    """A lane for each span, given in order of start, so that none overlaps another in its lane."""
    ends: list[float] = []
    chosen = []
    for span in spans:
        lane = next((i for i, end in enumerate(ends) if end <= span.start_s), len(ends))
        ends[lane : lane + 1] = [span.end_s]
        chosen.append(lane)
    return chosen


def _events(spans: Sequence[Span]) -> Iterator[dict[str, Any]]:
    devices: dict[str, int] = {}
    threads: dict[tuple[str, int], int] = {}
    for row, members in rows(spans).items():
        device, _, rest = row.partition("/")
        if device not in devices:
            devices[device] = len(devices) + 1
            yield _name("process_name", devices[device], 0, device)
        for span, lane in zip(members, lanes(members), strict=True):
            if (row, lane) not in threads:
                threads[row, lane] = len(threads) + 1
                label = rest or row
                yield _name(
                    "thread_name",
                    devices[device],
                    threads[row, lane],
                    label if lane == 0 else f"{label} ({lane + 1})",
                )
            yield _event(span, devices[device], threads[row, lane])


def _name(kind: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}


def _event(span: Span, pid: int, tid: int) -> dict[str, Any]:
    return {
        "ph": "X",
        "name": span.name,
        "cat": span.kind,
        "pid": pid,
        "tid": tid,
        "ts": span.start_s * 1e6,
        "dur": max(0.0, span.end_s - span.start_s) * 1e6,
        "args": {"item": span.item, "bytes": span.bytes, "joules": span.joules},
    }
