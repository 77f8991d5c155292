"""A drawer of devices for the benches of a living fleet: hosts of their own, a hub, a service on all of them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil

from bench import _common as common
from shoal.plan import ModelRef
from shoal.program import Hop
from shoal.wire.network import Network, hosts

HUB, PORT, HTTP = "hub", 7446, 8000
BYTES_PER_S, LATENCY_S = 1.25e8, 2e-4
START_S = 90.0


class Drawer:
    """The hub and the devices, as processes on their hosts."""

    def __init__(self, network: Network, devices: list[str], folder: Path) -> None:
        self.network, self.devices, self.folder = network, devices, folder
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    def shoal(
        self, host: str, *arguments: str, token: str = "", out: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """A `shoal` command on a host, with folders of its own."""
        own = self.folder / host
        own.mkdir(exist_ok=True)
        environment = os.environ | {"SHOAL_FLEETS": str(own / "fleets"), "SHOAL_CACHE": str(own / "cache")}
        environment |= {"SHOAL_TOKEN": token} if token else {}
        log = self._stack.enter_context((own / f"{arguments[0]}.log").open("ab"))
        command = self.network.command(host, [sys.executable, "-m", "shoal", *arguments])
        return subprocess.Popen(command, env=environment, stdout=out, stderr=log, stdin=subprocess.DEVNULL)

    def said(self, host: str, *arguments: str) -> str:
        """What a command prints."""
        process = self.shoal(host, *arguments, out=subprocess.PIPE)
        out, _ = process.communicate(timeout=START_S)
        if process.returncode:
            raise SystemExit(f"{host}: shoal {' '.join(arguments)} failed; see {self.folder / host}")
        return out.decode().strip()

    def open(self) -> None:
        """The hub, and every device in it."""
        self.said(HUB, "fleet", "init")
        self._ended(self.shoal(HUB, "fleet", "open", "--listen", f"{self.network.address(HUB)}:{PORT}"))
        time.sleep(3)
        for device in self.devices:
            token = self.said(HUB, "fleet", "invite", device)
            self.join(device, token)
        until_s = time.monotonic() + START_S
        while sum(each["present"] for each in json.loads(self.said(HUB, "fleet", "--once", "--json"))) < len(
            self.devices
        ):
            if time.monotonic() > until_s:
                raise SystemExit("not every device joined")
            time.sleep(1)

    def join(self, device: str, token: str = "") -> None:
        """Start a device's agent."""
        self.agents[device] = self.shoal(device, "join", "--host", self.network.address(device), token=token)

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)

    def close(self) -> None:
        """End all of it."""
        for agent in self.agents.values():
            for each in tree(agent.pid):
                each.send_signal(signal.SIGCONT)
            agent.terminate()
        for agent in self.agents.values():
            agent.wait()
        self._stack.close()


def tree(pid: int) -> list[psutil.Process]:
    """A process and those below it."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


@contextmanager
def serving(drawer: Drawer, model: Path) -> Iterator[str]:
    """The service on all devices; its address."""
    plan = drawer.folder / "plan"
    drawer.said(HUB, "plan", str(model), "live", "-o", str(plan))
    process = drawer.shoal(HUB, "serve", str(plan), "--port", str(HTTP), "--json", "--deadline", "30s", "--wait")
    try:
        with drawer.network.inside(HUB):
            url = f"http://127.0.0.1:{HTTP}"
            until_s = time.monotonic() + START_S
            while not ready(url):
                if time.monotonic() > until_s or process.poll() is not None:
                    raise SystemExit(f"the service did not start; see {drawer.folder / HUB}")
                time.sleep(0.2)
            yield url
    finally:
        process.terminate()
        process.wait()


def ready(url: str) -> bool:
    """Whether requests are answered."""
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def drawer_of(devices: list[str], folder: Path) -> Iterator[Drawer]:
    """So many devices and a hub, every pair joined at 1 Gbit/s, and all of them in the fleet."""
    everyone = [HUB, *devices]
    ways = {
        (one, other): (Hop(f"{one}>{other}", BYTES_PER_S, LATENCY_S),)
        for one in everyone for other in everyone if one != other
    }  # fmt: skip
    with hosts(everyone, ways) as network:
        drawer = Drawer(network, devices, folder)
        try:
            drawer.open()
            yield drawer
        finally:
            drawer.close()


def question(name: str) -> tuple[ModelRef, bytes, dict[str, np.ndarray]]:
    """A light model with random weights, a request for it, and what the undivided model answers."""
    import onnxruntime

    graph, reference = common.model(name)
    feeds = common.inputs_of(graph)
    session = onnxruntime.InferenceSession(reference.path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    body = io.BytesIO()
    np.savez(body, **feeds)
    return reference, body.getvalue(), dict(zip(names, session.run(names, dict(feeds)), strict=True))
