"""The form of control messages: what a word carries is checked before anyone relies on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec

from shoal import codec
from shoal.errors import WireError
from shoal.program import Program
from shoal.record.values import SpanKind

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Row = tuple[SpanKind, str, int, float, float, Count]  # of a span, without its unit
FactRow = tuple[int, str, str, float]

Ready = TypedDict(
    "Ready",
    {
        "is": str,
        "boot": str,  # tells the machine's clock from another's
        "unit": NotRequired[str],
        "resident_bytes": NotRequired[Count],
        "peak_bytes": NotRequired[Count],
    },
)
Time = TypedDict("Time", {"is": str, "now_s": float})
Started = TypedDict("Started", {"is": str})
Vitals = TypedDict(
    "Vitals",
    {
        "is": str,
        "busy_s": Seconds,
        "ran": dict[str, Count],  # by segment
        "pending": Count,
        "rates": dict[str, Positive],  # bytes per second, by peer
        "resident_bytes": NotRequired[Count],
        "peak_bytes": NotRequired[Count],
    },
)
Settled = TypedDict("Settled", {"is": str, "pending": Count, "sent_bytes": Count, "received_bytes": Count})
Report = TypedDict(
    "Report",
    {
        "is": str,
        "unit": str,
        "busy_s": Seconds,
        "cpu_s": Seconds,
        "spans": list[Row],
        "spans_dropped": Count,
        "facts": list[FactRow],
        "behind_s": float | None,
        "missed": list[int],
        "sent_bytes": Count,
        "received_bytes": Count,
        "resident_bytes": Count,
        "peak_bytes": Count,
    },
)
Error = TypedDict("Error", {"is": str, "kind": NotRequired[str], "message": str, "hint": NotRequired[str | None]})
Parted = TypedDict("Parted", {"is": str, "peer": str, "why": str})


class Start(TypedDict):
    """Count from here, everything `stretch` times slower."""

    do: str
    origin: dict[str, float | str]
    stretch: NotRequired[Annotated[float, msgspec.Meta(gt=0, le=1e9)]]
    record: NotRequired[bool]  # keep spans and facts


ANSWERS: Mapping[str, Any] = {
    "ready": Ready, "clock": Time, "started": Started, "vitals": Vitals, "settled": Settled, "report": Report,
    "error": Error, "parted": Parted,
}  # fmt: skip


def answer_of(message: Mapping[str, Any], peer: str) -> dict[str, Any]:
    """What a worker said, with everything in it that its word carries; words nobody knows pass as they are.

    Raises:
        WireError: something is missing or of the wrong type, or it speaks of another unit.
    """
    word = message.get("is")
    form = ANSWERS.get(word) if isinstance(word, str) else None
    if form is None:
        return dict(message)
    found = _formed(message, form, f"'{word}'", peer)
    if found.get("unit", peer) != peer:
        raise WireError("speaks for another unit", where=peer, had=str(found["unit"]))
    return found


def check_report(report: Mapping[str, Any], program: Program, unit: str) -> None:
    """Refuse what `unit` cannot have done.

    Raises:
        WireError: a segment or a transfer that is not its own.
    """
    own = {"run": {segment.name for segment in program.segments if segment.unit == unit}}
    own["transfer"] = {edge.name for edge in program.edges if edge.source == unit}
    for kind, name, *_ in report["spans"]:
        if name not in own[kind]:
            raise WireError(f"reports a {kind} '{name[:60]}' that is not its own", where=unit)


def start_of(message: Mapping[str, Any], peer: str) -> dict[str, Any]:
    """The coordinator's word to begin.

    Raises:
        WireError: something is missing or of the wrong type.
    """
    return _formed(message, Start, "'start'", peer)


def _formed(message: Mapping[str, Any], form: Any, word: str, peer: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = codec.convert(message, form)
    except msgspec.ValidationError as fault:
        raise WireError(f"sent a message {word} that makes no sense: {fault}", where=peer) from fault
    return found
