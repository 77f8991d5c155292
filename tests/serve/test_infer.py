"""Tensors in every form, against the undivided model's answers; and every way a request can fail."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from shoal.errors import WorkerDied
from shoal.live import Busy, Unavailable
from shoal.live.contract import Arrays
from shoal.live.single import Single
from shoal.serve.forms import DATATYPES
from shoal.serve.npy import write_npy, write_npz
from tests.run import plans
from tests.serve.conftest import Small, listening, wait_for
from tests.serve.scripted import Scripted, never, sums

IMAGE = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)


def tensor(name: str, array: np.ndarray, *, nested: bool = False) -> dict[str, Any]:
    data = array.tolist() if nested else array.reshape(-1).tolist()
    return {"name": name, "shape": list(array.shape), "datatype": DATATYPES[str(array.dtype)], "data": data}


def request(inputs: Arrays, **more: Any) -> dict[str, Any]:
    return {"inputs": [tensor(name, array) for name, array in inputs.items()], **more}


def arrays(answer: httpx.Response) -> dict[str, np.ndarray]:
    assert answer.status_code == 200, answer.text
    names = {datatype: dtype for dtype, datatype in DATATYPES.items()}
    return {
        each["name"]: np.array(each["data"], names[each["datatype"]]).reshape(each["shape"])
        for each in answer.json()["outputs"]
    }


@pytest.fixture
def scripted() -> Iterator[Callable[..., httpx.Client]]:
    """`scripted(answer)` serves a Backend that answers so."""
    opened = []

    def made(answer: Callable[[Arrays, Future[Arrays]], None], **options: Any) -> httpx.Client:
        serving = listening(Scripted(answer), **options)
        client = httpx.Client(base_url=serving.__enter__(), timeout=30)
        opened.append((client, serving))
        return client

    yield made
    for client, serving in opened:
        client.close()
        serving.__exit__(None, None, None)


@pytest.mark.parametrize("path", ["/v1/infer", "/v2/models/small/infer", "/v2/models/small/versions/1/infer"])
def test_json_answers_like_the_undivided_model(path: str, small: Small, client: httpx.Client) -> None:
    answer = client.post(path, json=request(small.inputs, id="7"))
    plans.assert_equal(arrays(answer), small.outputs)
    assert answer.json()["id"] == "7"
    assert answer.json()["model_name"] == "small"


def test_nested_data_and_one_output(small: Small, client: httpx.Client) -> None:
    inputs = [tensor(name, array, nested=True) for name, array in small.inputs.items()]
    wanted = next(iter(small.outputs))
    found = arrays(client.post("/v1/infer", json={"inputs": inputs, "outputs": [{"name": wanted}]}))
    plans.assert_equal(found, {wanted: small.outputs[wanted]})


def test_npz_answers_like_the_undivided_model(small: Small, client: httpx.Client) -> None:
    answer = client.post(
        "/v1/infer", content=write_npz(small.inputs), headers={"Content-Type": "application/x-npz"}
    )
    assert answer.headers["content-type"] == "application/x-npz"
    plans.assert_equal(unpacked(answer.content), small.outputs)


def unpacked(data: bytes) -> dict[str, np.ndarray]:
    import io

    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        return dict(found)


def test_bytes_after_the_json_as_triton_clients_send_them(small: Small, client: httpx.Client) -> None:
    inputs, tail = [], b""
    for name, array in small.inputs.items():
        data = array.tobytes()
        inputs.append({**tensor(name, array), "parameters": {"binary_data_size": len(data)}})
        del inputs[-1]["data"]
        tail += data
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    answer = client.post("/v2/models/small/infer", content=head + tail, headers=headers)
    assert answer.status_code == 200, answer.text
    length = int(answer.headers["inference-header-content-length"])
    told, rest, found = json.loads(answer.content[:length]), answer.content[length:], {}
    for each in told["outputs"]:
        size = each["parameters"]["binary_data_size"]
        wanted = small.outputs[each["name"]]
        found[each["name"]] = np.frombuffer(rest[:size], wanted.dtype).reshape(each["shape"])
        rest = rest[size:]
    assert rest == b""
    plans.assert_equal(found, small.outputs)


@pytest.mark.parametrize("order", ["C", "F", ">"])
def test_npy_of_any_order(order: str, scripted: Callable[..., httpx.Client]) -> None:
    image = IMAGE.astype(">f4") if order == ">" else np.asarray(IMAGE, order=order)
    answer = scripted(sums).post(
        "/v1/infer", content=write_npy(image), headers={"Content-Type": "application/x-npy"}
    )
    assert answer.headers["content-type"] == "application/x-npy"
    scores = np.frombuffer(answer.content[-16:], np.float32)
    np.testing.assert_allclose(scores, [IMAGE.sum(), IMAGE.max(), IMAGE.min(), 0], rtol=1e-5)


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "no JSON": ({"content": b"{"}, 400, "not an inference request"),
    "no inputs": ({"json": {}}, 400, "not an inference request: Field required"),
    "missing": ({"json": {"inputs": []}}, 422, "no input"),
    "name": ({"json": request({"imag": IMAGE})}, 422, "no input is called 'imag'"),
    "shape": ({"json": request({"image": IMAGE[0]})}, 422, "wrong shape"),
    "type": ({"json": request({"image": IMAGE.astype(np.float64)})}, 422, "wrong type"),
    "output": (
        {"json": request({"image": IMAGE}, outputs=[{"name": "score"}])},
        422,
        "no output is called 'score'",
    ),
    "twice": ({"json": {"inputs": [tensor("image", IMAGE)] * 2}}, 422, "given twice"),
    "too few": ({"json": {"inputs": [{**tensor("image", IMAGE), "data": [1.0]}]}}, 422, "does not fill its shape"),
    "ragged": ({"json": {"inputs": [{**tensor("image", IMAGE), "data": [[1.0], [1, 2]]}]}}, 422, "no array"),
    "text": ({"json": {"inputs": [{**tensor("image", IMAGE), "data": ["1"] * 192}]}}, 422, "of another type"),
    "range": ({"json": {"inputs": [{**tensor("image", IMAGE), "data": [1e300] * 192}]}}, 422, "out of range"),
    "datatype": ({"json": {"inputs": [{**tensor("image", IMAGE), "datatype": "FP31"}]}}, 422, "no datatype"),
    "content type": ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "not read here"),
    "damaged": ({"content": b"PK", "headers": {"Content-Type": "application/x-npz"}}, 400, "not a .npz"),
    "length": (
        {"json": request({"image": IMAGE}), "headers": {"Inference-Header-Content-Length": "99999"}},
        400,
        "length",
    ),
    "deadline": ({"json": request({"image": IMAGE}), "params": {"deadline_ms": "soon"}}, 422, "not a deadline"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_body_is_refused_with_its_reason(case: str, scripted: Callable[..., httpx.Client]) -> None:
    sent, status, message = WRONG[case]
    answer = scripted(checked).post("/v1/infer", **sent)
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert message in told["error"]
    assert set(told) == {"error", "kind", "hint"}


def checked(inputs: Arrays, future: Future[Arrays]) -> None:
    from shoal.errors import InputError

    if "image" not in inputs:
        raise InputError("no input 'image' was given")
    sums(inputs, future)


def test_objects_are_never_unpickled(scripted: Callable[..., httpx.Client]) -> None:
    import io

    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    for kind, body in (("npy", file.getvalue()), ("npz", write_npz({"image": IMAGE}).replace(b"'<f4'", b"'|O' "))):
        answer = scripted(never).post("/v1/infer", content=body, headers={"Content-Type": f"application/x-{kind}"})
        assert answer.status_code == 400, answer.text


def test_too_large_is_refused_before_it_is_read(scripted: Callable[..., httpx.Client]) -> None:
    client, sent = scripted(never), 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(2000):
            sent += 1 << 16
            yield bytes(1 << 16)

    assert (
        client.post("/v1/infer", content=bytes(1 << 20), headers={"Content-Type": "application/json"}).status_code
        == 413
    )
    try:
        answer = client.post("/v1/infer", content=endless(), headers={"Content-Type": "application/x-npz"})
        assert answer.status_code == 413
    except httpx.TransportError:  # it was told, and the connection closed, while it still sent
        pass
    assert sent < 64 << 20


def test_a_bomb_is_not_unpacked(scripted: Callable[..., httpx.Client]) -> None:
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", bytes(20 << 20))
    answer = scripted(never).post(
        "/v1/infer", content=file.getvalue(), headers={"Content-Type": "application/x-npz"}
    )
    assert answer.status_code == 400
    assert "more data than the input holds" in answer.text


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Busy(2.4, 9), 429), (Unavailable("nobody is there"), 503), (WorkerDied("pi/cpu is gone"), 503)],
    ids=["busy", "unavailable", "died"],
)
def test_what_the_service_says(fault: Exception, status: int, scripted: Callable[..., httpx.Client]) -> None:
    def failing(inputs: Arrays, future: Future[Arrays]) -> None:
        if isinstance(fault, Busy):
            raise fault
        future.set_exception(fault)

    answer = scripted(failing).post("/v1/infer", json=request({"image": IMAGE}))
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == ("3" if status == 429 else None)
    assert answer.json()["kind"] == type(fault).__name__


@pytest.mark.parametrize(
    "said", [{"params": {"deadline_ms": "60"}}, {"headers": {"X-Request-Deadline-Ms": "60"}}, {}], ids=str
)
def test_over_the_deadline(said: dict[str, Any], scripted: Callable[..., httpx.Client]) -> None:
    answer = scripted(never, deadline_s=0.06).post("/v1/infer", json=request({"image": IMAGE}), **said)
    assert answer.status_code == 504
    assert "deadline" in answer.json()["error"]


def test_a_body_that_comes_slowly_gives_up_its_place(scripted: Callable[..., httpx.Client]) -> None:
    def slow() -> Iterator[bytes]:
        for _ in range(100):
            yield b" "
            time.sleep(0.05)

    began_s = time.monotonic()
    try:
        answer = scripted(sums).post("/v1/infer", content=slow(), params={"deadline_ms": "200"})
        assert answer.status_code == 504
    except httpx.TransportError:  # it was told, and the connection closed, while it still sent
        pass
    assert time.monotonic() - began_s < 4


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (IMAGE.view(np.int32), "wrong type"),
        (IMAGE.view(np.uint32).astype(">u4"), "wrong type"),
        (IMAGE.reshape(1, 8, 8, 3), "wrong shape"),
        (IMAGE.reshape(1, 3, 64), "wrong shape"),
        (np.repeat(IMAGE, 2, 0), "wrong shape"),
    ],
)
def test_an_array_of_as_many_bytes_is_not_taken_for_another(
    array: np.ndarray, message: str, scripted: Callable[..., httpx.Client]
) -> None:
    client = scripted(sums)
    for kind, body in (("npy", write_npy(array)), ("npz", write_npz({"image": array}))):
        answer = client.post("/v1/infer", content=body, headers={"Content-Type": f"application/x-{kind}"})
        assert answer.status_code == 422
        assert message in answer.text


def test_a_client_that_leaves_gives_its_item_up() -> None:
    backend = Scripted(never)
    with listening(backend) as url:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/infer", json=request({"image": IMAGE}), timeout=0.3)
        wait_for(backend.taken[0].cancelled)
        metrics = httpx.get(f"{url}/metrics").text
    assert 'shoal_requests_total{outcome="gone"} 1.0' in metrics


def test_a_burst_fills_the_queue_and_the_rest_is_told_to_come_again(
    small: Small, single: Single, client: httpx.Client
) -> None:
    """Room for four, a window in flight: of forty at once, some are told to wait, the others are answered."""
    body = request(small.inputs)
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/infer", json=body), range(40)))
    good = [answer for answer in answers if answer.status_code == 200]
    busy = [answer for answer in answers if answer.status_code == 429]
    assert len(good) + len(busy) == 40
    assert good
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in busy)
    for answer in good:
        plans.assert_equal(arrays(answer), small.outputs)
    assert single.state().answered == len(good)


def test_more_than_can_be_dealt_with_is_refused_unread(scripted: Callable[..., httpx.Client]) -> None:
    client = scripted(never)
    with ThreadPoolExecutor(60) as pool:
        codes = list(pool.map(
            lambda _: client.post("/v1/infer", json=request({"image": IMAGE}), params={"deadline_ms": "1500"}).status_code,
            range(60),
        ))  # fmt: skip
    assert set(codes) == {429, 504}
