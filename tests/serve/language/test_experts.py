"""A plan of experts over HTTP, asked by OpenAI's own client, while its workers die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from shoal.llm.tiny import tiny
from tests.llm.expert_plan.folders import plan

torch = pytest.importorskip("torch")
pytest.importorskip("openai")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

PROMPT = "The module provides "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def process(folder: Path) -> Iterator[Any]:
    plan(folder, "lpt")
    command = [sys.executable, "-m", "shoal", "serve", str(folder / "placed"), "--port", "0", "--context", "256", "--rows", "4",
               "--drain", "5s", "--balance", "least_loaded:gate=1,least=1"]  # fmt: skip
    with (folder / "errors").open("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(os.environ))
        yield process
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def server(process: Any) -> str:
    line = process.stdout.readline()
    assert line.startswith("serving small at http://"), line
    return str(line.split()[3].rstrip(";"))


@pytest.fixture(scope="module")
def greedy() -> str:
    with torch.no_grad():
        out = tiny("mixtral").module().generate(
            torch.tensor([list(PROMPT.encode())]), max_new_tokens=60, do_sample=False, pad_token_id=0
        )  # fmt: skip
    return bytes(out[0, len(PROMPT) :].tolist()).decode()


def test_answers_are_those_of_one_process(client: Any, greedy: str) -> None:
    found = client.completions.create(model="small", prompt=PROMPT, max_tokens=40, temperature=0)
    assert found.choices[0].text == greedy[:40]
    assert found.usage.completion_tokens == 40
    chat = client.chat.completions.create(model="small", messages=[{"role": "user", "content": "Hi"}], max_tokens=8)
    assert chat.choices[0].message.role == "assistant"


def test_many_at_once_are_each_its_own(client: Any, greedy: str) -> None:
    found: list[str] = []

    def ask() -> None:
        found.append(
            client.completions.create(model="small", prompt=PROMPT, max_tokens=20, temperature=0).choices[0].text
        )

    threads = [threading.Thread(target=ask) for _ in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [greedy[:20]] * 7


def test_a_stream_goes_on_when_a_worker_is_killed(
    process: Any, folder: Path, server: str, client: Any, greedy: str
) -> None:
    pieces = []
    for event in client.completions.create(model="small", prompt=PROMPT, max_tokens=60, temperature=0, stream=True):
        pieces.append(event.choices[0].text)
        if len(pieces) == 5:
            os.kill(_workers(process)[1], signal.SIGKILL)
    assert "".join(pieces) == greedy
    assert "worker right: experts' workers are gone" in (folder / "errors").read_text()
    state = httpx.get(f"{server}/v1/state").json()
    assert (state["losses"], state["placements"]) == (1, ["experts on left, right"] * 2)
    assert all(state["workers"][each]["copies"] > 0 for each in ("left", "right"))


def test_at_its_end_it_says_what_workers_did(process: Any, client: Any) -> None:
    left = _workers(process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    first, *workers = out.splitlines()
    assert "devices lost" in first
    assert [line.partition(":")[0] for line in workers[:2]] == ["left", "right"]
    assert any("spilled here with" in line for line in workers)
    assert not any(Path(f"/proc/{each}").exists() for each in left)


def _workers(process: Any) -> list[int]:
    return [
        each.pid for each in psutil.Process(process.pid).children() if "shoal.llm.expert_parallel" in each.cmdline()
    ]
