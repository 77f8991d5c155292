"""Errors as answers: shoal's own message and hint, never a traceback."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shoal import codec
from shoal.errors import ShoalError
from shoal.live import Busy, Unavailable
from shoal.serve.door import retry_after
from shoal.serve.faults import Slow, TooLarge, verdict_of
from shoal.serve.schemas import Fault

TOLD: dict[int | str, dict[str, Any]] = {
    400: {"model": Fault, "description": "the body is not what its type says"},
    413: {"model": Fault, "description": "the body is larger than anything the model takes"},
    415: {"model": Fault, "description": "a content type that is not read here"},
    422: {"model": Fault, "description": "an input that the model does not take"},
    429: {"model": Fault, "description": "the queue is full; Retry-After says when to come again"},
    503: {"model": Fault, "description": "nobody is there to do the work, or the service is ending"},
    504: {"model": Fault, "description": "the deadline passed"},
}


def reply(
    status: int, error: str, kind: str, hint: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """An error as JSON; `error` is the field the Open Inference Protocol has for it."""
    body = codec.encode({"error": error, "kind": kind, "hint": hint})
    return Response(body, status, headers, "application/json")


def told(fault: ShoalError) -> Response:
    """The answer to a request that failed."""
    headers = {"Retry-After": retry_after(fault)} if isinstance(fault, Busy) else {}
    status = verdict_of(fault).status
    if isinstance(fault, TooLarge | Slow | Unavailable):
        headers["Connection"] = "close"  # what is left of the body is not read; nobody is needed to wait here
    return reply(status, fault.message, fault.kind, fault.hint, headers)


def install(app: FastAPI) -> None:
    """Have every error of `app` answered so."""

    async def of_shoal(_: Request, fault: Exception) -> Response:
        assert isinstance(fault, ShoalError)
        return told(fault)

    async def of_http(_: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        return reply(fault.status_code, str(fault.detail), "HTTPException", None, dict(fault.headers or {}))

    async def of_query(_: Request, fault: Exception) -> Response:
        assert isinstance(fault, RequestValidationError)
        first = fault.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return reply(422, f"{place}: {first['msg']}"[:500], "InputError")

    async def of_nobody(_: Request, fault: Exception) -> Response:
        return reply(500, "a defect of shoal; its log says more", type(fault).__name__)

    app.add_exception_handler(ShoalError, of_shoal)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_query)
    app.add_exception_handler(Exception, of_nobody)
