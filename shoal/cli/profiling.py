"""A language model's latency, memory and energy, measured and shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shoal.errors import InputError
from shoal.llm import architecture
from shoal.llm.config import read
from shoal.llm.profile import Point, Protocol, Row, Subject, profiled
from shoal.units import format_bytes, format_seconds


@dataclass(frozen=True)
class Asked:
    """As on the command line."""

    contexts: str
    batches: str
    scan: int
    repeats: int
    threads: int

    def points(self) -> tuple[Point, ...]:
        """All contexts with all batches."""
        batches = _sizes(self.batches, "--batch")
        return tuple(Point(context, batch) for context in _sizes(self.contexts, "--context") for batch in batches)


def measured(model: Path, asked: Asked) -> tuple[Subject, tuple[Row, ...]]:
    """The rows of the table."""
    subject = Subject(architecture(model).kind, read(model).entries, scan=asked.scan)
    return subject, profiled(subject, asked.points(), Protocol(repeats=asked.repeats, threads=asked.threads))


def facts(subject: Subject, rows: tuple[Row, ...]) -> dict[str, object]:
    """For JSON."""
    return {
        "model": subject.name,
        "parameters": subject.architecture.parameters,
        "energy": "measured" if any(each.timed.metered for each in rows) else "modelled",
        "rows": [
            {
                "context": row.timed.point.context,
                "batch": row.timed.point.batch,
                "prefill_s": row.timed.prefill.median_s if row.timed.prefill else None,
                "decode_s": row.timed.decode.median_s if row.timed.decode else None,
                "prefill_j": row.timed.prefill_j,
                "decode_j": row.timed.decode_j,
                "memory_bytes": row.peak.peak_bytes,
                "predicted_bytes": row.predicted_bytes,
                "cache_bytes": row.peak.cache_bytes,
                "fault": row.fault,
            }
            for row in rows
        ],
    }


def show(subject: Subject, rows: tuple[Row, ...]) -> None:
    """For people."""
    from rich.console import Console
    from rich.table import Table

    out = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("context", "batch", "prefill", "a token", "memory", "predicted", "cache", "J", "J a token"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*_cells(row))
    out.print(f"{subject.name}, {subject.architecture.parameters:,} parameters in float32", markup=False)
    out.print(table)
    metered = any(each.timed.metered for each in rows)
    out.print(f"energy: {'the counters of the processor' if metered else 'modelled, stated watts'}", style="dim")


def _cells(row: Row) -> list[str]:
    timed, point = row.timed, row.timed.point
    cells = [f"{point.context:,}", str(point.batch)]
    predicted = format_bytes(round(row.predicted_bytes)) if row.predicted_bytes else "–"
    if row.fault or timed.prefill is None or timed.decode is None:
        return [*cells, "does not fit", "–", "–", predicted, "–", "–", "–"]
    memory = [format_bytes(row.peak.peak_bytes), predicted, format_bytes(row.peak.cache_bytes)]
    seconds = [format_seconds(each.median_s) for each in (timed.prefill, timed.decode)]
    return [*cells, *seconds, *memory, f"{timed.prefill_j:.3g}", f"{timed.decode_j:.3g}"]


def _sizes(text: str, option: str) -> tuple[int, ...]:
    """Sizes from "512,2048".

    Raises:
        InputError: not of that form.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) < 1 << 40 for part in parts):
        raise InputError(f"'{text}' lists no sizes", where=option, hint="512,2048")
    return tuple(dict.fromkeys(map(int, parts)))
