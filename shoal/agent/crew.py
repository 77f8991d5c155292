"""A device's workers: a process for each unit of each program and epoch, several side by side."""

from __future__ import annotations

import json
import logging
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from typing import IO, NamedTuple

import psutil

from shoal.control.values import WorkerVitals
from shoal.errors import LimitError, WorkError
from shoal.program import Program
from shoal.program.bundle import Bundle
from shoal.units import format_bytes

LOG = logging.getLogger(__name__)
START_S = 120.0  # a worker may optimise its segments at its first start
LEAVE_S = 2.0  # how long a worker may take to leave by itself
LAST_WORDS_BYTES = 4096
BARE_BYTES = 32 << 20  # a worker before it loads an engine: interpreter, numpy and shoal


class Key(NamedTuple):
    """Which worker."""

    program_hash: str
    epoch: int
    unit: str

    def __str__(self) -> str:
        """As the log names it."""
        return f"{self.unit} of epoch {self.epoch} ({self.program_hash[:8]})"


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    stderr: IO[bytes]
    bundle: Bundle
    needs_bytes: int
    starting: threading.Lock = field(default_factory=threading.Lock)  # whoever reads its first line

    @property
    def bytes(self) -> int:
        """What it takes of the device's memory: what it has, or will have once it is loaded."""
        return max(self.needs_bytes, _usage(self.process.pid)[0])


class Crew:
    """The workers of one device. They end with this process, however it ends: their stdin is tied to it.

    A worker's bundle folder is removed once it has ended. Safe to use from several threads.
    """

    def __init__(self, over: str, host: str, limit_bytes: int) -> None:
        """`over`: the transport of every worker with its options; `host`: where they listen, at free ports.

        `limit_bytes`: what all of them together may use.
        """
        self._over, self._host, self._limit_bytes = over, host, limit_bytes
        self._workers: dict[Key, _Worker] = {}
        self._lock = threading.Lock()

    def start(self, bundle: Bundle) -> str:
        """Start a worker from `bundle`; where it listens, once it does. One that is there already ends first.

        Raises:
            LimitError: it does not fit in the memory beside the others.
            WorkError: it ended before it listened, with its last words; or it took too long.
        """
        key = Key(bundle.manifest.program_hash, bundle.program.epoch, bundle.manifest.unit)
        self.end(key)
        worker = self._begin(key, bundle)
        try:
            with worker.starting:
                address = _address(worker)
        except WorkError:
            self.end(key)
            raise
        LOG.info("worker %s listens at %s", key, address)
        return address

    def end(self, key: Key) -> bool:
        """End a worker; whether it was there."""
        with self._lock:
            worker = self._workers.pop(key, None)
        if worker is None:
            return False
        _end(worker)
        LOG.info("worker %s was ended", key)
        return True

    def reap(self) -> list[tuple[Key, str]]:
        """The workers that ended by themselves since the latest call, and why; the log says it too."""
        with self._lock:
            gone = {key: worker for key, worker in self._workers.items() if worker.process.poll() is not None}
            for key in gone:
                del self._workers[key]
        found = [(key, _why(worker)) for key, worker in gone.items()]
        for key, why in found:
            LOG.log(logging.INFO if why == LET_GO else logging.WARNING, "worker %s ended: %s", key, why)
            _end(gone[key])
        return found

    def vitals(self) -> tuple[WorkerVitals, ...]:
        """How each worker is."""
        with self._lock:
            there = {key: worker.process.pid for key, worker in self._workers.items()}
        return tuple(
            WorkerVitals(key.unit, key.program_hash, key.epoch, *_usage(pid)) for key, pid in there.items()
        )

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            workers, self._workers = list(self._workers.values()), {}
            self._limit_bytes = 0  # nobody comes any more
        for worker in workers:
            _let_go(worker)
        for worker in workers:
            _end(worker)

    def _begin(self, key: Key, bundle: Bundle) -> _Worker:
        needs_bytes = least_bytes(bundle)
        with self._lock:  # two that come at once must not both take the last bytes
            used_bytes = sum(worker.bytes for worker in self._workers.values())
            if used_bytes + needs_bytes > self._limit_bytes:
                had = f"{format_bytes(max(0, self._limit_bytes - used_bytes))} of {format_bytes(self._limit_bytes)}"
                raise LimitError(
                    "there is no memory left for this worker", where=bundle.manifest.unit,
                    needed=format_bytes(needs_bytes), had=f"{had}, beside {len(self._workers)} other workers",
                )  # fmt: skip
            worker = self._workers[key] = _Worker(*self._spawn(bundle), bundle, needs_bytes)
        return worker

    def _spawn(self, bundle: Bundle) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        listen = f"[{self._host}]:0" if ":" in self._host else f"{self._host}:0"
        command = [sys.executable, "-m", "shoal.worker", str(bundle.folder), "--over", self._over]
        stderr = tempfile.TemporaryFile()  # noqa: SIM115  # closed by _end
        process = subprocess.Popen(
            [*command, "--listen", listen, "--tied"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        )
        return process, stderr


LET_GO = "its coordinator let it go"


def least_bytes(bundle: Bundle) -> int:
    """What the worker of `bundle` takes at least: bare, its files, and its buffers of the whole window."""
    files = sum(file.bytes for file in bundle.manifest.files.values())
    return BARE_BYTES + files + _buffers_bytes(bundle.program, bundle.manifest.unit)


def _buffers_bytes(program: Program, unit: str) -> int:
    return sum(
        edge.buffer_items * edge.spec.bytes(program.sizes)
        for edge in program.edges
        if unit in (edge.source, edge.target)
    )


def _address(worker: _Worker) -> str:
    stdout = worker.process.stdout
    if stdout is None or stdout.closed:
        raise WorkError("was ended before it began", where=worker.bundle.manifest.unit)
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        if not selector.select(START_S):
            raise WorkError(f"did not start within {START_S:g} s", where=worker.bundle.manifest.unit)
    line = stdout.readline()
    if not line:
        worker.process.wait(timeout=LEAVE_S)  # its stderr is complete now
        raise WorkError(f"did not start: {_why(worker)}", where=worker.bundle.manifest.unit)
    address: str = json.loads(line)["listening"]
    return address


def _why(worker: _Worker) -> str:
    """Why a worker ended: its last words, or the signal that ended it with what it had said before."""
    code, words = worker.process.returncode, _last_words(worker.stderr).removeprefix("error: ")
    if code < 0:
        return f"killed by signal {-code}" + f"; its last words: {words}" * bool(words)
    return LET_GO if code == 0 else words or f"exit code {code}"


def _last_words(stderr: IO[bytes]) -> str:
    """The end of what the worker wrote; read without moving the place it writes at."""
    if stderr.closed:  # it was ended meanwhile
        return ""
    handle = stderr.fileno()
    text = os.pread(handle, LAST_WORDS_BYTES, max(0, os.fstat(handle).st_size - LAST_WORDS_BYTES))
    return " ".join(line.strip() for line in text.decode(errors="replace").strip().splitlines()[-3:])


def _let_go(worker: _Worker) -> None:
    if worker.process.stdin is not None:
        worker.process.stdin.close()


def _end(worker: _Worker) -> None:
    """End the process if it has not, and remove its bundle."""
    _let_go(worker)
    try:
        worker.process.wait(timeout=LEAVE_S)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        worker.process.wait()
    with worker.starting:
        if worker.process.stdout is not None:
            worker.process.stdout.close()
        worker.stderr.close()
    shutil.rmtree(worker.bundle.folder, ignore_errors=True)


def _usage(pid: int) -> tuple[int, float]:
    """Resident bytes and CPU seconds of a process; none once it has ended."""
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return process.memory_info().rss, times.user + times.system
    except psutil.NoSuchProcess:
        return 0, 0.0
