"""All routes as one application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

import shoal
from shoal.live import Backend
from shoal.serve import replies
from shoal.serve.door import Door
from shoal.serve.feed import Feed
from shoal.serve.images import Photos
from shoal.serve.infer import Served, described_as, router
from shoal.serve.metrics import Metrics
from shoal.serve.pages import document, policy
from shoal.serve.schemas import InferRequest
from shoal.serve.watch import health, metadata, watching


def assembled(backend: Backend, name: str, page: bool, deadline_s: float | None, photos: Photos | None) -> FastAPI:
    """The application. `app.state.feed` is what a server ends before it waits for its connections."""
    metrics = Metrics(backend.state)
    feed = Feed(backend, metrics.look)
    served = Served(name, backend.signature, Door(backend, metrics), deadline_s, photos)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(feed.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    made = FastAPI(
        title=f"{name}, served by shoal",
        version=shoal.__version__,
        description=described_as(served.signature),
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        lifespan=life,
    )
    made.state.feed = feed
    replies.install(made)
    for each in (router(served), health(backend, served), metadata(served), watching(backend, metrics, feed)):
        made.include_router(each)
    if page:
        _add_page(made, name)
    made.openapi = lambda: _openapi(made)  # type: ignore[method-assign]  # as FastAPI's documentation has it
    return made


def _add_page(app: FastAPI, name: str) -> None:
    text = document(name)
    headers = {"Content-Security-Policy": policy(), "X-Content-Type-Options": "nosniff"}

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(text, headers=headers, media_type="text/html")


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's own description, and the schemas of the bodies that are read by hand."""
    if not app.openapi_schema:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, schemas = models_json_schema([(InferRequest, "validation")], ref_template="#/components/schemas/{model}")
        found["components"]["schemas"].update(schemas["$defs"])
        app.openapi_schema = found
    return app.openapi_schema
