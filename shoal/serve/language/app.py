"""The application: OpenAI's routes over a generator, health, counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.errors import InputError, ShoalError
from shoal.llm.checkpoint import Text
from shoal.llm.service import Generator
from shoal.serve.app import needed

if TYPE_CHECKING:
    from fastapi import FastAPI

MOST_NEW = 256  # tokens of an answer whose request says nothing
LOOK_S = 0.25  # how often it is looked whether a client that gets its answer whole is still there


class LanguageModel:
    """What is served: a model's name, its tokens, and whoever goes on with texts."""

    def __init__(
        self,
        name: str,
        text: Text,
        generator: Generator,
        most: int = 64,
        facts: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        """`most`: requests that are under way or wait, one more is told to come again; `facts`: what workers did so far."""
        self.name, self.text, self.generator, self.most, self.facts = name, text, generator, most, facts
        self.under_way = 0
        self.draining = False

    def drain(self, within_s: float) -> bool:
        """Take no more; whether all that was taken is answered by then."""
        self.draining, deadline_s = True, time.monotonic() + within_s
        while self.under_way and time.monotonic() < deadline_s:
            time.sleep(0.01)
        return not self.under_way


@dataclass(frozen=True)
class _Ends:
    """What a server ends before it waits for its connections: nothing here, streams end with their texts."""

    def end(self) -> None:
        """See `shoal.serve.feed`."""


def language_app(model: LanguageModel) -> FastAPI:
    """Serve a language model.

    Raises:
        MissingExtra: the HTTP libraries are not installed.
    """
    needed()
    from fastapi import FastAPI
    from fastapi.exceptions import RequestValidationError
    from starlette.requests import Request as Http
    from starlette.responses import JSONResponse, Response

    import shoal
    from shoal.live import Busy
    from shoal.serve.door import retry_after
    from shoal.serve.faults import verdict_of
    from shoal.serve.language.routes import routes

    made = FastAPI(title=f"{model.name}, served by shoal", version=shoal.__version__, docs_url=None, redoc_url=None)
    made.state.feed = _Ends()
    made.include_router(routes(model))

    async def of_shoal(_: Http, fault: Exception) -> Response:
        assert isinstance(fault, ShoalError)
        headers = {"Retry-After": retry_after(fault)} if isinstance(fault, Busy) else None
        return JSONResponse(problem(fault), verdict_of(fault).status, headers)

    async def of_body(_: Http, fault: Exception) -> Response:
        assert isinstance(fault, RequestValidationError)
        first = fault.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse(problem(InputError(f"{place}: {first['msg']}"[:500])), 400)

    made.add_exception_handler(ShoalError, of_shoal)
    made.add_exception_handler(RequestValidationError, of_body)
    return made


def problem(fault: ShoalError) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    kind = "invalid_request_error" if isinstance(fault, InputError) else "server_error"
    return {"error": {"message": fault.message, "type": kind, "param": None, "code": None, "hint": fault.hint}}
