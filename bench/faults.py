"""A service on a living fleet under random faults: nothing lost, nothing answered twice, nothing answered wrongly.

    python -m bench.faults [--devices 3] [--faults 20] [--every 4] [--rate 12] [--clients 4] [--model squeezenet]

Each device is a host of its own (a network namespace behind a relay, 1 Gbit/s) with `shoal join`; another is the hub,
with `shoal fleet open` and `shoal serve`. Clients send requests at `rate` a second together, a rate that leaves this
machine's cores time for what devices of their own would do on theirs: starting workers. Faults come one after another,
each mended before the next: a worker killed, an agent killed (with its workers) and started anew, a device frozen, its
link cut or losing three of ten packets, two devices parted from each other. Every answer is compared with the undivided
model's. Recovery is the longest time without an answer after a fault. Needs root.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from bench import _common as common
from bench._drawer import Drawer, drawer_of, question, serving, tree

MENDED_S = 3.0  # between a fault and its mending


@dataclass
class Seen:
    """What the clients saw."""

    codes: Counter[str] = field(default_factory=Counter)
    ended_s: list[float] = field(default_factory=list)  # of each right answer
    wrong: int = 0


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


def part(drawer: Drawer, device: str) -> Callable[[], None]:
    """Nothing gets from the device to the next one; both still talk with the hub."""
    other = drawer.devices[(drawer.devices.index(device) + 1) % len(drawer.devices)]
    drawer.network.part(device, other)
    return lambda: drawer.network.part(device, other, parted=False)


FAULTS = {
    "kill worker": kill_worker,
    "kill agent": kill_agent,
    "freeze": freeze,
    "cut link": cut_link,
    "lossy link": lossy_link,
    "parted": part,
}


def client(
    url: str, body: bytes, expected: dict[str, np.ndarray], seen: Seen, stop: threading.Event, period_s: float
) -> None:
    """A request every `period_s`, or as soon as the one before is answered."""
    due_s = time.monotonic()
    with httpx.Client(timeout=60) as session:
        while not stop.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + period_s, time.monotonic())
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
    parser.add_argument("--rate", type=float, default=12, help="requests a second")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--model", default="squeezenet")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    reference, body, expected = question(options.model)
    devices = [f"d{number}" for number in range(1, options.devices + 1)]
    seen, stop, period_s = Seen(), threading.Event(), options.clients / options.rate
    with (
        tempfile.TemporaryDirectory(prefix="shoal-") as folder,
        drawer_of(devices, Path(folder)) as drawer,
        serving(drawer, Path(reference.path)) as url,
    ):
        threads = [
            threading.Thread(target=client, args=(f"{url}/v1/infer", body, expected, seen, stop, period_s))
            for _ in range(options.clients)
        ]
        for thread in threads:
            thread.start()
        found = suffer(drawer, url, options, seen)
        stop.set()
        for thread in threads:
            thread.join()
    gaps = sorted(gap for each in found.values() for gap in each)
    print(
        f"answers {seen.codes['200']}, wrong {seen.wrong}, others { ({k: v for k, v in seen.codes.items() if k != '200'}) }"
    )
    print(f"recovery p50 {common.median(gaps):.2f} s, p99 {gaps[min(len(gaps) - 1, int(0.99 * len(gaps)))]:.2f} s")
    print(json.dumps({"gaps_s": found, "codes": dict(seen.codes), "wrong": seen.wrong}))


if __name__ == "__main__":
    main()
