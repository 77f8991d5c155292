"""A service on a living fleet under random faults: nothing lost, nothing answered twice, nothing answered wrongly.

    python -m bench.faults [--devices 3] [--faults 20] [--every 4] [--clients 4] [--model squeezenet] [--seed 0]

Each device is a host of its own (a network namespace behind a relay, 1 Gbit/s) with `shoal join`; another is the hub,
with `shoal fleet open` and `shoal serve`. Clients send requests without a pause; faults come one after another, each
mended before the next: a worker killed, an agent killed (with its workers) and started anew, a device frozen, its link
cut, or losing three of ten packets. Every answer is compared with the undivided model's. Recovery is the longest time
without an answer after a fault.
Needs root.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil

from bench import _common as common
from shoal.program import Hop
from shoal.wire.network import Network, hosts

HUB, PORT, HTTP = "hub", 7446, 8000
BYTES_PER_S, LATENCY_S = 1.25e8, 2e-4
MENDED_S = 3.0  # between a fault and its mending
START_S = 90.0


@dataclass
class Seen:
    """What the clients saw."""

    codes: Counter[str] = field(default_factory=Counter)
    ended_s: list[float] = field(default_factory=list)  # of each right answer
    wrong: int = 0


class Drawer:
    """The hub and the devices, as processes on their hosts."""

    def __init__(self, network: Network, devices: list[str], folder: Path) -> None:
        self.network, self.devices, self.folder = network, devices, folder
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    def shoal(self, host: str, *arguments: str, token: str = "") -> subprocess.Popen[bytes]:
        """A `shoal` command on a host, with folders of its own."""
        own = self.folder / host
        own.mkdir(exist_ok=True)
        environment = os.environ | {"SHOAL_FLEETS": str(own / "fleets"), "SHOAL_CACHE": str(own / "cache")}
        environment |= {"SHOAL_TOKEN": token} if token else {}
        log = self._stack.enter_context((own / f"{arguments[0]}.log").open("ab"))
        command = self.network.command(host, [sys.executable, "-m", "shoal", *arguments])
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL
        )

    def said(self, host: str, *arguments: str) -> str:
        """What a command prints."""
        process = self.shoal(host, *arguments)
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


def kill_worker(drawer: Drawer, device: str) -> Callable[[], None]:
    """One worker process dies; the agent stays."""
    workers = [each for each in tree(drawer.agents[device].pid)[1:] if "shoal.worker" in " ".join(each.cmdline())]
    for each in workers[:1]:
        each.kill()
    return lambda: None


def kill_agent(drawer: Drawer, device: str) -> Callable[[], None]:
    """The device is gone, and begins anew later."""
    for each in tree(drawer.agents[device].pid):
        each.kill()
    drawer.agents[device].wait()
    return lambda: drawer.join(device)


def freeze(drawer: Drawer, device: str) -> Callable[[], None]:
    """Nothing on the device moves; its connections stay."""
    frozen = tree(drawer.agents[device].pid)
    for each in frozen:
        each.suspend()
    return lambda: [each.resume() for each in frozen if each.is_running()] and None


def cut_link(drawer: Drawer, device: str) -> Callable[[], None]:
    """Nothing reaches the device, nor comes from it."""
    drawer.network.lose(device, 1.0)
    return lambda: drawer.network.lose(device, 0.0)


def lossy_link(drawer: Drawer, device: str) -> Callable[[], None]:
    """Three of ten packets get lost, each way."""
    drawer.network.lose(device, 0.3)
    return lambda: drawer.network.lose(device, 0.0)


FAULTS = {
    "kill worker": kill_worker,
    "kill agent": kill_agent,
    "freeze": freeze,
    "cut link": cut_link,
    "lossy link": lossy_link,
}


def client(url: str, body: bytes, expected: dict[str, np.ndarray], seen: Seen, stop: threading.Event) -> None:
    """Requests without a pause."""
    with httpx.Client(timeout=60) as session:
        while not stop.is_set():
            try:
                answer = session.post(url, content=body, headers={"Content-Type": "application/x-npz"})
            except httpx.HTTPError as fault:
                seen.codes[type(fault).__name__] += 1
                continue
            seen.codes[str(answer.status_code)] += 1
            if answer.status_code == 200:
                found = np.load(io.BytesIO(answer.content), allow_pickle=False)
                right = all(
                    np.abs(found[name] - array).max() <= 1e-4 * np.abs(array).max()
                    for name, array in expected.items()
                )
                seen.wrong += not right
                seen.ended_s.append(time.monotonic())
            elif answer.status_code == 429:
                time.sleep(0.05)


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


def suffer(drawer: Drawer, url: str, options: argparse.Namespace, seen: Seen) -> dict[str, list[float]]:
    """One fault after another; the longest time without an answer after each, by its kind."""
    source, found = random.Random(options.seed), {name: [] for name in FAULTS}
    for number in range(options.faults):
        name, device = source.choice(list(FAULTS)), source.choice(drawer.devices)
        time.sleep(options.every)
        began_s = time.monotonic()
        mend = FAULTS[name](drawer, device)
        time.sleep(MENDED_S)
        mend()
        time.sleep(options.every)
        now_s = time.monotonic()
        ends = [began_s, *(at_s for at_s in list(seen.ended_s) if began_s < at_s < now_s), now_s]
        gap_s = max(later - sooner for sooner, later in itertools.pairwise(ends))
        found[name].append(gap_s)
        print(f"{number:4} {name:12} {device:6} {gap_s:6.2f} s  {dict(seen.codes)}", flush=True)
    state = httpx.get(f"{url}/v1/state", timeout=10).json()
    print({key: state[key] for key in ("answered", "failed", "refused", "resent")})
    return found


def main() -> None:
    """Make the drawer, serve, break it, and print what the clients saw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--every", type=float, default=4.0, help="seconds before a fault, and after its mending")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--model", default="squeezenet")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    graph, reference = common.model(options.model)
    feeds = common.inputs_of(graph)
    import onnxruntime

    session = onnxruntime.InferenceSession(reference.path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    expected = dict(zip(names, session.run(names, dict(feeds)), strict=True))
    body = io.BytesIO()
    np.savez(body, **feeds)
    devices = [f"d{number}" for number in range(1, options.devices + 1)]
    everyone = [HUB, *devices]
    ways = {
        (one, other): (Hop(f"{one}>{other}", BYTES_PER_S, LATENCY_S),)
        for one in everyone for other in everyone if one != other
    }  # fmt: skip
    seen, stop = Seen(), threading.Event()
    with tempfile.TemporaryDirectory(prefix="shoal-") as folder, hosts(everyone, ways) as network:
        drawer = Drawer(network, devices, Path(folder))
        try:
            drawer.open()
            with serving(drawer, Path(reference.path)) as url:
                threads = [
                    threading.Thread(target=client, args=(f"{url}/v1/infer", body.getvalue(), expected, seen, stop))
                    for _ in range(options.clients)
                ]
                for thread in threads:
                    thread.start()
                found = suffer(drawer, url, options, seen)
                stop.set()
                for thread in threads:
                    thread.join()
        finally:
            drawer.close()
    gaps = sorted(gap for each in found.values() for gap in each)
    print(
        f"answers {seen.codes['200']}, wrong {seen.wrong}, others { ({k: v for k, v in seen.codes.items() if k != '200'}) }"
    )
    print(f"recovery p50 {common.median(gaps):.2f} s, p99 {gaps[min(len(gaps) - 1, int(0.99 * len(gaps)))]:.2f} s")
    print(json.dumps({"gaps_s": found, "codes": dict(seen.codes), "wrong": seen.wrong}))


if __name__ == "__main__":
    main()
