"""A plan's workers: a process or a thread per unit on this machine, or workers that run elsewhere already."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from shoal.errors import ShoalError, WorkError
from shoal.program.bundle import Bundle
from shoal.wire import Transport
from shoal.worker import load, serve

START_S = 120.0  # a worker may optimise its segments at its first start
LEAVE_S = 2.0  # how long workers may take to leave by themselves
LAST_WORDS_BYTES = 4096


class Processes:
    """One worker process per unit. They end with this process, however it ends: their stdin is tied to it."""

    def __init__(self, bundles: Mapping[str, Path], over: str) -> None:
        """Start a worker for each unit's bundle folder, talking over the transport `over`."""
        self._stderr = {unit: tempfile.TemporaryFile() for unit in bundles}  # noqa: SIM115  # closed by close()
        self._processes = {
            unit: subprocess.Popen(
                [sys.executable, "-m", "shoal.worker", str(folder), "--over", over, "--tied"],
                stdout=subprocess.PIPE,
                stderr=self._stderr[unit],
                stdin=subprocess.PIPE,
            )
            for unit, folder in bundles.items()
        }

    def addresses(self) -> dict[str, str]:
        """Where each worker listens, once all do.

        Raises:
            WorkError: a worker ended before it listened; the message is its own.
        """
        found: dict[str, str] = {}
        deadline_s = time.monotonic() + START_S
        while len(found) < len(self._processes):
            for unit in self._speaking(set(self._processes) - set(found), deadline_s - time.monotonic()):
                found[unit] = self._address(unit)
        return found

    def watch(self) -> tuple[str, str] | None:
        """A worker that ended, and why."""
        for unit, process in self._processes.items():
            if process.poll() is not None:
                return unit, self._why(unit)
        return None

    def pids(self) -> dict[str, int]:
        """Process ids by unit."""
        return {unit: process.pid for unit, process in self._processes.items()}

    def close(self) -> dict[str, int]:
        """End what still runs; the exit codes by unit (below zero: the signal that ended it)."""
        deadline_s = time.monotonic() + LEAVE_S
        for process in self._processes.values():
            _close(process.stdin)
        for process in self._processes.values():
            try:
                process.wait(timeout=max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process.stdout)
        for file in self._stderr.values():
            file.close()
        return {unit: process.returncode for unit, process in self._processes.items()}

    def _speaking(self, units: set[str], timeout_s: float) -> list[str]:
        """Those of `units` that wrote their first line or ended."""
        with selectors.DefaultSelector() as selector:
            for unit in units:
                stdout = self._processes[unit].stdout
                assert stdout is not None
                selector.register(stdout, selectors.EVENT_READ, unit)
            found = [key.data for key, _ in selector.select(max(0.0, timeout_s))]
        if not found:
            raise WorkError(f"did not start within {START_S:g} s", where=", ".join(sorted(units)))
        return found

    def _address(self, unit: str) -> str:
        process = self._processes[unit]
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.wait(timeout=LEAVE_S)  # its stderr is complete now
            raise WorkError(f"did not start: {self._why(unit)}", where=unit)
        address: str = json.loads(line)["listening"]
        return address

    def _why(self, unit: str) -> str:
        """Why a worker ended: its last words, or the signal that ended it with what it had said before."""
        code, words = self._processes[unit].returncode, self._last_words(unit).removeprefix("error: ")
        if code < 0:
            return f"killed by signal {-code}" + f"; its last words: {words}" * bool(words)
        return words or f"exit code {code}"

    def _last_words(self, unit: str) -> str:
        """The end of what the worker wrote to stderr; read without moving the place it writes at."""
        handle = self._stderr[unit].fileno()
        text = os.pread(handle, LAST_WORDS_BYTES, max(0, os.fstat(handle).st_size - LAST_WORDS_BYTES))
        return " ".join(line.strip() for line in text.decode(errors="replace").strip().splitlines()[-3:])


class Threads:
    """One worker thread per unit, for the in-memory transport: tests, and models too small for processes."""

    def __init__(self, bundles: Mapping[str, Bundle], transport: Transport) -> None:
        """Start a worker thread for each unit."""
        self._faults: dict[str, str] = {}
        self._listening: dict[str, str] = {}
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, args=(unit, bundle, transport), name=unit, daemon=True)
            for unit, bundle in bundles.items()
        ]
        for thread in self._threads:
            thread.start()

    def addresses(self) -> dict[str, str]:
        """Where each worker listens, once all do.

        Raises:
            WorkError: a worker failed before it listened; the message is its own.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._faults or len(self._listening) == len(self._threads), START_S)
            for unit, why in self._faults.items():
                raise WorkError(f"did not start: {why}", where=unit)
            return dict(self._listening)

    def watch(self) -> tuple[str, str] | None:
        """A worker that failed, and why."""
        with self._changed:
            return next(iter(self._faults.items()), None)

    def close(self) -> None:
        """Wait for the threads, whose endpoints have been closed."""
        for thread in self._threads:
            thread.join(timeout=LEAVE_S)

    def _work(self, unit: str, bundle: Bundle, transport: Transport) -> None:
        why = "ended by a defect; its traceback is on stderr"
        try:
            sessions = load(bundle)
            serve(bundle, sessions, transport.worker(unit, bundle.program, "", lambda at: self._announce(unit, at)))
            why = ""
        except ShoalError as fault:
            why = fault.message
        finally:  # whatever ends the thread, whoever waits for it must know
            if why:
                with self._changed:
                    self._faults[unit] = why
                    self._changed.notify_all()

    def _announce(self, unit: str, address: str) -> None:
        with self._changed:
            self._listening[unit] = address
            self._changed.notify_all()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()


class Elsewhere:
    """Workers that somebody started on their devices, from the folders `shoal pack` made."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        """`addresses`: "host:port" of each unit's worker."""
        self._addresses = dict(addresses)

    def addresses(self) -> dict[str, str]:
        """Where each worker listens."""
        return self._addresses

    def watch(self) -> None:
        """Nothing is known of a process on another machine but that its connection ended."""

    def close(self) -> None:
        """They end by themselves when the coordinator leaves."""


Workers = Processes | Threads | Elsewhere
