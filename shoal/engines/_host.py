"""This machine, as far as an engine's files and memory depend on it."""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from pathlib import Path


@cache
def processor() -> str:
    """What prepared code depends on: architecture, processor models and their instruction sets."""
    wanted = ("flags", "Features", "model name", "CPU implementer", "CPU part")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    facts = sorted({line for line in lines if line.partition("\t")[0].partition(":")[0].strip() in wanted})
    return "\n".join((platform.machine(), platform.processor(), *facts))


def trim() -> None:
    """Hand memory that is free but still held by the C library back to the system, where it can."""
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if give_back is not None:
        give_back(0)
