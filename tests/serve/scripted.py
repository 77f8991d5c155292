"""A Backend that does what it is told: for what a real one does too rarely or too quickly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np

from shoal.live import (
    DeviceState,
    Happening,
    ServiceState,
    Signature,
    TensorForm,
    Unavailable,
    UnitState,
)
from shoal.live.contract import Arrays
from shoal.live.values import Kind

PHOTO = Signature({"image": TensorForm("float32", (1, 3, 8, 8))}, {"scores": TensorForm("float32", (1, 4))})
GIB = 1 << 30


def device(name: str, units: int = 1, **fields: object) -> DeviceState:
    found = DeviceState(
        name, "raspberry-pi-4b-4gb", True, time.time() - 600, "", 0.41, int(0.3 * GIB), GIB, 58.5, 123.4,
        tuple(UnitState(f"{name}/{kind}", 1 + number, 9 << 20, 0.87) for number, kind in enumerate(("cpu", "gpu")[:units])),
    )  # fmt: skip
    return replace(found, **fields)  # type: ignore[arg-type]  # a test's own


@dataclass
class Scripted:
    """Answers with `answer`; what it says of itself is `said`."""

    answer: Callable[[Arrays, Future[Arrays]], None]
    signature: Signature = PHOTO
    said: ServiceState = field(
        default_factory=lambda: ServiceState(
            "small",
            time.time(),
            time.time() - 600,
            0,
            True,
            False,
            4,
            8,
            0,
            0,
            throughput_items_per_s=20.0,
            latency_s={"p50": 0.05, "p99": 0.08},
            energy_j_per_item=0.5,
            devices=(device("pi4", 2), device("pi3"), device("zero")),
            pipeline=("pi4/cpu", "pi3/cpu", "zero/cpu"),
            standbys={"zero": "pi4/cpu → pi3/cpu"},
        )
    )
    taken: list[Future[Arrays]] = field(default_factory=list)
    told: list[Happening] = field(default_factory=list)
    listeners: list[Callable[[Happening], None]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def submit(self, inputs: Arrays, deadline_s: float | None = None) -> Future[Arrays]:
        if self.said.draining:
            raise Unavailable("the service is ending")
        future: Future[Arrays] = Future()
        self.answer(inputs, future)
        self.taken.append(future)
        return future

    def state(self) -> ServiceState:
        with self.lock:
            return replace(self.said, time_s=time.time())

    def become(self, **fields: object) -> None:
        with self.lock:
            self.said = replace(self.said, **fields)  # type: ignore[arg-type]  # a test's own

    def happen(self, kind: Kind, subject: str, text: str) -> None:
        happening = Happening(len(self.told), time.time(), kind, subject, text)
        self.told.append(happening)
        for listener in tuple(self.listeners):
            listener(happening)

    def happenings(self, after: int = -1) -> tuple[Happening, ...]:
        return tuple(each for each in self.told if each.number > after)

    def listen(self, told: Callable[[Happening], None]) -> Callable[[], None]:
        self.listeners.append(told)
        return lambda: self.listeners.remove(told)

    def drain(self, timeout_s: float) -> bool:
        self.become(draining=True)
        return True


def sums(inputs: Arrays, future: Future[Arrays]) -> None:
    """Four figures that depend on the photo: its sum, its largest, its smallest, nought."""
    image = inputs["image"]
    future.set_result({"scores": np.array([[image.sum(), image.max(), image.min(), 0]], np.float32)})


def never(inputs: Arrays, future: Future[Arrays]) -> None:
    """No answer."""
