"""The routes that take work: tensors as JSON, bytes, .npy and .npz; photos."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from shoal import codec
from shoal.catalog import nearest
from shoal.live import Signature
from shoal.serve.bodies import Deadline, accepts, deadline_of, first_file, media_type, read_body
from shoal.serve.door import Arrays, Door
from shoal.serve.faults import NotHere, UnknownType
from shoal.serve.forms import datatype_of, form_bytes, protocol_shape
from shoal.serve.images import MOST_BYTES, Photos
from shoal.serve.npy import read_npy, read_npz, write_npy, write_npz
from shoal.serve.protocol import LENGTH_HEADER, VERSION, Asked, example, read_request, write_response
from shoal.serve.replies import TOLD
from shoal.serve.schemas import Classes, InferResponse

JSON, BINARY, NPZ, NPY = "application/json", "application/octet-stream", "application/x-npz", "application/x-npy"
PHOTOS = ("image/jpeg", "image/png")
MULTIPART = "multipart/form-data"
SLACK_BYTES = 64 << 10  # names, headers, parameters
MOST_DIGITS = 48  # bytes of one element as JSON: 17 digits, sign, exponent, brackets, indentation

DeadlineMs = Annotated[
    str | None, Query(description="milliseconds from now; X-Request-Deadline-Ms says the same", examples=["500"])
]
Top = Annotated[int, Query(ge=1, le=1000, description="how many classes to name")]


@dataclass(frozen=True)
class Served:
    """What the routes are about."""

    name: str
    signature: Signature
    door: Door
    deadline_s: float | None  # of a request that says none
    photos: Photos | None

    def deadline(self, request: Request, query: str | None) -> Deadline:
        """When this request must be answered."""
        return deadline_of(query, request.headers.get("x-request-deadline-ms"), self.deadline_s)

    def here(self, name: str, version: str = VERSION) -> None:
        """Refuse another model than the one that is served.

        Raises:
            NotHere: naming the one that is.
        """
        if name != self.name:
            raise NotHere(f"no model is called '{name[:60]}'", hint=nearest(name[:60], (self.name,)))
        if version != VERSION:
            raise NotHere(f"the model has no version '{version[:60]}'", hint=f"known: {VERSION}")


def router(served: Served) -> APIRouter:
    """`/v1/infer`, the protocol's inference routes and, if the model takes photos, `/v1/images`."""
    routes = APIRouter(tags=["inference"])
    described: dict[str, Any] = {
        "methods": ["POST"],
        "summary": "Run the network on one item",
        "description": described_as(served.signature),
        "responses": {200: {"model": InferResponse, "description": "the outputs"}, 404: TOLD[422], **TOLD},
        "openapi_extra": {"requestBody": _bodies(served.signature)},
        "response_class": Response,
    }

    async def infer(request: Request, deadline_ms: DeadlineMs = None) -> Response:
        with served.door.entered():
            return await _infer(served, request, deadline_ms)

    async def infer_model(model: str, request: Request, deadline_ms: DeadlineMs = None) -> Response:
        with served.door.entered():
            served.here(model)
            return await _infer(served, request, deadline_ms)

    async def infer_version(model: str, version: str, request: Request, deadline_ms: DeadlineMs = None) -> Response:
        with served.door.entered():
            served.here(model, version)
            return await _infer(served, request, deadline_ms)

    routes.add_api_route("/v1/infer", infer, **described)
    routes.add_api_route("/v2/models/{model}/infer", infer_model, **described)
    routes.add_api_route("/v2/models/{model}/versions/{version}/infer", infer_version, **described)
    if served.photos is not None:
        _add_images(routes, served, served.photos)
    return routes


def described_as(signature: Signature) -> str:
    """The model's signature in Markdown."""
    rows = ["| | name | datatype | shape |", "|---|---|---|---|"]
    for kind, forms in (("input", signature.inputs), ("output", signature.outputs)):
        rows += [
            f"| {kind} | `{name}` | {datatype_of(form)} | {protocol_shape(form)} |" for name, form in forms.items()
        ]
    return "\n".join((*rows, "", "A size of -1 may be smaller than the model's bound."))


def limit_of(signature: Signature, kind: str) -> int:
    """The most bytes that a body of that type may have."""
    forms = signature.inputs.values()
    if kind == JSON:
        elements = sum(math.prod(form.shape) for form in forms)
        return SLACK_BYTES + elements * MOST_DIGITS
    return SLACK_BYTES + sum(form_bytes(form) for form in forms)


async def _infer(served: Served, request: Request, deadline_ms: str | None) -> Response:
    deadline = served.deadline(request, deadline_ms)
    kind, length = media_type(request.headers.get("content-type", "")), request.headers.get(LENGTH_HEADER)
    read = _reader(served.signature, kind, length)
    body = await read_body(request, limit_of(served.signature, BINARY if length else kind), deadline.left_s())
    asked = await run_in_threadpool(read, body)
    del body
    outputs = await served.door.outputs(request, asked.inputs, deadline)
    reply = _reply_kind(request.headers.get("accept", ""), kind, len(outputs))
    return await run_in_threadpool(_written, served.name, reply, asked, outputs)


def _reader(signature: Signature, kind: str, length: str | None) -> Callable[[bytes], Asked]:
    """What reads a body of that type.

    Raises:
        UnknownType: nothing does.
    """
    if kind == NPZ:
        return lambda body: Asked(read_npz(body, signature))
    if kind == NPY:
        return lambda body: Asked(read_npy(body, signature))
    if kind in (JSON, "") or (kind == BINARY and length is not None):
        return lambda body: read_request(body, length, signature)
    raise UnknownType("a body of this type is not read here", needed=f"{JSON}, {NPZ} or {NPY}", had=kind[:60])


def _reply_kind(accept: str, kind: str, outputs: int) -> str:
    """JSON for JSON; for numpy's formats the same, or what the client names. A .npy file holds one output."""
    wanted = next((each for each in (NPZ, NPY, JSON) if accepts(accept, each)), kind)
    return NPZ if wanted == NPY and outputs != 1 else wanted


def _written(name: str, kind: str, asked: Asked, outputs: Arrays) -> Response:
    if kind == NPZ:
        return Response(write_npz(outputs), media_type=NPZ)
    if kind == NPY:
        return Response(write_npy(next(iter(outputs.values()))), media_type=NPY)
    body, length = write_response(name, asked, outputs)
    if length is None:
        return Response(body, media_type=JSON)
    return Response(body, media_type=BINARY, headers={LENGTH_HEADER: str(length)})


def _add_images(routes: APIRouter, served: Served, photos: Photos) -> None:
    answer = Classes if photos.labels else InferResponse
    width, height = photos.size
    text = (
        f"A JPEG or PNG file as the body, or as the first file of a form. Its middle is resized to {width} × {height} "
        f"pixels ({photos.pixels}). The answer names the likeliest classes if their labels are known."
    )
    binary = {"schema": {"type": "string", "format": "binary"}}
    form = {"schema": {"type": "object", "properties": {"file": binary["schema"]}, "required": ["file"]}}
    content = {**dict.fromkeys(PHOTOS, binary), MULTIPART: form}

    @routes.post(
        "/v1/images",
        summary="Run the network on a photo",
        description=text,
        responses={200: {"model": answer, "description": "classes, or the outputs"}, **TOLD},
        openapi_extra={"requestBody": {"required": True, "content": content}},
        response_class=Response,
    )
    async def images(request: Request, deadline_ms: DeadlineMs = None, top: Top = 5) -> Response:
        with served.door.entered():
            deadline = served.deadline(request, deadline_ms)
            kind = request.headers.get("content-type", "")
            if media_type(kind) not in (*PHOTOS, MULTIPART):
                raise UnknownType(
                    "a photo is a JPEG or PNG file", needed=", ".join(content), had=media_type(kind)[:60]
                )
            body = await read_body(request, MOST_BYTES, deadline.left_s())
            array = await run_in_threadpool(_photo, photos, body, kind)
            del body
            outputs = await served.door.outputs(request, {photos.name: array}, deadline)
            return _classes(served.name, photos, outputs, top)


def _photo(photos: Photos, body: bytes, kind: str) -> Any:
    return photos.array(first_file(body, kind) if media_type(kind) == MULTIPART else body)


def _classes(name: str, photos: Photos, outputs: Arrays, top: int) -> Response:
    if not photos.labels:
        return _written(name, JSON, Asked({}), outputs)
    best = photos.best(next(iter(outputs.values())), top)
    classes = [{"index": index, "label": label, "probability": share} for index, label, share in best]
    answer = {"model_name": name, "pixels": str(photos.pixels), "classes": classes}
    return Response(codec.encode(answer), media_type=JSON)


def _bodies(signature: Signature) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    written = {"schema": {"$ref": "#/components/schemas/InferRequest"}, "example": example(signature)}
    return {"required": True, "content": {JSON: written, NPZ: binary, NPY: binary, BINARY: binary}}
