"""`python -m shoal.study.coverage._alone`: one check in a process that does nothing else, its time and memory limited.

Reads a Job from the file named on the command line and prints Figures.
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from shoal import codec
from shoal.errors import InputError, ShoalError
from shoal.measure.alone import status_bytes

CHECKS = "shoal.study.coverage.checks"


@dataclass(frozen=True)
class Job:
    """A check, and what it may take."""

    check: str  # "module:function" below `checks`
    cpu_s: int = 20  # of this process, libraries included
    memory_bytes: int = 4 << 30


@dataclass(frozen=True)
class Figures:
    """What a check has measured, and what it took."""

    figures: Mapping[str, float]
    took_s: float = 0.0
    peak_bytes: int = 0  # resident, libraries included
    fault: str = ""


def run(check: str) -> Figures:
    """Run a check in this process; its faults are part of the answer.

    Raises:
        InputError: there is no such check.
    """
    module, _, name = check.partition(":")
    try:
        function = getattr(importlib.import_module(f"{CHECKS}.{module}"), name)
    except (ImportError, AttributeError) as fault:
        raise InputError(f"there is no check '{check}'", had=str(fault)) from fault
    begun = time.perf_counter()
    try:
        found = {key: float(each) for key, each in function().items()}
    except (ShoalError, AssertionError, ImportError, AttributeError, MemoryError, TypeError, ValueError) as fault:
        return Figures({}, time.perf_counter() - begun, fault=f"{type(fault).__name__}: {fault}")
    odd = [key for key, each in found.items() if not isfinite(each)]
    wrong = f"no finite figure: {', '.join(odd)}" if odd else ""
    kept = {key: each for key, each in found.items() if isfinite(each)}
    return Figures(kept, time.perf_counter() - begun, status_bytes("VmHWM"), wrong)


def main(job_file: str) -> None:
    """Do the job within its limits."""
    job = codec.load(Job, Path(job_file))
    os.environ["OMP_NUM_THREADS"] = "1"  # before any library is there that reads it
    resource.setrlimit(resource.RLIMIT_CPU, (job.cpu_s, job.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (job.memory_bytes, job.memory_bytes))
    sys.stdout.buffer.write(codec.encode(run(job.check)))


if __name__ == "__main__":
    main(sys.argv[1])
