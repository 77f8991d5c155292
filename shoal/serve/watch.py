"""The routes that tell of the service: health, the protocol's metadata, metrics, state, events."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

import shoal
from shoal import codec
from shoal.live import Backend, ServiceState
from shoal.serve.feed import Feed
from shoal.serve.forms import datatype_of, protocol_shape
from shoal.serve.infer import Served
from shoal.serve.metrics import Metrics
from shoal.serve.protocol import VERSION
from shoal.serve.schemas import Fault, Live, ModelMetadata, Ready, ServerMetadata, TensorMetadata

METRICS = "text/plain; version=0.0.4; charset=utf-8"
NO_STORE = {"Cache-Control": "no-store"}
UNREADY: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "not now, and why"}}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Fault, "description": "no such model"}}


def health(backend: Backend, served: Served) -> APIRouter:
    """`/healthz`, `/readyz` and the protocol's health routes."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", summary="Whether the server runs")
    @routes.get("/v2/health/live", summary="Whether the server runs")
    async def live() -> Live:
        return Live(live=True)

    @routes.get("/readyz", summary="Whether requests are answered now", responses=UNREADY, response_model=Ready)
    @routes.get(
        "/v2/health/ready", summary="Whether requests are answered now", responses=UNREADY, response_model=Ready
    )
    async def ready() -> Response:
        state = await run_in_threadpool(backend.state)
        found = Ready(name=served.name, ready=state.ready and not state.draining, why=_why(state))
        return Response(found.model_dump_json(), 200 if found.ready else 503, NO_STORE, "application/json")

    @routes.get("/v2/models/{model}/ready", summary="Whether the model answers now",
                responses={**UNREADY, **UNKNOWN}, response_model=Ready)  # fmt: skip
    @routes.get("/v2/models/{model}/versions/{version}/ready", summary="Whether the model answers now",
                responses={**UNREADY, **UNKNOWN}, response_model=Ready)  # fmt: skip
    async def model_ready(model: str, version: str = VERSION) -> Response:
        served.here(model, version)
        return await ready()

    return routes


def metadata(served: Served) -> APIRouter:
    """The protocol's metadata."""
    routes = APIRouter(tags=["metadata"])

    @routes.get("/v2", summary="This server")
    async def server() -> ServerMetadata:
        return ServerMetadata(name="shoal", version=shoal.__version__, extensions=["binary_tensor_data"])

    @routes.get("/v2/models/{model}", summary="The model's inputs and outputs", responses=UNKNOWN)
    @routes.get(
        "/v2/models/{model}/versions/{version}", summary="The model's inputs and outputs", responses=UNKNOWN
    )
    async def model_metadata(model: str, version: str = VERSION) -> ModelMetadata:
        served.here(model, version)
        inputs, outputs = (
            [
                TensorMetadata(name=name, datatype=datatype_of(form), shape=protocol_shape(form))
                for name, form in forms
            ]
            for forms in (served.signature.inputs.items(), served.signature.outputs.items())
        )
        return ModelMetadata(
            name=served.name, versions=[VERSION], platform="onnx_shoal", inputs=inputs, outputs=outputs
        )

    return routes


def watching(backend: Backend, metrics: Metrics, feed: Feed) -> APIRouter:
    """`/metrics`, `/v1/state` and `/v1/events`."""
    routes = APIRouter(tags=["watching"])

    @routes.get("/metrics", summary="For Prometheus", response_class=Response,
                responses={200: {"content": {"text/plain": {}}}})  # fmt: skip
    async def figures() -> Response:
        return Response(await run_in_threadpool(metrics.text), headers={"Content-Type": METRICS})

    @routes.get("/v1/state", summary="Everything, now", response_model=ServiceState)
    async def state() -> Response:
        found = await run_in_threadpool(backend.state)
        return Response(codec.encode(found), headers=NO_STORE, media_type="application/json")

    @routes.get("/v1/events", summary="A state every second and what happens, as server-sent events",
                response_class=Response, responses={200: {"content": {"text/event-stream": {}}}})  # fmt: skip
    async def events(request: Request) -> Response:
        last = request.headers.get("last-event-id", "")
        after = int(last) if re.fullmatch(r"\d{1,15}", last, re.ASCII) else -1
        feed.room()
        return StreamingResponse(feed.events(after), media_type="text/event-stream", headers=NO_STORE)

    return routes


def _why(state: ServiceState) -> str:
    """Why requests are not answered; nothing if they are."""
    if state.draining:
        return "the service is ending"
    if state.ready:
        return ""
    gone = [f"{device.name}: {device.why or 'not there'}" for device in state.devices if not device.present]
    return f"nobody is there to do the work ({'; '.join(gone)})" if gone else "the service is not ready yet"
