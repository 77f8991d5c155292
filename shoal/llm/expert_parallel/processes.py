"""Worker processes, each joined to every other and to the coordinator; who of them died first."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import IO

from shoal import codec
from shoal.errors import WorkerDied
from shoal.llm.expert_parallel.frames import Gone, Line
from shoal.llm.expert_parallel.messages import OTHER_LEFT, Task

ENDING_S = 2.0  # how long workers may take to end
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Processes:
    """All workers of a task, from their start to their end."""

    def __init__(self, task: Task, *, pinned: bool, names: Sequence[str] = ()) -> None:
        self._names = names or [str(at) for at in range(task.workers)]
        cores = sorted(os.sched_getaffinity(0)) if pinned else [-1]
        ends = _joined(task.workers + 1)
        self._words: list[IO[bytes]] = []
        self._all: list[subprocess.Popen[bytes]] = []
        for index, mine in enumerate(ends[:-1]):
            numbers = {party: end.fileno() for party, end in mine.items()}
            self._start(replace(task, index=index, sockets=numbers, core=cores[index % len(cores)]))
            for end in mine.values():
                end.close()  # the worker's copy is the only one, so that its end is seen
        self.lines = {party: Line(party, end) for party, end in ends[-1].items()}

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the processes at the system."""
        return tuple(each.pid for each in self._all)

    def _start(self, task: Task) -> None:
        path = os.pathsep.join(part for part in sys.path if part)
        words = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        self._words.append(words)
        self._all.append(
            subprocess.Popen(
                [sys.executable, "-m", "shoal.llm.expert_parallel", codec.encode(task).decode()],
                pass_fds=tuple(task.sockets.values()), env={**os.environ, **ONE_THREAD, "PYTHONPATH": path}, stderr=words,
            )
        )  # fmt: skip

    def blamed(self, gone: Gone) -> WorkerDied:
        """Which worker began it, not those that left because another one had; ends all of them."""
        until_s = time.monotonic() + ENDING_S / 2
        codes = self._codes()
        while time.monotonic() < until_s and all(code in (None, OTHER_LEFT) for code in codes):
            time.sleep(0.01)
            codes = self._codes()
        ended = {at: f"ended with {code}" for at, code in enumerate(codes) if code not in (None, OTHER_LEFT)}
        silent = dict.fromkeys((at for at, code in enumerate(codes) if code is None), "says nothing")
        if OTHER_LEFT not in codes:
            silent = {at: why for at, why in silent.items() if at in gone.parties}
        found = {at: self._said(at) or why for at, why in (ended or silent).items()} or dict.fromkeys(gone.parties, gone.message)  # fmt: skip
        self._kill()
        named = {self._names[at]: why for at, why in found.items()}
        return WorkerDied("experts' workers are gone", where=f"worker {', '.join(named)}",
                          had="; ".join(f"worker {name}: {why}" for name, why in named.items()))  # fmt: skip

    def close(self) -> None:
        """Have the workers leave: nobody asks any more."""
        for line in self.lines.values():
            line.sock.close()
        until_s = time.monotonic() + ENDING_S
        for process in self._all:
            try:
                process.wait(max(0.0, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._kill()
        for words in self._words:
            words.close()

    def _codes(self) -> list[int | None]:
        return [each.poll() for each in self._all]

    def _said(self, party: int) -> str:
        """The last line of a worker's own."""
        self._words[party].seek(0)
        lines = self._words[party].read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _kill(self) -> None:
        for process in self._all:
            process.kill()
            process.wait()


def _joined(parties: int) -> list[Mapping[int, socket.socket]]:
    """For each party its end of the connection to every other one."""
    ends: list[dict[int, socket.socket]] = [{} for _ in range(parties)]
    for one, other in combinations(range(parties), 2):
        ends[one][other], ends[other][one] = socket.socketpair()
    return [*ends]
