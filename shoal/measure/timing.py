"""Seconds of ONNX files, one after another, in a process of its own that is held to some cores."""

from __future__ import annotations

import os
from dataclasses import dataclass

from shoal.measure.child import asked
from shoal.measure.clocked import Spread

WARM_UP = 5


@dataclass(frozen=True)
class Timed:
    """A file to time. Its outputs stay in memory of their own from run to run, and inputs are drawn."""

    path: str
    layouts: tuple[str, ...] = ()  # kinds of node that are there only because it runs alone: not counted
    feeds: str = ""  # a .npz of inputs; "": drawn
    engine: str = ""  # "native": products on packed codes run on shoal's kernels; else onnxruntime runs the file


@dataclass(frozen=True)
class Timing:
    """What to time, and how."""

    files: tuple[Timed, ...]
    threads: int = 1
    cores: tuple[int, ...] = ()  # to run on; none: any
    repeats: int = 30  # the median is of so many runs,
    most_s: float = 0.2  # or of those within so many seconds
    rounds: int = 1  # all files in turn, so often: what disturbs the machine then meets all of them


@dataclass(frozen=True)
class Timings:
    """Of each file; of those that cannot be run the spread has no repeats."""

    spreads: tuple[Spread, ...]
    faults: tuple[str, ...]  # "": none


def time_files(timing: Timing, patience_s: float = 1800.0) -> Timings:
    """The seconds of each file. One file is loaded at a time unless there are rounds.

    With one thread its own time counts, in which others who are busy do not.

    Raises:
        WorkError: the process measuring died, or took too long.
    """
    return asked("shoal.measure.timed", timing, Timings, "measuring ops", patience_s)


def cores_for(threads: int) -> tuple[int, ...]:
    """The last cores this process may use: the first one also serves the system."""
    return tuple(sorted(os.sched_getaffinity(0))[-threads:])
