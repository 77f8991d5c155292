"""A service on a living fleet under steady load for a long time: does memory grow, does latency?

    python -m bench.soak [--minutes 30] [--load 0.8] [--devices 3] [--model squeezenet]

The drawer of `bench.faults` without faults. What the service answers at most is measured first, with clients that
always wait; then requests come at random moments (Poisson) at `load` times that rate, whether earlier ones are
answered or not, and latency counts from the moment a request was to be sent. Memory is the resident memory of all
shoal processes, of the hub and of the devices. It is compared between the first and the last tenth of the time, after
two minutes to warm up. Needs root.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from bench._drawer import HUB, drawer_of, question, serving

CLIENTS, FULL_S, WARM_S, LOOK_S, PARTS = 8, 20.0, 120.0, 5.0, 6
HEAD = {"Content-Type": "application/x-npz"}


@dataclass
class Seen:
    """What the clients saw, and what memory was held meanwhile."""

    codes: Counter[str] = field(default_factory=Counter)
    latencies_s: list[tuple[float, float]] = field(default_factory=list)  # when to be sent, until answered
    held_bytes: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client:
    """Sends requests, one connection a thread."""

    def __init__(self, url: str, body: bytes, seen: Seen) -> None:
        self._url, self._body, self._seen = f"{url}/v1/infer", body, seen
        self._local = threading.local()

    def send(self, at_s: float) -> None:
        """One request that was to be sent at `at_s`."""
        if not hasattr(self._local, "session"):
            self._local.session = httpx.Client(timeout=60)
        try:
            code = str(self._local.session.post(self._url, content=self._body, headers=HEAD).status_code)
        except httpx.HTTPError as fault:
            code = type(fault).__name__
        with self._seen.lock:
            self._seen.codes[code] += 1
            if code == "200":
                self._seen.latencies_s.append((at_s, time.monotonic() - at_s))


def held_bytes() -> dict[str, int]:
    """Resident memory of the shoal processes below this one, by what they are."""
    found: Counter[str] = Counter()
    for process in psutil.Process().children(recursive=True):
        try:
            words = process.cmdline()
            if "-m" in words and (what := words[words.index("-m") + 1 :]) and what[0].startswith("shoal"):
                found[" ".join(what[:2]) if what[0] == "shoal" else what[0]] += process.memory_info().rss
        except psutil.Error:  # it has just ended
            continue
    return dict(found)


def most_items_per_s(client: Client, seen: Seen) -> float:
    """The rate with clients that always wait for an answer."""
    stop_s = time.monotonic() + FULL_S

    def ask() -> None:
        while (now_s := time.monotonic()) < stop_s:
            client.send(now_s)

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    late = [at_s for at_s, took_s in seen.latencies_s if at_s + took_s > stop_s - FULL_S / 2]
    return len(late) / (FULL_S / 2)


def soak(client: Client, seen: Seen, rate: float, seconds: float) -> None:
    """Poisson arrivals at `rate`."""
    source, began_s, looked_s = random.Random(0), time.monotonic(), 0.0
    at_s = began_s
    with ThreadPoolExecutor(64) as pool:
        while at_s < began_s + seconds:
            time.sleep(max(0.0, at_s - time.monotonic()))
            pool.submit(client.send, at_s)
            if at_s - looked_s > LOOK_S:
                looked_s = at_s
                seen.held_bytes.append((at_s - began_s, held_bytes()))
            at_s += source.expovariate(rate)


def told(seen: Seen, began_s: float, seconds: float) -> None:
    """Memory and latency over time."""
    latencies = [(at_s - began_s, took_s) for at_s, took_s in seen.latencies_s if at_s >= began_s]
    for part in range(PARTS):
        begin_s, end_s = part * seconds / PARTS, (part + 1) * seconds / PARTS
        own = sorted(took_s for at_s, took_s in latencies if begin_s <= at_s < end_s)
        held = [sum(each.values()) for at_s, each in seen.held_bytes if begin_s <= at_s < end_s]
        print(
            f"{begin_s / 60:5.1f}-{end_s / 60:4.1f} min: {len(own) / (end_s - begin_s):6.1f} items/s, "
            f"p50 {own[len(own) // 2] * 1e3:6.1f} ms, p99 {own[int(len(own) * 0.99)] * 1e3:6.1f} ms, "
            f"memory {sum(held) / len(held) / 1e6:.1f} MB"
        )
    warm = [(at_s, each) for at_s, each in seen.held_bytes if at_s >= min(WARM_S, seconds / 4)]
    tenth = max(1, len(warm) // 10)
    first, last = [each for _, each in warm[:tenth]], [each for _, each in warm[-tenth:]]
    for name in sorted({name for each in first for name in each}):
        before, after = (sum(each.get(name, 0) for each in some) / len(some) for some in (first, last))
        print(f"{name:24} {before / 1e6:8.1f} MB -> {after / 1e6:8.1f} MB ({after / before - 1:+.2%})")
    before, after = (sum(sum(each.values()) for each in some) / len(some) for some in (first, last))
    print(f"memory growth {after / before - 1:+.2%}; answers {dict(seen.codes)}")
    print(json.dumps({"held_bytes": seen.held_bytes[:: max(1, len(seen.held_bytes) // 60)]}))


def main() -> None:
    """Make the drawer, serve, and load it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--load", type=float, default=0.8)
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument("--model", default="squeezenet")
    options = parser.parse_args()
    reference, body, _ = question(options.model)
    seen, devices = Seen(), [f"d{number}" for number in range(1, options.devices + 1)]
    with (
        tempfile.TemporaryDirectory(prefix="shoal-") as folder,
        drawer_of(devices, Path(folder)) as drawer,
        serving(drawer, Path(reference.path)) as url,
    ):
        client = Client(url, body, seen)
        most = most_items_per_s(client, seen)
        print(f"at most {most:.1f} items/s; now {options.load * most:.1f} for {options.minutes:g} min", flush=True)
        began_s = time.monotonic()
        soak(client, seen, options.load * most, options.minutes * 60)
        told(seen, began_s, options.minutes * 60)
        if set(seen.codes) != {"200"}:
            print((Path(folder) / HUB / "serve.log").read_text()[-4000:])


if __name__ == "__main__":
    main()
