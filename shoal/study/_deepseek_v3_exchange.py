"""Tokens exchanged between experts in real processes, grouped into nodes; bytes are counted at their sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.errors import WorkerDied
from shoal.llm.routing import Chosen

PATIENCE_S = 120
F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Exchanged:
    """What came back, and what was sent."""

    made: F32  # (tokens, width)
    between_bytes: int  # between nodes
    inside_bytes: int  # between workers of one node


@dataclass(frozen=True, eq=False)
class Trip:
    """Every token to its experts and back."""

    chosen: Chosen  # (tokens, k) experts
    shares: F32  # (tokens, k), what each one's answer counts
    once: bool  # a token goes once to each node, else to each expert


def exchanged(nodes: int, ranks: int, experts: int, x: F32, trips: Sequence[Trip], folder: Path) -> list[Exchanged]:
    """Trips one after another, of the same processes.

    Args:
        nodes: of so many `ranks` each; experts and tokens lie on these in order, as many on each.
        ranks: processes of a node.
        experts: in all.
        x: (tokens, width).
        trips: where tokens go.
        folder: an empty one.

    Raises:
        WorkerDied: one of them did.
    """
    given = _given(nodes * ranks, x, trips, folder)
    answers = [folder / f"answer{index}.npz" for index in range(nodes * ranks)]
    with ExitStack() as stack:
        ends = _joined(nodes * ranks, stack)
        started = [
            _started({"index": index, "nodes": nodes, "ranks": ranks, "experts": experts, "given": str(given[index]),
                      "answer": str(answer), "once": [each.once for each in trips]}, ends[index])
            for index, answer in enumerate(answers)
        ]  # fmt: skip
    _ended(started)
    found = [np.load(each) for each in answers]
    sent = [sum(each[f"sent{trip}"] for each in found) for trip in range(len(trips))]
    return [
        Exchanged(np.concatenate([each[f"made{trip}"] for each in found]), *map(int, sent[trip]))
        for trip in range(len(trips))
    ]


def _given(workers: int, x: F32, trips: Sequence[Trip], folder: Path) -> list[Path]:
    """What each worker reads."""
    arrays: dict[str, NDArray[Any]] = {"x": x}
    for at, trip in enumerate(trips):
        arrays |= {f"experts{at}": trip.chosen, f"shares{at}": trip.shares}
    paths = [folder / f"given{index}.npz" for index in range(workers)]
    parts = {name: np.array_split(each, workers) for name, each in arrays.items()}
    for index, path in enumerate(paths):
        codec.save_arrays({name: each[index] for name, each in parts.items()}, path)
    return paths


def _joined(count: int, stack: ExitStack) -> list[dict[int, int]]:
    """For each worker its end of the connection to every other one: file descriptors by worker."""
    ends: list[dict[int, int]] = [{} for _ in range(count)]
    for one, other in combinations(range(count), 2):
        pair = [stack.enter_context(each) for each in socket.socketpair()]
        ends[one][other], ends[other][one] = (each.fileno() for each in pair)
    return ends


def _started(task: dict[str, object], ends: dict[int, int]) -> subprocess.Popen[bytes]:
    told = json.dumps({**task, "peers": ends})
    return subprocess.Popen(
        [sys.executable, "-m", "shoal.study._deepseek_v3_worker", told], pass_fds=tuple(ends.values()),
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


def _ended(started: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for all.

    Raises:
        WorkerDied: one failed, or does not end.
    """
    try:
        codes = [each.wait(PATIENCE_S) for each in started]
    except subprocess.TimeoutExpired as fault:
        raise WorkerDied("a worker of the exchange does not end") from fault
    finally:
        for each in started:
            if each.poll() is None:
                each.kill()
                each.wait()
    if any(codes):
        raise WorkerDied("a worker of the exchange failed", had=str(codes))
