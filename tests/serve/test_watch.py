"""Health, metadata, metrics, the API's description, state and events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from prometheus_client.parser import text_string_to_metric_families

from shoal import codec, serve
from shoal.live import ServiceState
from shoal.live.single import Single
from tests.run import plans
from tests.serve.conftest import Small, listening, wait_for
from tests.serve.scripted import Scripted, sums
from tests.serve.test_infer import arrays, request

HEALTH = ("/readyz", "/v2/health/ready", "/v2/models/small/ready", "/v2/models/small/versions/1/ready")


def metrics(client: httpx.Client) -> dict[tuple[str, str], float]:
    """Samples by name and labels; the text must be what Prometheus reads."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_of_a_real_service(small: Small, client: httpx.Client) -> None:
    for _ in range(3):
        plans.assert_equal(arrays(client.post("/v1/infer", json=request(small.inputs))), small.outputs)
    assert client.post("/v1/infer", content=b"{").status_code == 400
    found = metrics(client)
    assert found["shoal_requests_total", "answered"] == 3
    assert found["shoal_requests_total", "invalid"] == 1
    assert found["shoal_requests_total", "busy"] == 0
    assert found["shoal_request_seconds_count", ""] == 3
    assert 0 < found["shoal_request_seconds_sum", ""] < 60
    assert found["shoal_items_total", "0"] == 3
    assert found["shoal_queue_limit_requests", ""] == 4
    assert found["shoal_ready", ""] == found["shoal_device_present", "d0"] == 1
    assert found["shoal_devices_present", ""] == 2


def test_metrics_of_devices_and_epochs() -> None:
    backend = Scripted(sums)
    backend.become(answered=5, resent=2)
    with listening(backend) as url, httpx.Client(base_url=url) as client:
        assert metrics(client)["shoal_items_total", "0"] == 5
        dead = replace(backend.said.devices[2], present=False, temperature_c=None)
        backend.become(answered=9, epoch=1, devices=(*backend.said.devices[:2], dead))
        found = metrics(client)
    assert (found["shoal_items_total", "0"], found["shoal_items_total", "1"]) == (5, 4)
    assert found["shoal_items_resent_total", ""] == 2
    assert found["shoal_device_present", "zero"] == 0
    assert ("shoal_device_temperature_celsius", "zero") not in found
    assert found["shoal_device_temperature_celsius", "pi4"] == 58.5
    assert found["shoal_device_energy_joules_total", "pi3"] == pytest.approx(123.4)
    assert found["shoal_energy_joules_total", ""] == pytest.approx(3 * 123.4)
    assert found["shoal_unit_busy_ratio", "pi4/gpu"] == 0.87


def test_health_follows_the_service() -> None:
    backend = Scripted(sums)
    with listening(backend) as url, httpx.Client(base_url=url) as client:
        assert client.get("/healthz").json() == client.get("/v2/health/live").json() == {"live": True}
        for path in HEALTH:
            assert client.get(path).status_code == 200
        died = tuple(replace(it, present=False, why="no beat") for it in backend.said.devices)
        backend.become(ready=False, devices=died)
        for path in HEALTH:
            answer = client.get(path)
            assert answer.status_code == 503
            assert "pi4: no beat" in answer.json()["why"]
        assert client.get("/healthz").status_code == 200
        backend.become(ready=True, draining=True)
        assert client.get("/readyz").json() == {"name": "small", "ready": False, "why": "the service is ending"}


def test_metadata_is_the_protocols(client: httpx.Client, small: Small) -> None:
    assert set(client.get("/v2").json()) == {"name", "version", "extensions"}
    for path in ("/v2/models/small", "/v2/models/small/versions/1"):
        found = client.get(path).json()
        assert found["name"] == "small"
        assert {each["name"]: each["shape"] for each in found["inputs"]} == {
            name: list(array.shape) for name, array in small.inputs.items()
        }
        assert {each["datatype"] for each in found["outputs"]} == {"FP32", "INT64"}


@pytest.mark.parametrize(
    "path", ["/v2/models/smal", "/v2/models/smal/ready", "/v2/models/small/versions/2", "/nothing"]
)
def test_what_is_not_served_is_not_found(path: str, client: httpx.Client) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"error", "kind", "hint"}
    if path == "/v2/models/smal":
        assert answer.json()["hint"] == "did you mean 'small'?"


def test_the_description_is_openapi() -> None:
    with listening(Scripted(sums), classifier=serve.Classifier(labels=tuple("abcd"))) as url:
        found = httpx.get(f"{url}/openapi.json").json()
    OpenAPI.model_validate(found)
    for reference in references(found):
        place: Any = found
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    assert "| input | `image` | FP32 | [1, 3, 8, 8] |" in found["info"]["description"]
    paths = set(found["paths"])
    assert paths >= {"/v1/infer", "/v1/images", "/v2/models/{model}/infer", "/metrics", "/v1/events", "/readyz"}
    body = found["paths"]["/v1/infer"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/x-npz", "application/x-npy", "application/octet-stream"}
    assert body["application/json"]["example"]["inputs"][0]["name"] == "image"
    answers = found["paths"]["/v1/images"]["post"]["responses"]
    assert set(answers) >= {"200", "400", "413", "415", "422", "429", "503", "504"}
    assert answers["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Classes")


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_example_is_taken(client: httpx.Client) -> None:
    """As it stands, but for the data that is left out."""
    example = client.get("/openapi.json").json()["paths"]["/v1/infer"]["post"]["requestBody"]["content"]
    body = example["application/json"]["example"]
    for each in body["inputs"]:
        count = 1
        for size in each["shape"]:
            count *= size
        each["data"] = each["data"] or [0.0] * count
    assert client.post("/v1/infer", json=body).status_code == 200


def test_the_state_is_a_service_state(client: httpx.Client, single: Single) -> None:
    found = codec.decode(ServiceState, client.get("/v1/state").content, "state")
    assert found.pipeline == ("d0/cpu", "d1/cpu")
    assert replace(found, time_s=0.0) == replace(single.state(), time_s=0.0)


def events(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    """Name, id and data of each event."""
    name = number = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "id":
            number = value
        elif field == "data":
            yield name, number, json.loads(value)
            name = number = ""


def test_events() -> None:
    backend = Scripted(sums)
    for number in range(3):
        backend.happen("joined", f"pi{number}", "is there")
    with (
        listening(backend) as url,
        httpx.stream("GET", f"{url}/v1/events", headers={"Last-Event-ID": "0"}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        coming = events(answer.iter_lines())
        assert [next(coming)[0] for _ in range(4)] == ["history", "happening", "happening", "state"]
        backend.happen("lost", "pi1", "no beat")
        _, number, happening = next(it for it in coming if it[0] == "happening")
        assert (number, happening["number"], happening["kind"]) == ("3", 3, "lost")
        first, second = (next(it for it in coming if it[0] == "state")[2] for _ in range(2))
        assert 0.5 < second["time_s"] - first["time_s"] < 5


def test_listeners_are_bounded_and_forgotten() -> None:
    with (
        listening(Scripted(sums)) as url,
        httpx.Client(base_url=url, limits=httpx.Limits(max_connections=100)) as client,
    ):
        streams = [client.stream("GET", "/v1/events") for _ in range(64)]
        for stream in streams:
            assert stream.__enter__().status_code == 200
        assert client.get("/v1/events").status_code == 429
        for stream in streams:
            stream.__exit__(None, None, None)

        def again() -> bool:
            with client.stream("GET", "/v1/events") as answer:
                return answer.status_code == 200

        wait_for(again)


def test_names_and_units_are_as_prometheus_wants_them(client: httpx.Client) -> None:
    for family in text_string_to_metric_families(client.get("/metrics").text):
        assert re.fullmatch(r"shoal_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|mb|mib|percent|celcius)\b", family.name)
