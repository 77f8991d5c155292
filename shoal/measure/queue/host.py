"""The host of a launch queue: emits calls to a device in another process, and learns when each was executed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.errors import InputError, WorkerDied
from shoal.measure.queue.calls import Calls, save
from shoal.measure.queue.words import LAUNCH, TIMES, UNIT, VALUES, WAIT, put, queue_program
from shoal.measure.trace import Kernel, Launch, Operator, Trace, check_clock
from shoal.wire import Delivery, Endpoint, Transport, boot_id

PATIENCE_S = 120.0
Group = Sequence[int]  # places of calls that are launched as one


@dataclass(frozen=True, eq=False)
class Pass:
    """What became of one sequence of launches."""

    trace: Trace
    output: NDArray[np.float32]  # flat

    @property
    def latency_s(self) -> float:
        """From the first operator's beginning to the last kernel's end."""
        return self.trace.kernels[-1].end_s - self.trace.operators[0].begin_s


class Queue:
    """A device in another process, and the connection to it."""

    def __init__(self, work: Calls, end: Endpoint, launches: int) -> None:
        self._work, self._end, self._launches = work, end, launches
        self._item = 0

    def run(self, groups: Sequence[Group], emit_s: float = 0.0) -> Pass:
        """Launch groups of calls one after another and wait for the device.

        Args:
            groups: what is launched as one.
            emit_s: what the host does before each launch takes so long; 0: it launches as fast as it can.

        Raises:
            InputError: nothing to launch, or more than the queue was made for.
            WorkerDied: the device ended or does not answer.
        """
        if not 0 < len(groups) <= self._launches:
            raise InputError("not so many launches", needed=f"1 to {self._launches}", had=f"{len(groups)}")
        messages = [np.array(group, np.int32) for group in groups]
        names = [self._name(group) for group in groups]
        spans = self._emit(messages, emit_s)
        times, output = self._answer()
        return Pass(_trace(names, spans, times), output)

    def _emit(self, messages: Sequence[NDArray[np.int32]], emit_s: float) -> list[tuple[float, float, float]]:
        """When each operator began, its launch began and its launch ended."""
        spans = []
        before_s = time.monotonic()
        for message in messages:
            while time.monotonic() < before_s + emit_s:
                time.sleep(0)  # the work of an operator: the thread stays busy, others may have their turn
            launch_s = time.monotonic()
            put(self._end, LAUNCH, self._next(), message)
            end_s = time.monotonic()
            spans.append((before_s, launch_s, end_s))
            before_s = end_s
        return spans

    def _answer(self) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        put(self._end, LAUNCH, self._next(), WAIT)
        times, values = self._received(TIMES), self._received(VALUES)
        return times.reshape(-1, 2), values

    def _received(self, edge: int) -> NDArray[Any]:
        found = self._end.receive(PATIENCE_S)
        if not isinstance(found, Delivery) or found.header.edge != edge or found.array is None:
            raise WorkerDied(
                "the device does not answer", where=UNIT, had="nothing" if found is None else str(found)[:80]
            )
        array = np.array(found.array)
        self._end.release(found)
        return array

    def _next(self) -> int:
        self._item += 1
        return self._item

    def _name(self, group: Group) -> str:
        works = [self._work.calls[place].op for place in group if not self._work.calls[place].looks]
        return works[0] if len(works) == 1 else f"{works[0]} and {len(works) - 1} more" if works else "look"


def _trace(names: Sequence[str], spans: Sequence[tuple[float, float, float]], times: NDArray[np.float64]) -> Trace:
    zero_s = spans[0][0]
    operators = tuple(
        Operator(name, "host", begin - zero_s, end - zero_s)
        for name, (begin, _, end) in zip(names, spans, strict=True)
    )
    launches = tuple(
        Launch("LaunchKernel", "host", launch - zero_s, end - zero_s, place, place)
        for place, (_, launch, end) in enumerate(spans)
    )
    kernels = tuple(
        Kernel(name, "device", float(begin) - zero_s, float(end) - zero_s, place)
        for place, (name, (begin, end)) in enumerate(zip(names, times, strict=True))
    )
    check_clock(kernels, launches, UNIT)
    return Trace(operators, launches, kernels)


@contextmanager
def opened(work: Calls, over: str = "tcp", launches: int = 0) -> Iterator[Queue]:
    """A device that knows the calls of `work`; its process ends with the block.

    Args:
        work: the calls, and the tensors at first.
        over: the transport.
        launches: how many may wait at once; 0: as many as there are calls.

    Raises:
        WorkerDied: the device did not start.
        InputError: the device is on another machine, whose clock is not this one's.
    """
    room = launches or len(work.calls)
    sizes = {"calls": len(work.calls), "launches": room, "values": work.values}
    with (
        tempfile.TemporaryDirectory(prefix="shoal-queue-") as folder,
        _process(work, Path(folder), over, sizes) as at,
    ):
        transport: Transport = catalog.make("wire/transports", over)
        end = transport.client(queue_program(**sizes), {UNIT: at})
        try:
            yield Queue(work, end, room)
        finally:
            end.close()


@contextmanager
def _process(work: Calls, folder: Path, over: str, sizes: dict[str, int]) -> Iterator[str]:
    """The address at which a device listens."""
    save(work, folder)
    command = [sys.executable, "-m", "shoal.measure.queue.device", str(folder), "--over", over]
    command += [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part), "OMP_NUM_THREADS": "1"}
    with (
        (folder / "stderr").open("wb") as errors,
        subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=errors
        ) as process,
    ):
        try:
            yield _address(process, folder)
        finally:
            process.kill()


def _address(process: subprocess.Popen[bytes], folder: Path) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        said = (folder / "stderr").read_text(errors="replace").strip().splitlines()[-1:]
        raise WorkerDied("the device did not start", where=UNIT, had="; ".join(said))
    told = json.loads(line)
    if told["boot"] != boot_id():
        raise InputError("the device is on another machine: clocks of two hosts", where=UNIT)
    return str(told["listening"])
