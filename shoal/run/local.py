"""Workers on this machine: one process per unit, or one thread per unit over the in-memory transport."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from shoal.errors import ShoalError, WorkError
from shoal.program.bundle import Bundle
from shoal.wire import Transport
from shoal.worker import load, serve

START_S = 120.0  # a worker may optimise its segments at its first start


class Processes:
    """One worker process per unit; they end when the coordinator closes or this does."""

    def __init__(self, bundles: Mapping[str, Path], over: str) -> None:
        """Start a worker for each unit's bundle folder, talking over the transport `over`."""
        self._stderr = {unit: tempfile.TemporaryFile() for unit in bundles}  # noqa: SIM115  # closed by close()
        self._processes = {
            unit: subprocess.Popen(
                [sys.executable, "-m", "shoal.worker", str(folder), "--over", over],
                stdout=subprocess.PIPE,
                stderr=self._stderr[unit],
                stdin=subprocess.DEVNULL,
            )
            for unit, folder in bundles.items()
        }

    def addresses(self) -> dict[str, str]:
        """Where each worker listens, once all do.

        Raises:
            WorkError: a worker ended before it listened; the message is its own.
        """
        found = {}
        deadline_s = time.monotonic() + START_S
        for unit, process in self._processes.items():
            line = _line(process, deadline_s - time.monotonic())
            if not line:
                raise WorkError("did not start", where=unit, had=self._last_words(unit))
            found[unit] = json.loads(line)["listening"]
        return found

    def watch(self) -> tuple[str, str] | None:
        """A worker that ended, and why."""
        for unit, process in self._processes.items():
            code = process.poll()
            if code is not None:
                how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
                return unit, self._last_words(unit) or how
        return None

    def pids(self) -> dict[str, int]:
        """Process ids by unit."""
        return {unit: process.pid for unit, process in self._processes.items()}

    def close(self) -> None:
        """End what still runs."""
        for process in self._processes.values():
            try:
                process.wait(timeout=2.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for file in self._stderr.values():
            file.close()

    def _last_words(self, unit: str) -> str:
        file = self._stderr[unit]
        file.seek(0)
        lines = file.read().decode(errors="replace").strip().splitlines()
        return " ".join(line.strip() for line in lines[-3:])


class Threads:
    """One worker thread per unit, for the in-memory transport: tests, and models too small for processes."""

    def __init__(self, bundles: Mapping[str, Bundle], transport: Transport) -> None:
        """Start a worker thread for each unit."""
        self._faults: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._work, args=(unit, bundle, transport), name=unit, daemon=True)
            for unit, bundle in bundles.items()
        ]
        self._units = tuple(bundles)
        for thread in self._threads:
            thread.start()

    def addresses(self) -> dict[str, str]:
        """In memory a unit's address is its name."""
        return {unit: unit for unit in self._units}

    def watch(self) -> tuple[str, str] | None:
        """A worker that failed, and why."""
        return next(iter(self._faults.items()), None)

    def close(self) -> None:
        """Wait for the threads, whose endpoints have been closed."""
        for thread in self._threads:
            thread.join(timeout=5.0)

    def _work(self, unit: str, bundle: Bundle, transport: Transport) -> None:
        try:
            serve(bundle, load(bundle), transport.worker(unit, bundle.program, "", lambda _: None))
        except ShoalError as fault:
            self._faults[unit] = fault.message


def _line(process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
    """The first line of a process's stdout; empty if it ended or the time is over."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(max(0.0, timeout_s)) else b""


Workers = Processes | Threads
