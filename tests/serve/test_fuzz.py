"""Whatever is sent: never a 500, never a traceback, and the next good request is answered."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal import serve
from shoal.serve.npy import write_npy, write_npz
from tests.serve.conftest import listening
from tests.serve.scripted import Scripted, sums
from tests.serve.test_images import photo
from tests.serve.test_infer import IMAGE, checked, request

GOOD = json.dumps(request({"image": IMAGE})).encode()
SEEDS = (
    GOOD,
    write_npy(IMAGE),
    write_npz({"image": IMAGE}),
    photo(40, 30, kind="JPEG"),
    photo(20, 20),
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + photo(9, 9) + b"\r\n--b--\r\n",
)
KINDS = (
    "application/json",
    "application/x-npz",
    "application/x-npy",
    "application/octet-stream",
    "image/jpeg",
    "image/png",
    "multipart/form-data; boundary=b",
    "",
    "x/y; \x7f",
)
PATHS = ("/v1/infer", "/v2/models/small/infer", "/v1/images")
ALLOWED = {200, 400, 413, 415, 422}
many = settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    said = serve.Classifier(labels=tuple("abcd"))
    with listening(Scripted(checked), classifier=said) as url, httpx.Client(base_url=url, timeout=30) as found:
        yield found
        assert np.isfinite(found.post("/v1/infer", content=GOOD).json()["outputs"][0]["data"]).all()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good body with some bytes changed, cut out or put in."""
    body = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(body)))
        match draw(st.sampled_from(("change", "cut", "put", "end"))):
            case "change":
                body[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del body[place : place + draw(st.integers(1, 64))]
            case "put":
                body[place:place] = draw(st.binary(max_size=16))
            case "end":
                del body[place:]
    return bytes(body)


numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.sampled_from([10**400, -(2**70), 1e308]),
)
anything = st.recursive(
    numbers,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=20,
)
tensors = st.fixed_dictionaries(
    {
        "name": st.one_of(st.just("image"), anything),
        "shape": st.one_of(st.just([1, 3, 8, 8]), st.lists(st.integers(-2, 2**70), max_size=5), anything),
        "datatype": st.one_of(st.sampled_from(["FP32", "BYTES", "INT8"]), anything),
    },
    optional={"data": st.one_of(st.just([0.5] * 192), st.lists(numbers, min_size=192, max_size=192), anything),
              "parameters": st.one_of(st.dictionaries(st.just("binary_data_size"), anything), anything)},
)  # fmt: skip
requests = st.fixed_dictionaries(
    {"inputs": st.one_of(st.lists(tensors, max_size=3), anything)},
    optional={
        "outputs": st.one_of(anything, st.just([{"name": "scores"}])),
        "id": anything,
        "parameters": anything,
    },
)


def sent(client: httpx.Client, path: str, body: bytes, late: bool = False, **more: Any) -> None:
    answer = client.post(path, content=body, **more)
    assert answer.status_code in ALLOWED or (late and answer.status_code == 504), (answer.status_code, answer.text)
    if answer.status_code != 200:
        told = answer.json()
        assert set(told) == {"error", "kind", "hint"}
        assert "Traceback" not in told["error"]
        assert len(answer.content) < 4000


@many
@given(body=st.one_of(damaged(), st.binary(max_size=200)), kind=st.sampled_from(KINDS), path=st.sampled_from(PATHS),
       length=st.one_of(st.none(), st.integers(-5, 20000).map(str), st.text("0123456789abc-+ ", max_size=8)))  # fmt: skip
def test_damaged_bodies(client: httpx.Client, body: bytes, kind: str, path: str, length: str | None) -> None:
    headers = {"Content-Type": kind.encode("latin1")} if kind else {}
    if length is not None:
        headers["Inference-Header-Content-Length"] = length.strip().encode() or b"0"
    sent(client, path, body, headers=headers)


@many
@given(value=st.one_of(requests, anything))
def test_json_of_every_form(client: httpx.Client, value: Any) -> None:
    sent(client, "/v1/infer", json.dumps(value).encode(), headers={"Content-Type": "application/json"})


@many
@given(
    dtype=st.sampled_from(
        ["<f4", ">f4", "|O", "<U3", "<M8[s]", "<c8", "|V4", "f", "<f4,<f4", "[('a','<f4')]", "<i99"]
    ),
    order=st.sampled_from(["True", "False", "None", "()"]),
    shape=st.one_of(st.just("(1, 3, 8, 8)"), st.text("(),0123456789 -L.e", max_size=30)),
    extra=st.sampled_from(["", ", 'x': 1", "}" * 9, "(" * 200, "\n", "\\x"]),
    version=st.integers(0, 4),
    content=st.integers(0, 800),
    zipped=st.booleans(),
)
def test_npy_headers_of_every_form(
    client: httpx.Client, dtype: str, order: str, shape: str, extra: str, version: int, content: int, zipped: bool
) -> None:
    header = f"{{'descr': {dtype!r}, 'fortran_order': {order}, 'shape': {shape}{extra}}}".encode("latin1")
    size = len(header).to_bytes(4 if version > 1 else 2, "little")
    body = b"\x93NUMPY" + bytes([version, 0]) + size + header + bytes(content)
    if zipped:
        import zipfile

        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("image.npy", body)
        body = file.getvalue()
    sent(client, "/v1/infer", body, headers={"Content-Type": f"application/x-np{'z' if zipped else 'y'}"})


@many
@given(deadline=st.text(max_size=12), top=st.text(max_size=6), header=st.text("0123456789.e-+naif", max_size=12))
def test_figures_of_every_form(client: httpx.Client, deadline: str, top: str, header: str) -> None:
    sent(client, "/v1/images", SEEDS[3], late=True, params={"deadline_ms": deadline, "top": top},
         headers={"Content-Type": "image/jpeg", "X-Request-Deadline-Ms": header or "1000"})  # fmt: skip


def test_deep_json(client: httpx.Client) -> None:
    for text in ("[" * 5000, '{"inputs":' * 900, '{"inputs": [{"data": ' + "[" * 3000):
        sent(client, "/v1/infer", text.encode(), headers={"Content-Type": "application/json"})


def test_the_scripted_service_is_asked(client: httpx.Client) -> None:
    """What this file sends gets through to a service when it is good."""
    assert client.post("/v1/infer", content=GOOD).status_code == 200
    assert sums is not checked
