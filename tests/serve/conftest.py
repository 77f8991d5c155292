"""A small real plan, and a real server on a free port."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from shoal import codec, serve
from shoal.graph import load
from shoal.live import Backend
from shoal.live.single import Single, served
from shoal.plan import Plan
from shoal.run import Settings
from shoal.serve.draining import Draining
from shoal.serve.server import config
from tests.run import plans
from tests.run.test_opsets import inputs, model


@dataclass(frozen=True)
class Small:
    """The plan, its file, an item and the undivided model's answer to it."""

    plan: Plan
    path: Path
    inputs: dict[str, Any]
    outputs: dict[str, Any]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small")
    path = model(17, "initializers", folder / "model.onnx")
    graph, given = load(path), dict(inputs()[0])
    plan = plans.plan_of(graph, plans.contiguous(graph, 2))
    codec.save(plan, folder / "plan.json")
    return Small(plan, folder / "plan.json", given, plans.reference(path, given))


@pytest.fixture
def single(small: Small) -> Iterator[Single]:
    """That plan on workers that are threads, with room for four."""
    with served(small.plan, Settings(over="memory"), 4) as backend:
        yield backend


@contextmanager
def listening(backend: Backend, **options: Any) -> Iterator[str]:
    """A server of `backend` in a thread; where it is."""
    made = serve.app(backend, **{"name": "small"} | options)
    loops: list[asyncio.AbstractEventLoop] = []
    with serve.bound("127.0.0.1", 0) as sock:

        async def drained() -> bool:
            made.state.feed.end()
            return True

        server = Draining(config(made), drained, lambda: loops.append(asyncio.get_running_loop()))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            wait_for(lambda: bool(loops))
            yield serve.url_of(sock, secure=False)
        finally:
            loops[0].call_soon_threadsafe(server.end)
            thread.join()


def wait_for(true: Callable[[], bool], most_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + most_s
    while not true():
        assert time.monotonic() < deadline_s, "it never came true"
        time.sleep(0.01)


@pytest.fixture
def client(single: Single) -> Iterator[httpx.Client]:
    with listening(single) as url, httpx.Client(base_url=url, timeout=30) as found:
        yield found
