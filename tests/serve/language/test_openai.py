"""A language model over HTTP, asked by OpenAI's own client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shoal.llm.tiny import save_folder, tiny
from tests.llm.folders import TWO

torch = pytest.importorskip("torch")
openai = pytest.importorskip("openai")
pytest.importorskip("transformers")

PROMPT = "The module provides "


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    save_folder(tiny("llama"), folder / "small")
    (folder / "fleet.toml").write_text(TWO)
    command = [sys.executable, "-m", "shoal", "serve", str(folder / "small"), "--fleet", str(folder / "fleet.toml"),
               "--port", "0", "--context", "256", "--rows", "4", "--queue", "12", "--drain", "5s", "--json"]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate()[1])
    yield json.loads(line)["url"]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture(scope="module")
def greedy() -> str:
    with torch.no_grad():
        out = tiny("llama").module().generate(
            torch.tensor([list(PROMPT.encode())]), max_new_tokens=40, do_sample=False, pad_token_id=0
        )  # fmt: skip
    return bytes(out[0, len(PROMPT) :].tolist()).decode()


def test_a_completion_is_the_model_s_own_text(client: Any, greedy: str) -> None:
    found = client.completions.create(model="small", prompt=PROMPT, max_tokens=40, temperature=0)
    assert found.choices[0].text == greedy
    assert found.choices[0].finish_reason == "length"
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (len(PROMPT), 40)


def test_a_stream_is_the_same_text_in_pieces(client: Any, greedy: str) -> None:
    events = list(client.completions.create(model="small", prompt=PROMPT, max_tokens=40, temperature=0, stream=True,
                                            stream_options={"include_usage": True}))  # fmt: skip
    pieces = [event.choices[0].text for event in events if event.choices]
    assert "".join(pieces) == greedy
    assert len([piece for piece in pieces if piece]) > 20
    assert events[-1].usage.completion_tokens == 40
    assert events[-2].choices[0].finish_reason == "length"


def test_chats_and_stops(client: Any) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ]
    found = client.chat.completions.create(
        model="small", messages=messages, max_completion_tokens=30, temperature=0
    )
    text = found.choices[0].message.content
    assert found.choices[0].message.role == "assistant"
    assert len(text) > 5
    stop = text[4:6]
    streamed = client.chat.completions.create(model="small", messages=messages, max_tokens=30, temperature=0, stop=[stop],
                                              stream=True)  # fmt: skip
    events = list(streamed)
    assert events[0].choices[0].delta.role == "assistant"
    assert "".join(event.choices[0].delta.content or "" for event in events) == text[: text.index(stop)]
    assert events[-1].choices[0].finish_reason == "stop"


def test_several_prompts_choices_and_seeds(client: Any) -> None:
    one = client.completions.create(model="small", prompt=[PROMPT, "class "], n=2, max_tokens=12, seed=3, echo=True)
    assert [choice.index for choice in one.choices] == [0, 1, 2, 3]
    assert one.choices[0].text.startswith(PROMPT)
    assert one.choices[3].text.startswith("class ")
    again = client.completions.create(
        model="small", prompt=[PROMPT, "class "], n=2, max_tokens=12, seed=3, echo=True
    )
    assert [choice.text for choice in one.choices] == [choice.text for choice in again.choices]
    assert one.choices[0].text != one.choices[1].text


def test_more_at_once_than_rows(client: Any, greedy: str) -> None:
    found: list[str] = []

    def ask() -> None:
        answer = client.completions.create(model="small", prompt=PROMPT, max_tokens=40, temperature=0)
        found.append(answer.choices[0].text)

    threads = [threading.Thread(target=ask) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [greedy] * 9


@pytest.mark.parametrize(("wrong", "status", "said"), [
    ({"model": "smal"}, 404, "no model 'smal'"), ({"prompt": ""}, 422, "an empty prompt"),
    ({"prompt": "a" * 256}, 422, "does not fit"), ({"max_tokens": 0}, 400, "max_tokens"),
    ({"temperature": 3}, 400, "temperature"), ({"logprobs": 2}, 400, "not supported"),
    ({"presence_penalty": 1}, 400, "penalties"), ({"stop": [""]}, 400, "none of them empty"),
])  # fmt: skip
def test_what_is_wrong_is_said(client: Any, wrong: dict[str, Any], status: int, said: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.completions.create(**({"model": "small", "prompt": PROMPT, "max_tokens": 4} | wrong))
    assert caught.value.status_code == status
    assert said in caught.value.message


def test_one_more_than_the_queue_holds_is_told_to_come_again(server: str) -> None:
    body = {"prompt": PROMPT, "max_tokens": 150}
    found: list[httpx.Response] = []
    threads = [
        threading.Thread(target=lambda: found.append(httpx.post(f"{server}/v1/completions", json=body, timeout=60)))
        for _ in range(24)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy = [each for each in found if each.status_code == 429]
    assert {each.status_code for each in found} == {200, 429}
    assert {each.headers["Retry-After"] for each in busy} == {"1"}
    assert "queue is full" in busy[0].json()["error"]["message"]


def test_who_leaves_makes_room(server: str, client: Any) -> None:
    with httpx.stream("POST", f"{server}/v1/completions", timeout=30,
                      json={"prompt": PROMPT, "max_tokens": 200, "stream": True}) as answer:  # fmt: skip
        next(answer.iter_raw())
    deadline_s = time.monotonic() + 10
    while httpx.get(f"{server}/v1/state").json()["under_way"] and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert httpx.get(f"{server}/v1/state").json()["under_way"] == 0


def test_models_and_health(server: str, client: Any) -> None:
    assert [each.id for each in client.models.list()] == ["small"]
    assert client.models.retrieve("small").id == "small"
    assert httpx.get(f"{server}/healthz").status_code == 200
    assert httpx.get(f"{server}/readyz").status_code == 200
    assert httpx.get(f"{server}/v1/state").json()["steps"] > 0
    assert (
        httpx.post(
            f"{server}/v1/completions", content=b"{", headers={"Content-Type": "application/json"}
        ).status_code
        == 400
    )
