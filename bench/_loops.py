"""Plain onnxruntime loops, each a process pinned to its core, one alone or several at once."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import numpy as np

WARM_ITEMS = 5
START_S = 120.0  # to load a model


@dataclass(frozen=True)
class Loop:
    """A model to run again and again on one core with one thread."""

    path: Path
    core: int


def periods_s(loops: Sequence[Loop], items: int) -> tuple[float, ...]:
    """Mean seconds an item of each loop over `items`, all running until the last is done."""
    context = multiprocessing.get_context("spawn")
    barrier, done = context.Barrier(len(loops)), [context.Event() for _ in loops]
    pipes, processes = [], []
    for index, loop in enumerate(loops):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(loop, items, barrier, done, index, theirs), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    found = tuple(float(pipe.recv()) for pipe in pipes)
    for process in processes:
        process.join()
    return found


def _run(loop: Loop, items: int, barrier: Barrier, done: Sequence[Event], index: int, pipe: Any) -> None:
    os.sched_setaffinity(0, {loop.core})
    session, feeds = _session(loop.path)
    for _ in range(WARM_ITEMS):
        session.run(None, feeds)
    barrier.wait(START_S)
    start = time.perf_counter()
    for _ in range(items):
        session.run(None, feeds)
    pipe.send((time.perf_counter() - start) / items)
    done[index].set()
    while not all(event.is_set() for event in done):  # so that the slower one is never measured alone
        session.run(None, feeds)


def _session(path: Path) -> tuple[Any, dict[str, Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    source = np.random.default_rng(0)
    return session, {
        value.name: source.standard_normal(value.shape).astype(np.float32) for value in session.get_inputs()
    }
