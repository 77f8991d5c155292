"""What a request can be told, and the status it is told with."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.errors import InputError, LimitError, ShoalError, WorkError
from shoal.live import Busy, Unavailable


class Malformed(InputError):
    """A body that is not what its type says: broken JSON, a damaged file."""


class TooLarge(InputError):
    """A body, or what it would become, is larger than anything the model takes."""


class UnknownType(InputError):
    """A content type that this route does not read."""


class NotHere(InputError):
    """A model or a page that is not served here."""


class Slow(LimitError):
    """A body that was not there in time."""


class Gone(WorkError):
    """The client left before its answer."""


@dataclass(frozen=True)
class Verdict:
    """An HTTP status, and the name of the outcome in the metrics."""

    status: int
    outcome: str


ANSWERED = Verdict(200, "answered")
_VERDICTS: tuple[tuple[type[ShoalError], Verdict], ...] = (
    (Malformed, Verdict(400, "invalid")),
    (TooLarge, Verdict(413, "too_large")),
    (UnknownType, Verdict(415, "invalid")),
    (NotHere, Verdict(404, "invalid")),
    (InputError, Verdict(422, "invalid")),
    (Busy, Verdict(429, "busy")),
    (LimitError, Verdict(504, "late")),
    (Gone, Verdict(499, "gone")),
    (Unavailable, Verdict(503, "unavailable")),
    (WorkError, Verdict(503, "failed")),
)
DEFECT = Verdict(500, "failed")
OUTCOMES = tuple(sorted({ANSWERED.outcome, *(verdict.outcome for _, verdict in _VERDICTS)}))


def verdict_of(fault: BaseException) -> Verdict:
    """The first of the kinds above that `fault` is one of; a defect of shoal if none."""
    return next((verdict for kind, verdict in _VERDICTS if isinstance(fault, kind)), DEFECT)
