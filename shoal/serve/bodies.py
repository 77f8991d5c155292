"""Bodies read with a limit, and what kind they are."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from email.message import Message

from starlette.requests import ClientDisconnect, Request

from shoal.errors import InputError, LimitError
from shoal.serve.faults import Gone, Malformed, Slow, TooLarge
from shoal.serve.forms import limited

MOST_MS = 24 * 3600 * 1000.0
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")


async def read_body(request: Request, limit_bytes: int, within_s: float | None) -> bytes:
    """The whole body, at most `limit_bytes`; what is longer is not kept, and if it says so, not even read.

    Raises:
        TooLarge: it is longer.
        Slow: it is not all there `within_s`: who sends slowly holds a place that others wait for.
        Gone: the client left before it was all there.
    """
    stated = request.headers.get("content-length", "")
    if re.fullmatch(r"\d{1,18}", stated, re.ASCII):
        limited(int(stated), limit_bytes)
    elif stated:
        raise TooLarge("the body is too large", needed=f"at most {limit_bytes} bytes")
    found = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.stream():
                found += chunk
                limited(len(found), limit_bytes)
    except TimeoutError as fault:
        raise Slow("the deadline passed before the body was there", had=f"{len(found)} bytes") from fault
    except ClientDisconnect as fault:
        raise Gone("the client left before its body was there") from fault
    return bytes(found)


def media_type(header: str) -> str:
    """The type in a Content-Type header without its parameters, in small letters."""
    return header.partition(";")[0].strip().lower()


def accepts(header: str, kind: str) -> bool:
    """Whether an Accept header names exactly `kind`."""
    return any(media_type(part) == kind for part in header.split(","))


def first_file(body: bytes, content_type: str) -> bytes:
    """The first part of a multipart body that is a file, or else the first part.

    Raises:
        Malformed: it has no boundary, or no part.
    """
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not _BOUNDARY.fullmatch(boundary):
        raise Malformed("the multipart body has no boundary")
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("ascii"))[1:]
    parts = [piece.removeprefix(b"\r\n").partition(b"\r\n\r\n") for piece in pieces if not piece.startswith(b"--")]
    whole = [(head, content) for head, gap, content in parts if gap]
    if not whole:
        raise Malformed("the multipart body has no part", hint="curl -F file=@photo.jpg")
    return next((content for head, content in whole if b"filename" in head.lower()), whole[0][1])


@dataclass(frozen=True)
class Deadline:
    """When an answer is worth nothing any more; counted from the request's head."""

    seconds: float | None  # none: never
    from_s: float = field(default_factory=time.monotonic)

    def left_s(self) -> float | None:
        """What is left of it.

        Raises:
            LimitError: nothing.
        """
        if self.seconds is None:
            return None
        left_s = self.from_s + self.seconds - time.monotonic()
        if left_s <= 0:
            raise LimitError("the deadline passed", needed=f"an answer within {self.seconds:g} s")
        return left_s


def deadline_of(query: str | None, header: str | None, usual_s: float | None) -> Deadline:
    """When a request must be answered: the shorter of what its query and its header say, in ms; else the usual.

    Raises:
        InputError: not a figure above zero.
    """
    named = ((query, "deadline_ms"), (header, "X-Request-Deadline-Ms"))
    said = [_seconds(text, where) for text, where in named if text is not None]
    return Deadline(min(said, default=usual_s))


def _seconds(text: str, where: str) -> float:
    written = re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text.strip(), re.ASCII)
    if not written or not 0 < float(text) <= MOST_MS:
        raise InputError("not a deadline", where=where, needed=f"milliseconds, above 0, at most {MOST_MS:.0f}",
                         had=text[:40])  # fmt: skip
    return float(text) / 1000
