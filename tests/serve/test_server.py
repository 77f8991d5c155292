"""`shoal serve` as a process: it says where it is, ends what it took, and exits 0."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

import shoal
from shoal import serve
from shoal.errors import InputError
from tests.run import plans
from tests.serve.conftest import Small, wait_for
from tests.serve.test_infer import arrays, request

ROOT = Path(shoal.__file__).parents[1]


@contextmanager
def started(small: Small, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and where it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal", "serve", str(small.path), "--port", "0", "--json", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, json.loads(line)["url"]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Load:
    """Requests one after another from several clients; what each was told."""

    def __init__(self, url: str, small: Small, clients: int) -> None:
        self._url, self._body = url, json.dumps(request(small.inputs)).encode()
        self.codes: list[int] = []
        self.answers: list[httpx.Response] = []
        self.torn: list[str] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        headers = {"Content-Type": "application/json"}
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while True:
                try:
                    answer = client.post("/v1/infer", content=self._body, headers=headers)
                except httpx.ConnectError:  # nobody listens any more: it was not taken
                    return
                except httpx.TransportError as fault:
                    self.torn.append(repr(fault))
                    return
                self.codes.append(answer.status_code)
                if answer.status_code == 200:
                    self.answers.append(answer)
                if answer.status_code == 503:
                    return

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_loses_nothing_that_was_taken(which: signal.Signals, small: Small) -> None:
    with started(small, "--over", "shm", "--queue", "16") as (process, url):
        load = Load(url, small, 6)
        wait_for(lambda: load.codes.count(200) > 20)
        process.send_signal(which)
        load.join()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    assert load.torn == []
    assert set(load.codes) <= {200, 503}
    for answer in load.answers[-10:]:
        plans.assert_equal(arrays(answer), small.outputs)


def test_a_second_signal_ends_at_once_with_one_line(small: Small) -> None:
    with started(small, "--over", "shm") as (process, url):
        body = request(small.inputs)
        assert httpx.post(f"{url}/v1/infer", json=body, timeout=30).status_code == 200
        workers = children(process.pid)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)  # so that what is asked now is never done
        try:
            asking = threading.Thread(target=lost, args=(f"{url}/v1/infer", body))
            asking.start()
            wait_for(lambda: httpx.get(f"{url}/v1/state", timeout=30).json()["in_flight"] > 0)
            process.send_signal(signal.SIGINT)
            wait_for(lambda: httpx.get(f"{url}/v1/state", timeout=30).json()["draining"])
            began_s = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            asking.join()
        finally:
            for worker in workers:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
    assert process.returncode == 130, err
    assert time.monotonic() - began_s < 15  # and not the 30 s that what was taken may take
    assert json.loads(out)["error"]["message"] == (
        "ended at once by a second signal: what was not answered is lost"
    )
    assert err == ""


@pytest.mark.parametrize("gap_s", [0.05, 0.2])
def test_signals_without_end_make_no_noise(gap_s: float, small: Small) -> None:
    with started(small, "--over", "shm") as (process, _):
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(gap_s)
        _, err = process.communicate()
    assert process.returncode in {0, 130, -signal.SIGINT}  # the last: it was ending anyway
    assert err == ""


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


def lost(url: str, body: dict[str, Any]) -> None:
    """Ask for what will not be answered."""
    with suppress(httpx.TransportError):
        assert httpx.post(url, json=body, timeout=60).status_code != 200


def test_a_listener_of_events_does_not_hold_up_the_end(small: Small) -> None:
    with started(small, "--over", "memory") as (process, url), httpx.stream("GET", f"{url}/v1/events") as answer:
        next(answer.iter_lines())
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - began_s < 10


def test_what_cannot_be_served_is_told_before_anything_starts(small: Small) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "shoal", "serve", str(small.path), "--port", str(port)],
            capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: 127.0.0.1:{port}: cannot serve there: Address already in use\n  hint: ")


def test_other_hosts_are_not_served_in_the_clear_unasked(tmp_path: Path) -> None:
    with serve.bound("0.0.0.0", 0) as everywhere, serve.bound("127.0.0.1", 0) as here:
        with pytest.raises(InputError, match="unencrypted"):
            serve.check_open(everywhere, None, plain=False)
        serve.check_open(everywhere, None, plain=True)
        serve.check_open(everywhere, tmp_path, plain=False)
        serve.check_open(here, None, plain=False)
    with pytest.raises(InputError, match="no identity"):
        serve.secured(tmp_path)
    with pytest.raises(InputError, match="cannot serve there"):
        serve.bound("no.such.host.invalid", 1)
