"""How soon a hub notices: real processes that are killed, frozen, and come back."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from shoal.control import Dismiss, Done
from shoal.errors import WireError
from tests.control.worlds import Secure, present, within

pytest.importorskip("zenoh")
pytestmark = pytest.mark.serial

NOTICED_S = 1.5
BACK_S = 5.0


@pytest.fixture
def reef(tmp_path: Path) -> Iterator[Secure]:
    world = Secure(tmp_path)
    yield world
    world.close()


class Child:
    """A device in a process of its own."""

    def __init__(self, world: Secure) -> None:
        self._command = [sys.executable, "-m", "tests.control.holder", str(world.identity("nano").folder)]
        self._hub, self._starts = world.hub.address, 0
        self.start()

    def start(self) -> None:
        self._starts += 1
        self.process = subprocess.Popen([*self._command, self._hub, f"boot{self._starts}"])

    def close(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


def timed(what: str, true: Callable[[], object]) -> float:
    start_s = time.monotonic()
    assert within(BACK_S, true), what
    took_s = time.monotonic() - start_s
    print(f"{what}: {took_s:.3f} s")
    return took_s


def test_killed_frozen_and_back(reef: Secure) -> None:
    child = Child(reef)
    reef.opened.append(child)
    here, away = (lambda: present(reef.hub, "nano")), (lambda: not present(reef.hub, "nano"))
    assert within(20.0, here)
    for _ in range(5):
        time.sleep(0.35)  # not in step with its keep-alives
        child.process.send_signal(signal.SIGSTOP)
        assert timed("frozen", away) < NOTICED_S
        with pytest.raises(WireError, match="gone"):
            reef.hub.ask("nano", Dismiss("nano/cpu", 1, "x"), 1.0)
        child.process.send_signal(signal.SIGCONT)
        timed("thawed", here)
        assert reef.hub.ask("nano", Dismiss("nano/cpu", 1, "x"), 2.0) == Done()
    child.process.kill()
    assert timed("killed", away) < NOTICED_S
    child.process.wait()
    child.start()
    timed("started anew", here)
    sighting = reef.hub.sightings()["nano"]
    assert sighting.announcement is not None
    assert sighting.announcement.boot == "boot2"
    assert within(5.0, lambda: (vitals := reef.hub.sightings()["nano"].vitals) and vitals.memory_bytes > 1e7)
    print(f"resident: {reef.hub.sightings()['nano'].vitals}")


def test_a_request_to_a_frozen_device_ends(reef: Secure) -> None:
    child = Child(reef)
    reef.opened.append(child)
    assert within(20.0, lambda: present(reef.hub, "nano"))
    child.process.send_signal(signal.SIGSTOP)
    start_s = time.monotonic()
    with pytest.raises(WireError, match="left before it answered"):
        reef.hub.ask("nano", Dismiss("nano/cpu", 1, "x"), 20.0)
    assert time.monotonic() - start_s < NOTICED_S
