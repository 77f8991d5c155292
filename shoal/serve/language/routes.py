"""POST /v1/chat/completions and /v1/completions, GET /v1/models, health and counts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request as Http
from starlette.responses import JSONResponse, Response, StreamingResponse

from shoal.catalog import nearest
from shoal.errors import ShoalError
from shoal.live import Busy, Unavailable
from shoal.llm.service import Request, Sampling
from shoal.serve.faults import Gone, NotHere
from shoal.serve.language.app import LOOK_S, MOST_NEW, LanguageModel, problem
from shoal.serve.language.forms import END, Form, event
from shoal.serve.language.schemas import Asked, ChatAsked, CompletionAsked
from shoal.serve.language.told import Done, told

COME_AGAIN_S = 1.0


def routes(model: LanguageModel) -> APIRouter:
    """All of them."""
    router = APIRouter()

    @router.post("/v1/chat/completions", response_model=None)
    async def chat(asked: ChatAsked, http: Http) -> Response:
        prompt = model.text.chat([message.said for message in asked.messages])
        most = asked.max_completion_tokens or asked.max_tokens
        return await _answer(model, http, asked, [prompt], most or MOST_NEW, chat=True)

    @router.post("/v1/completions", response_model=None)
    async def completion(asked: CompletionAsked, http: Http) -> Response:
        return await _answer(model, http, asked, asked.prompts, asked.max_tokens or 16, chat=False, echo=asked.echo)

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": model.name, "object": "model", "owned_by": "shoal"}]}

    @router.get("/v1/models/{name:path}")
    async def one(name: str) -> dict[str, Any]:
        _known(model, name)
        return {"id": model.name, "object": "model", "owned_by": "shoal"}

    @router.get("/v1/state")
    async def state() -> dict[str, Any]:
        return {"model": model.name, "under_way": model.under_way} | asdict(model.generator.counts) | model.facts()

    @router.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def ready() -> Response:
        fault = model.generator.fault or ("it is ending" if model.draining else "")
        return JSONResponse({"status": fault or "ok"}, 503 if fault else 200)

    return router


async def _answer(
    model: LanguageModel,
    http: Http,
    asked: Asked,
    prompts: Sequence[str],
    most: int,
    *,
    chat: bool,
    echo: bool = False,
) -> Response:
    _known(model, asked.model)
    if model.draining:
        raise Unavailable("no more requests are taken: the service is ending")
    form = Form(chat, model.name)
    coded = await asyncio.to_thread(lambda: [tuple(model.text.tokens(prompt)) for prompt in prompts])
    requests = [
        Request(tokens, most, _sampling(asked, choice), model.text.ends)
        for tokens in coded
        for choice in range(asked.n)
    ]
    heads = [prompt if echo else "" for prompt in prompts for _ in range(asked.n)]
    for request in requests:
        model.generator.check(request)
    if model.under_way >= model.most:
        raise Busy(COME_AGAIN_S, model.under_way)
    if asked.stream:
        return StreamingResponse(_events(model, form, asked, requests, heads), media_type="text/event-stream")
    async with _counted(model):
        found = await _while_there(http, [_whole(model, request, asked.stops) for request in requests])
    texts = [head + text for head, (text, _) in zip(heads, found, strict=True)]
    return JSONResponse(form.whole(texts, [end for _, end in found]))


def _known(model: LanguageModel, name: str) -> None:
    if name and name != model.name:
        raise NotHere(f"no model '{name[:200]}' is served here", hint=nearest(name, [model.name]))


def _sampling(asked: Asked, choice: int) -> Sampling:
    """As asked; OpenAI's own temperature is 1 where nothing is said. Without a seed every request draws anew."""
    temperature = 1.0 if asked.temperature is None else asked.temperature
    seed = secrets.randbits(32) if asked.seed is None else abs(asked.seed)
    return Sampling(temperature, asked.top_p or 1.0, seed=seed + choice)


async def _whole(model: LanguageModel, request: Request, stops: Sequence[str]) -> tuple[str, Done]:
    pieces: list[str] = []
    async for each in told(model.generator, model.text, request, stops):
        if isinstance(each, Done):
            return "".join(pieces), each
        pieces.append(each)
    raise AssertionError("an answer without an end")


async def _while_there(http: Http, work: Sequence[Any]) -> list[tuple[str, Done]]:
    """What all of the work gives, unless the client leaves: then it is cancelled.

    Raises:
        Gone: the client left.
    """
    whole = asyncio.gather(*work)
    while not (await asyncio.wait([whole], timeout=LOOK_S))[0]:
        if await http.is_disconnected():
            whole.cancel()
            raise Gone("the client left before its answer")
    return await whole


async def _events(
    model: LanguageModel, form: Form, asked: Asked, requests: Sequence[Request], heads: Sequence[str]
) -> AsyncIterator[bytes]:
    """Pieces of all choices as they come; a fault is told as an event, since the answer has begun."""
    came: asyncio.Queue[tuple[int, str | Done | ShoalError]] = asyncio.Queue()

    async def follow(at: int, request: Request) -> None:
        try:
            async for each in told(model.generator, model.text, request, asked.stops):
                came.put_nowait((at, each))
        except ShoalError as fault:
            came.put_nowait((at, fault))

    async with _counted(model):
        tasks = [asyncio.create_task(follow(at, request)) for at, request in enumerate(requests)]
        try:
            for at, head in enumerate(heads):
                yield form.piece(at, head, first=True)
            ends: list[Done] = []
            while len(ends) < len(requests):
                at, each = await came.get()
                if isinstance(each, ShoalError):
                    yield event(problem(each))
                    return
                if isinstance(each, Done):
                    ends.append(each)
                    yield form.piece(at, None, each.reason)
                else:
                    yield form.piece(at, each)
            if asked.usage:
                yield form.used(ends)
            yield END
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _counted(model: LanguageModel) -> AsyncIterator[None]:
    model.under_way += 1
    try:
        yield
    finally:
        model.under_way -= 1
